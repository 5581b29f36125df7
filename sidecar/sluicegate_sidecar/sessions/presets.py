"""Where in a text there are e-mail addresses, telephone numbers, payment cards and IBANs. Pure.

A mark that is rare, an `@` or the first digit of a group, is searched for; only there a bounded pattern looks at what
is around it. So the work grows with the text and not faster, whatever the text is.

Telephone numbers are known by their form, since the numbering plans of the world would have to be told the country of
each caller, and the forms that people write are few. Numbers without separators count if they start with + or 0, or if
a word before them says what they are. Digits before which there is a letter are part of an id.
"""

import re
from collections.abc import Iterator

from sluicegate.policy import Preset

Span = tuple[int, int, Preset]
"""Start and end in the text, and what is there. Spans come in order and do not overlap."""

_LOCAL_BACKWARDS = re.compile(r"[\w.%+\-]{1,64}+")
_DOMAIN = re.compile(r"[\w\-]{1,63}+(?:\.[\w\-]{1,63}+){1,8}+")
_ESCAPES = frozenset("bfnrt")


def emails(text: str) -> Iterator[Span]:
    """Addresses, found from their `@`: a local part, and a domain with a dot whose last label starts with a letter."""
    done = 0
    at = text.find("@")
    while at >= 0:
        end = _domain(text, at + 1)
        local = _LOCAL_BACKWARDS.match(text[max(done, at - 64) : at][::-1]) if end else None
        if local:
            start = at - local.end()
            # The n of `\njane@…` in JSON is a line break.
            start += start > done and text[start - 1] == "\\" and text[start] in _ESCAPES
            if start < at:
                done = end
                yield start, done, "email"
        at = text.find("@", max(at + 1, done))


def _domain(text: str, start: int) -> int:
    """Where the domain from `start` ends, 0 if there is none. What is said after a dot may be no part of it."""
    matched = _DOMAIN.match(text, start)
    labels = matched[0].split(".") if matched else []
    while len(labels) > 1 and not (len(labels[-1]) > 1 and labels[-1][0].isalpha()):
        labels.pop()
    return start + len(".".join(labels)) if len(labels) > 1 else 0


# It starts with a digit, since a plain set of characters is what is searched for fast; what must not be before that
# digit is looked for behind it. The n of `\n030…` in JSON is a line break, not a letter.
_SEPARATED = r"[ .()/\-]{0,3}+"
_NUMBER = re.compile(
    r"[0-9](?:"
    # The letters of an IBAN's country.
    r"(?<=[A-Za-z]{2}.)(?:(?<!\w{3}.)|(?<=\\[bfnrt][A-Za-z]{2}.))(?P<iban>[0-9])"
    r"|(?:(?<!\w.)|(?<=\\[bfnrt].))(?:"
    # Dates and addresses of machines: passed over as a whole.
    r"(?:(?<=[12])[09][0-9]{2}[./\-][0-9]{1,2}[./\-][0-9]{1,2}"
    r"|[0-9]?[./\-][0-9]{1,2}[./\-](?:(?:19|20)[0-9]{2}|[0-9]{2})"
    r"|[0-9]{0,2}(?:\.[0-9]{1,3}){3})(?![0-9]|[./\-][0-9])"
    # Anything else with seven digits.
    rf"|(?P<digits>(?=(?:{_SEPARATED}[0-9]){{6}}))))"
)
_DIGITS = re.compile("[0-9]+")


# A fraction of the time of a search in the text itself: digits and what may be between them become zeros, anything else
# ones, and seven zeros are searched for as the literal that they are.
_LIKE_DIGITS = bytes(ord("0") if chr(code) in "0123456789 .()/-" else ord("1") for code in range(256))
_SEVEN = b"0000000"
_IBAN_HEAD = 12
"""Characters that an IBAN may have before its first run."""


