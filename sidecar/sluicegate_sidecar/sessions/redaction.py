"""What may tell who the caller is, replaced by `[email]`, `[phone]`, `[card]`, `[iban]` or `[name]`. Pure.

Names, addresses, and whatever is spelled out in words are not found.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import islice

import msgspec

from sluicegate.policy import Capture, CustomPattern, Preset
from sluicegate_sidecar.sessions.presets import Span, emails, numbers
from sluicegate_sidecar.sessions.session import Item

_SEPARATOR = "\0"
"""Between items. No preset matches it: it is no letter, digit, space or punctuation."""

# Ways around, and what word processors and models write: full-width and other digits, dashes that do not break, spaces
# of other widths. Each is read as one ASCII character, so that positions stay.
_ASCII = bytes(range(128))
_INVISIBLE = re.compile("[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+")
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_SPACES = "\u00a0\u2000-\u200a\u202f\u205f\u3000"
_INVISIBLE_WITHIN = re.compile(f"(?<=[ -~\uff01-\uff5e{_DASHES}{_SPACES}\\d]){_INVISIBLE.pattern}")
_UNUSUAL = re.compile(f"[\uff01-\uff5e{_DASHES}{_SPACES}]|[^\\D0-9]")


class Redactor:
    """Redacts sessions as a policy's `capture` says. Compiles its patterns once; holds nothing of a session."""

    def __init__(self, capture: Capture) -> None:
        """ValueError if a pattern of the policy does not compile."""
        as_told = capture.content == "full"
        self._presets: frozenset[Preset] = frozenset() if as_told else frozenset(capture.redact)
        own = () if as_told else capture.patterns
        names = [*capture.redact, *(pattern.name for pattern in own)]
        self._own = [(pattern.name, _own_pattern(pattern, names)) for pattern in own]

    def redact(self, items: tuple[Item, ...]) -> tuple[tuple[Item, ...], Mapping[str, int]]:
        """The same items with their texts redacted, and how often each preset or pattern was replaced, zeros left out.

        The policy's own patterns go first. Arguments and outputs are read as text: a card that was a bare number leaves
        `[card]`, which is not JSON. Characters without width that follow an ASCII one, or one that is read as such,
        are dropped, since they serve to break up what is looked for.
        """
        found: Counter[str] = Counter()
        texts = told = [item.text for item in items]
        if self._own:
            texts = [self._without_own(text, found) for text in texts]
        if self._presets:
            texts = self._without_presets(texts, found)
        if not found and texts == told:
            return items, {}
        changed = (
            item if item.text == text else msgspec.structs.replace(item, text=text)
            for item, text in zip(items, texts, strict=True)
        )
        return tuple(changed), dict(found)

    def _without_own(self, text: str, found: Counter[str]) -> str:
        """`text` without what the policy's own patterns match. One item at a time: they may match any separator."""
        for name, pattern in self._own:
            # What was replaced before stays: `[email]` holds no word to be found.
            hits = sum(match["replaced"] is None for match in pattern.finditer(text))
            if hits:
                found[name] += hits
                text = pattern.sub(partial(_placeholder, name), text)
        return text

    def _without_presets(self, texts: list[str], found: Counter[str]) -> list[str]:
        """All texts in one go: the cost of a call is the same for a word as for a page."""
        joined = _SEPARATOR.join(texts)
        joined, seen = _seen(joined)
        if "email" in self._presets:
            joined, seen = _replaced(joined, seen, list(emails(seen)), found)
        if self._presets - {"email"}:
            joined, seen = _replaced(joined, seen, list(numbers(seen, self._presets)), found)
        parts = joined.split(_SEPARATOR)
        if len(parts) == len(texts):
            return parts
        # Somebody said the separator, and it parted what was around it; nothing else does harm.
        rest = iter(parts)
        return [_SEPARATOR.join(islice(rest, text.count(_SEPARATOR) + 1)) for text in texts]


def _own_pattern(own: CustomPattern, names: list[str]) -> re.Pattern[str]:
    try:
        return re.compile(rf"(?P<replaced>\[(?:{'|'.join(names)})\])|(?:{own.pattern})")
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"capture pattern {own.name}: not a regular expression: {error}") from error


def _placeholder(name: str, match: re.Match[str]) -> str:
    return match["replaced"] or f"[{name}]"


def _seen(text: str) -> tuple[str, str]:
    """`text` without what is invisible, and how it is read, position by position."""
    if text.isascii():
        return text, text
    # A search in what is left without ASCII costs a fraction of one in all of the text, and mostly there is nothing.
    rest = text.encode("utf-8", "surrogatepass").translate(None, _ASCII).decode("utf-8", "surrogatepass")
    if _INVISIBLE.search(rest):
        text = _INVISIBLE_WITHIN.sub("", text)
    seen = text
    for character in set(_UNUSUAL.findall(rest)):
        seen = seen.replace(character, _usual(character))
    return text, seen


def _replaced(text: str, seen: str, spans: list[Span], found: Counter[str]) -> tuple[str, str]:
    """`text`, and how it is `seen`, position by position, with the spans replaced."""
    if not spans:
        return text, seen
    found.update(preset for _, _, preset in spans)
    cut = _cut(text, spans)
    return cut, cut if seen is text else _cut(seen, spans)


def _cut(text: str, spans: list[Span]) -> str:
    parts, kept = [], 0
    for start, end, preset in spans:
        parts += [text[kept:start], f"[{preset}]"]
        # What is invisible goes after a replacement as it goes after any ASCII character.
        hidden = _INVISIBLE.match(text, end)
        kept = hidden.end() if hidden else end
    return "".join([*parts, text[kept:]])


def _usual(character: str) -> str:
    if "\uff01" <= character <= "\uff5e":
        return chr(ord(character) - 0xFEE0)
    if character in _DASHES:
        return "-"
    return str(unicodedata.decimal(character, " "))
