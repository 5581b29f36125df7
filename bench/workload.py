"""What is asked of the parts: 2 KB prompts, 100,000 callers, 20 KB transcripts."""

import random

from redis.asyncio import Redis

from parts import AGENT
from sluicegate.experiment import ExperimentInForce, Variant
from sluicegate.keys import Keys
from sluicegate.policy import Policy
from sluicegate.v1 import assignment_pb2, session_pb2
from sluicegate_cli import synthetic_callers
from sluicegate_client.openai_messages import items
from sluicegate_operator.delivery.snapshot import Delivery

CALLERS = 100_000
PROMPT_BYTES = 2_048
TRANSCRIPT_BYTES = 20_000
KEYS = Keys("default", AGENT)
POLICY = Policy(sampling_rate=1.0)
SMALL_TALK = (
    "As I said, the tooth on the upper left has been a little sensitive since the weekend, mostly with cold drinks.",
    "If it helps, I was with you in spring already, for the filling on the other side, and all went well then.",
    "I can come before work or after four, and I would like to know beforehand what it may cost me in all.",
)


def prompt(seed: str) -> str:
    """A system prompt of PROMPT_BYTES."""
    words = random.Random(seed)
    rule = ("Greet", "Ask", "Confirm", "Repeat", "Offer", "Thank", "Book", "Wait")
    lines = (f"{words.choice(rule)} before you {words.choice(rule).lower()}, politely.\n" for _ in range(100))
    return "".join(lines)[:PROMPT_BYTES]


def experiment(run_id: str = "1", weight: float = 0.5) -> ExperimentInForce:
    """An experiment on its ramp that has all of its sessions judged."""
    return ExperimentInForce(
        name="shorter-greeting",
        run_id=run_id,
        salt=f"shorter-greeting/{run_id}",
        unit="Caller",
        variants=(
            Variant(name="current", control=True, config={"model": "gpt-4o", "systemPrompt": prompt("current")}),
            Variant(name="concise", config={"model": "gpt-4o", "systemPrompt": prompt("concise")}),
        ),
        step=1,
        weight=weight,
        sampling_rate=1.0,
    )


async def deliver(redis: Redis, policy: Policy = POLICY) -> None:
    """Puts a snapshot into an empty Redis, as the control plane does."""
    delivery = Delivery(redis, KEYS)
    await delivery.put_policy(policy, 0, 1)
    await delivery.put_experiment(experiment(), None, 0, 1)


def caller(number: int) -> str:
    return f"+1555{number % CALLERS:07d}"


def assign_requests(label: str, count: int) -> list[bytes]:
    """Calls of `count` new sessions, by as many callers as there are."""
    numbers = range(count)
    return [
        assignment_pb2.AssignRequest(
            session_id=f"call-{label}-{number:012d}", caller_id=caller(number * 7919)
        ).SerializeToString()
        for number in numbers
    ]


def transcript() -> list[session_pb2.Item]:
    """About TRANSCRIPT_BYTES of calls at a reception in items of about 300 B, in which callers say who they are."""
    told: list[session_pb2.Item] = []
    number = size = 0
    while size < TRANSCRIPT_BYTES:
        messages = synthetic_callers.conversation("bench", number, "Be warm.")[1:]
        for message in messages:
            if message.get("content"):
                message["content"] = " ".join([message["content"], *SMALL_TALK[: 1 + number % 3]])
        messages.append(
            {"role": "user", "content": f"Write to ann{number}@example.com or call +1 555 010 {number:02d}99"}
        )
        more = items(messages)
        told += more
        size += sum(item.ByteSize() for item in more)
        number += 1
    return told


def record_requests(label: str, count: int) -> list[bytes]:
    """Sessions of one and the same transcript, each with an id of its own."""
    said = transcript()
    return [
        session_pb2.RecordSessionRequest(
            session=session_pb2.Session(
                session_id=f"call-{label}-{number:012d}",
                caller_id=caller(number * 7919),
                items=said,
                end_reason=session_pb2.END_REASON_COMPLETED,
            )
        ).SerializeToString()
        for number in range(count)
    ]