def numbers(text: str, presets: frozenset[Preset]) -> Iterator[Span]:
    """Those of cards, IBANs and telephones that are among `presets`, found from the first digit of a group."""
    done = after = 0
    search = _NUMBER.search
    for start, end in _runs(text):
        after = max(after, start - _IBAN_HEAD)
        while after < end and (match := search(text, after, end)):
            after = match.end()
            if match.lastgroup:
                span = _at(text, match.start(), match.lastgroup, presets, done)
                if span:
                    done = after = span[1]
                    yield span
                elif group := _DIGITS.match(text, after):
                    after = group.end()


def _runs(text: str) -> Iterator[tuple[int, int]]:
    """Where there may be a number: seven or more of digits and what may be between them, up to what is neither."""
    likely = text.encode("ascii", "replace").translate(_LIKE_DIGITS)
    start = likely.find(_SEVEN)
    while start >= 0:
        end = likely.find(b"1", start)
        end = len(likely) if end < 0 else end
        yield start, end
        start = likely.find(_SEVEN, end)


def _at(text: str, start: int, kind: str, presets: frozenset[Preset], done: int) -> Span | None:
    if kind == "iban":
        return _iban(text, start) if "iban" in presets else None
    span = _card(text, start) if "card" in presets else None
    return span or (_phone(text, start, done) if "phone" in presets else None)


# Registry of ISO 13616: characters in all.
_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE BI",
        18: "DK FI FK FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BF CM CF CG DJ FR GR IT MC MR SM",
        28: "AL AZ BJ BY CI CY DO GT HU LB MG ML MZ NI PL SN SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}
_IBAN_REST = re.compile(r"[0-9](?:[ \-]?+[A-Za-z0-9]){12,30}+")


def _iban(text: str, start: int) -> Span | None:
    """The account whose check digits are at `start`, if they are right: ISO 7064, modulo 97-10."""
    country = text[start - 2 : start].upper()
    length = _IBAN_LENGTHS.get(country, 0)
    rest = _IBAN_REST.match(text, start)
    if not length or not rest:
        return None
    places = [place for place in range(start, rest.end()) if text[place].isalnum()][: length - 2]
    end = places[-1] + 1
    if len(places) < length - 2 or text[end : end + 1].isalnum():
        return None
    characters = "".join(text[place] for place in places)
    digits = "".join(str(int(character, 36)) for character in characters[2:] + country + characters[:2])
    return (start - 2, end, "iban") if int(digits) % 97 == 1 else None


_CARD = re.compile(r"[2-6](?:[ .\-]?+[0-9]){12,18}+")
_CARD_SEPARATOR = re.compile(r"[ .\-]")
_CARD_GROUPS = {(4, 6, 5), (4, 6, 4), (4, 3, 3, 3)}
"""How cards are printed when not in groups of one size."""
_VALUES = bytes(code - ord("0") if chr(code) in "0123456789" else 0 for code in range(256))
_DOUBLED = bytes.maketrans(bytes(range(10)), bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))


