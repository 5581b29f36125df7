"""What redaction costs beside putting the same transcript on the stream, and on the worst texts beside an ordinary one.

The floor is JSON and zstd over the same items: what a session costs anyway before it is sent.
"""

import json
import random
import statistics
import time
from collections.abc import Callable
from functools import partial

import zstandard

from sluicegate.policy import Capture
from sluicegate_sidecar.sessions.redaction import Redactor
from sluicegate_sidecar.sessions.session import Item

CHARACTERS = 20_480
WORST_CHARACTERS = 1 << 20
ROUNDS = 300
WORST = {
    "a@a@a@…": "a@",
    "a.a.a.…": "a.",
    "digits": "4",
    "digits with spaces": "4 ",
    "digits with dots": "1.",
    "dates": "2024-05-15 ",
    "plus signs and digits": "+1 ",
    "groups of four": "4111 ",
    "heads of IBANs": "DE11 ",
    "telephones": "+49 30 1234567, ",
    "addresses": "jane@example.com ",
}

SAID = (
    "I would like to change my reservation 4WQ150 to the flight HAT136 on 2024-05-20, please.",
    "Certainly. There are seats in economy for $152 and in business for $398. Which of them would you like?",
    "Then economy it is. What will I have to pay, and when does it leave?",
    "It leaves at 17:00 and lands at 19:30. The difference of $45 goes to credit_card_4421486, if you agree.",
    "I understand, and I am sorry for the trouble. Let me see what I can do for you; it will take a moment.",
    "Before I go on, I need your confirmation: shall I book it as we said, in economy, with one checked bag?",
    "Yes, please go ahead. And could you tell me whether I may bring my dog along in the cabin, or is that forbidden?",
    '{"reservation_id": "4WQ150", "cabin": "economy", "flights": [{"flight_number": "HAT136", "date": "2024-05-20"}]}',
)
TOLD = ("Write to jane.doe@example.com.", "Call me back at +49 30 1234567.", "My card is 4111 1111 1111 1111.")


def transcript(characters: int) -> tuple[Item, ...]:
    """Items of an ordinary conversation, one in twenty of which tells who the caller is."""
    chosen = random.Random(1)
    items: list[Item] = []
    left = characters
    while left > 0:
        text = chosen.choice(TOLD if len(items) % 20 == 19 else SAID)[:left]
        items.append(Item(kind="message", role="user", text=text))
        left -= len(text)
    return tuple(items)


def microseconds(call: Callable[[], object], rounds: int) -> tuple[float, float]:
    """The median and the 99th percentile of `rounds` calls."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        taken.append((time.perf_counter() - started) * 1e6)
    return statistics.median(taken), sorted(taken)[rounds * 99 // 100]


def stored(items: tuple[Item, ...]) -> bytes:
    return zstandard.compress(json.dumps([item.text for item in items]).encode(), 3)


def main() -> None:
    redactor = Redactor(Capture())
    plain = transcript(CHARACTERS)
    typographic = (*plain[:-1], Item(kind="message", text="That’s it – thanks, 030\u201112345678."))
    _, counts = redactor.redact(plain)
    print(f"{CHARACTERS:,} characters in {len(plain)} items, all presets; replaced: {counts}\n")
    floor, _ = microseconds(lambda: stored(plain), ROUNDS)
    print(f"{'':32} {'p50, µs':>10} {'p99, µs':>10} {'× floor':>8}")
    for what, call in (
        ("floor: json.dumps and zstd", lambda: stored(plain)),
        ("redaction", lambda: redactor.redact(plain)),
        ("redaction, dashes and quotes", lambda: redactor.redact(typographic)),
    ):
        median, worst = microseconds(call, ROUNDS)
        print(f"{what:32} {median:10.0f} {worst:10.0f} {median / floor:8.1f}")

    long = transcript(WORST_CHARACTERS)
    benign, _ = microseconds(lambda: redactor.redact(long), 3)
    print(f"\n{'1 MiB of':32} {'ms':>10} {'× ordinary':>10}")
    print(f"{'ordinary conversation':32} {benign / 1000:10.0f} {1:10.1f}")
    for what, unit in WORST.items():
        text = (unit * (WORST_CHARACTERS // len(unit) + 1))[:WORST_CHARACTERS]
        items = (Item(kind="message", text=text),)
        took, _ = microseconds(partial(redactor.redact, items), 1)
        print(f"{what:32} {took / 1000:10.0f} {took / benign:10.1f}")


if __name__ == "__main__":
    main()
