r"""Whether a regular expression may be run over whatever callers say.

Python's engine backtracks, so a pattern is refused unless its work from any one place in the text has a bound, which is
computed here from its parse tree, without regard to what the parts match: a repetition of n characters is n steps and
leaves n ways to go on, and what follows is tried on every way. A possessive repetition or an atomic group leaves one.
So `\d{6,8}` and `\w{1,40}+ \w{1,40}+` pass; `\w+@`, quadratic over a long word, and `(a{1,9}){1,9}` do not.
"""

import re
import re._constants as code  # type: ignore[import-not-found] # typeshed has it under a deprecated name only
import re._parser as parser  # type: ignore[import-not-found]
import warnings
from typing import Any

MAX_STEPS = 1000
"""From one place in the text. Over the longest session, a mebibyte, that is seconds at the very worst."""

_ONE_CHARACTER = {code.LITERAL, code.NOT_LITERAL, code.IN, code.ANY}
_LOOKING = {code.ASSERT, code.ASSERT_NOT}
_REPEATS = {code.MAX_REPEAT, code.MIN_REPEAT, code.POSSESSIVE_REPEAT}


class _Refused(Exception):
    """Says why, and what to write instead."""


def fault_of(pattern: str) -> str | None:
    """What is wrong with `pattern`, with the way out; None if it may be run."""
    try:
        with warnings.catch_warnings():
            # A pattern that Python warns of may come to mean something else.
            warnings.simplefilter("error")
            re.compile(pattern)
            # As it is run: beside others, so flags for all of the pattern have no place.
            re.compile(f"x|(?:{pattern})")
    except (re.error, OverflowError, RecursionError, Warning) as error:
        hint = "; write (?i:...) for (?i)..." if "global flags" in str(error) else ""
        return f"must be a regular expression of Python: {error}{hint}"
    try:
        steps = most_steps(pattern)
    except _Refused as refused:
        return str(refused)
    if steps > MAX_STEPS:
        return (
            f"could run away: up to {_rounded(steps)} steps from one place in the text, and {MAX_STEPS} are allowed; "
            r"lower the bounds, or make repetitions possessive, as in \w{1,40}+"
        )
    return None


def most_steps(pattern: str) -> int:
    """An upper bound of the characters that are looked at from one place in the text; capped far over MAX_STEPS."""
    parsed = parser.parse(pattern)
    if parsed.getwidth()[0] == 0:
        raise _Refused("must not match nothing: let it take at least one character")
    return _sequence(parsed)[0]


_CAP = 10**9


def _rounded(steps: int) -> str:
    return "a billion or more" if steps >= _CAP else str(steps)


def _sequence(parts: Any) -> tuple[int, int]:
    """The steps that `parts`, one after the other, take at most, and the ways they leave to go on."""
    steps, ways = 0, 1
    for operation, argument in parts:
        more, branches = _part(operation, argument)
        steps, ways = min(steps + ways * more, _CAP), min(ways * branches, _CAP)
    return steps, ways


def _part(operation: Any, argument: Any) -> tuple[int, int]:
    if operation in _ONE_CHARACTER or operation is code.AT:
        return 1, 1
    if operation is code.SUBPATTERN:
        return _sequence(argument[3])
    if operation is code.ATOMIC_GROUP:
        return _sequence(argument)[0], 1
    if operation in _LOOKING:
        return _sequence(argument[1])[0] + 1, 1
    if operation is code.BRANCH:
        branches = [_sequence(branch) for branch in argument[1]]
        return sum(steps + 1 for steps, _ in branches), sum(ways for _, ways in branches)
    if operation in _REPEATS:
        return _repeat(operation, *argument)
    raise _Refused("must not refer back to a group, as \\1 does: write out what is to be matched")


def _repeat(operation: Any, least: int, most: int, repeated: Any) -> tuple[int, int]:
    if most is code.MAXREPEAT or most > MAX_STEPS:
        raise _Refused(
            f"could run away: every repetition needs an upper bound of {MAX_STEPS} at most; write {{0,64}} for * and "
            "{1,64} for +"
        )
    each, branches = _sequence(repeated)
    steps, ways, so_far = 0, 0, 1
    for count in range(most + 1):
        ways = min(ways + so_far, _CAP) if count >= least else ways
        if count < most:
            steps, so_far = min(steps + so_far * each, _CAP), min(so_far * branches, _CAP)
    return steps, 1 if operation is code.POSSESSIVE_REPEAT else ways