def _card(text: str, start: int) -> Span | None:
    """The longest number of 13 to 19 digits from `start` that ends with a group and has the right check digit."""
    matched = _CARD.match(text, start)
    if not matched or text[start - 1 : start] == "+":
        return None
    groups = _CARD_SEPARATOR.split(matched[0])
    digits, end = "".join(groups), matched.end()
    while len(digits) >= 13:
        if _grouped(groups) and not _word(text, end) and _luhn(digits):
            return start, end, "card"
        last = len(groups.pop())
        digits, end = digits[:-last], end - last - 1
    return None


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B: from the right, every second digit is doubled."""
    values = digits.encode().translate(_VALUES)[::-1]
    return (sum(values[::2]) + sum(values[1::2].translate(_DOUBLED))) % 10 == 0


def _grouped(groups: list[str]) -> bool:
    sizes = tuple(map(len, groups))
    return sizes in _CARD_GROUPS or (len(set(sizes[:-1])) <= 1 and sizes[-1] <= sizes[0])


def _word(text: str, place: int) -> bool:
    character = text[place : place + 1]
    return character.isalnum() or character == "_"


# What follows: no word, no further part of an id or a decimal. What was replaced counts as the digits that it was, or
# else what is before it would be looked at otherwise the second time.
_END = r"(?:,?+ ?+(?:x|ext\.?+) ?+[0-9]{1,5}+)?+(?!\w|[.\-](?:[0-9]|\[(?:card|iban|phone)\])|-\w)"
_INTERNATIONAL = re.compile(rf"(?:00)?[1-9](?:{_SEPARATED}[0-9]){{6,14}}{_END}")
_NATIONAL = re.compile(
    "(?:"
    # With the 0 of trunk calls, 9 to 12 digits.
    r"0[1-9][0-9]{8,10}"
    rf"|0 ?+\(?+[1-9][0-9]{{0,3}}+[ ()/\-]{{1,3}}+[0-9](?:{_SEPARATED}[0-9]){{4,9}}"
    r"|0[1-9](?:\.[0-9]{2}){4}"
    # North America, Italy, Greece: 3-3-4, and 1 before it.
    r"|(?:1[ .\-]{1,2}+\(?+)?+[2-9][0-9]{2}(?>\)[ .\-]{0,2}+|[ .\-]{1,3}+|/)[0-9]{3}[ .\-]{1,3}+[0-9]{4}"
    # Spain, Portugal, Poland; Poland; India; China; Mexico; Russia.
    r"|[6-9][0-9]{2}(?: [0-9]{3} |-[0-9]{3}-)[0-9]{3}|[5-9][0-9]{2}(?: [0-9]{2}){3}"
    r"|[1-9][0-9] [0-9]{3} [0-9]{2} [0-9]{2}"
    r"|[6-9][0-9]{4}[ \-][0-9]{5}|1[3-9][0-9][ \-][0-9]{4}[ \-][0-9]{4}|[2-9][0-9][ \-][0-9]{4}[ \-][0-9]{4}"
    r"|8[ \-]?+\(?+[3-9][0-9]{2}\)?+[ \-][0-9]{3}[ \-][0-9]{2}[ \-][0-9]{2}"
    rf"){_END}"
)
_AREA_IN_BRACKETS = re.compile(rf"[0-9]{{2,5}}\)[ .\-/]{{0,2}}+[0-9](?:[ .\-]?+[0-9]){{5,8}}{_END}")
_SAID = re.compile(rf"[0-9](?:{_SEPARATED}[0-9]){{6,14}}{_END}")
_SAYING = re.compile(
    r"(?>\b|_)(?>(?>tele|cell|mobile ?+)?+phones?+|tel|mobile|cell|fax|whatsapp|call (?>me |us |back ){0,2}+(?>at|on))"
    r"_?+(?>numbers?+)?+(?![a-z])[^0-9\]#,;\0]{0,16}+\Z",
    re.IGNORECASE,
)
_MONEY_OR_ORDER = frozenset("$€£#")


def _phone(text: str, start: int, done: int) -> Span | None:
    """The telephone number from `start`, with its plus and brackets; `done` is where the last span ended."""
    before = text[max(start - 2, done) : start]
    plus = before[-1:] == "+" or before == "+("
    if plus or text.startswith("00", start):
        matched = _INTERNATIONAL.match(text, start)
    elif before[-1:] in _MONEY_OR_ORDER or (before[-1:] in {".", "-"} and _word(before, 0)):
        return None
    else:
        matched = (
            _NATIONAL.match(text, start)
            or (_AREA_IN_BRACKETS.match(text, start) if before[-1:] == "(" else None)
            or (_SAID.match(text, start) if _said(text, start) else None)
        )
    if not matched:
        return None
    return _opening(text, matched, done), matched.end(), "phone"


def _said(text: str, start: int) -> bool:
    # A digit right before would be in the way anyway.
    return not text[max(start - 2, 0) : start - 1].isdigit() and bool(_SAYING.search(text, max(start - 40, 0), start))


def _opening(text: str, matched: re.Match[str], done: int) -> int:
    """Where the number starts with the plus before its first digit, and with the bracket that it closes."""
    start = matched.start()
    unopened = matched[0].count(")") > matched[0].count("(")
    while start > done and (text[start - 1] == "+" or (unopened and text[start - 1] == "(")):
        start -= 1
        unopened = unopened and text[start] != "("
    return start
