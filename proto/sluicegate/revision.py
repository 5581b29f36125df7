"""The judge revision: two scores are comparable if, and only if, theirs is the same."""

import hashlib

import msgspec

from sluicegate.policy import Policy

PROMPT_REVISION = 1
"""To be raised with every change of the judge's prompt, answer schema or truncation rule; a test holds it to that."""


def judge_revision(policy: Policy) -> str:
    """Twelve hex digits over all that can move a score: rubrics, prompt, schema, parameters, requested model."""
    told = msgspec.json.encode([PROMPT_REVISION, policy.rubrics, policy.judge], order="deterministic")
    return hashlib.sha256(told).hexdigest()[:12]
