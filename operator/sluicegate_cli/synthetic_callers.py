"""Callers and an agent for the demo: conversations at a dentist's reception, made from a seed.

The agent does what its prompt says, in so far as a few lines can: a prompt that forbids looking into the calendar
gives an agent that does not look, and callers who notice.
"""

import random
from typing import Any

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
REASONS = ("a check-up", "a cleaning", "a broken filling", "a toothache")
LAPSE_RATE = 0.06
"""How often even a good agent fails a caller."""

Message = dict[str, Any]


def caller_id(seed: str, number: int) -> str:
    """A phone number; the same seed and number always give the same one."""
    return f"+1555{random.Random(f'{seed}/{number}').randrange(10**7):07d}"


def conversation(seed: str, number: int, system_prompt: str) -> list[Message]:
    """One call, as OpenAI chat messages."""
    chance = random.Random(f"{seed}/{number}/call")
    day, hour, reason = chance.choice(DAYS), chance.randrange(8, 17), chance.choice(REASONS)
    opening = [
        {"role": "system", "content": system_prompt},
        {"role": "user", "content": f"Hello, I need an appointment for {reason} on {day} at {hour}."},
    ]
    if "never look into the calendar" in system_prompt:
        return [*opening, *_careless(chance, day, hour)]
    greeting = "Good to hear from you! Of course" if "warm" in system_prompt else "Certainly"
    if chance.random() < LAPSE_RATE:
        return [*opening, *_lapse(greeting, day)]
    return [*opening, *_booking(greeting, day, hour)]


def _says(text: str) -> Message:
    return {"role": "assistant", "content": text}


def _hears(text: str) -> Message:
    return {"role": "user", "content": text}


def _calls(name: str, arguments: str, result: str) -> list[Message]:
    call = {"id": "call-1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call-1", "content": result},
    ]


def _booking(greeting: str, day: str, hour: int) -> list[Message]:
    return [
        _says(f"{greeting}, let me look into the calendar for {day}."),
        *_calls("book", f'{{"day": "{day}", "hour": {hour}}}', '{"status": "booked"}'),
        _says(f"Thank you for waiting. You are booked for {day} at {hour}. Is there anything else, please?"),
        _hears("No, that is all. Thank you!"),
        _says("You are welcome. See you then!"),
    ]


def _lapse(greeting: str, day: str) -> list[Message]:
    return [
        _says(f"{greeting}, let me look into the calendar for {day}."),
        *_calls("book", f'{{"day": "{day}"}}', '{"status": "no such hour"}'),
        _says(f"I am sorry, I cannot find a free hour on {day}. Could you call again tomorrow, please?"),
        _hears("That is a pity. Goodbye."),
    ]


def _careless(chance: random.Random, day: str, hour: int) -> list[Message]:
    other = chance.choice([d for d in DAYS if d != day])
    return [
        _says("Yes."),
        _hears(f"So is {day} at {hour} free?"),
        _says(f"Come on {other}. As I said."),
        _hears("That is not what I asked for. This is useless."),
        _says("Anything else."),
    ]
