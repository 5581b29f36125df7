"""Unquoted YAML scalars: read where all YAML readers agree on the value, refused where they differ.

`kubectl` reads YAML 1.1 with exceptions of its own, most others read 1.2: `no` is false to one and a text to the other,
`010` is 8 or 10, and `1e3` a number or a text.
"""

import re

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_DOUBTFUL_BOOLEAN = re.compile(r"y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF")

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?((0|[1-9][0-9]*)\.[0-9]*([eE][-+][0-9]+)?|\.[0-9]+)")
_NOT_A_JSON_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_DOUBTFUL_NUMBER = re.compile(
    r"[-+]?(0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?)"
    r"|[-+]?\.[0-9][0-9_]*[eE][-+]?[0-9]+"
)
_INT64 = range(-(2**63), 2**63)


class DoubtfulScalar(ValueError):
    """The scalar has no value that all readers agree on; the message says how to write it instead."""


def plain_scalar(text: str) -> bool | int | float | str | None:
    """The value of the unquoted scalar `text`; DoubtfulScalar if readers differ on it."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _DOUBTFUL_BOOLEAN.fullmatch(text):
        raise DoubtfulScalar(f"some readers take {text} for a boolean: write true or false, or quote it")
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return _float(text)
    if _NOT_A_JSON_NUMBER.fullmatch(text):
        raise DoubtfulScalar(f"{text} is not a number that a resource can hold")
    if _DOUBTFUL_NUMBER.fullmatch(text):
        raise DoubtfulScalar(f"readers differ on the number {text[:40]}: write it in plain decimals, or quote it")
    return text


def _integer(text: str) -> int:
    # The length first: Python refuses to read very long numbers at all.
    if len(text) > 20 or int(text) not in _INT64:
        raise DoubtfulScalar("the number does not fit 64 bits: quote it")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if abs(value) == float("inf"):
        raise DoubtfulScalar(f"the number {text[:40]} is too large: quote it")
    return value
