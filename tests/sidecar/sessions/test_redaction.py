"""What may tell who the caller is goes, what only looks like it stays, and nothing else changes."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.policy import Capture, CustomPattern
from sluicegate.resources.pattern import most_steps
from sluicegate_sidecar.sessions import presets
from sluicegate_sidecar.sessions.presets import Span
from sluicegate_sidecar.sessions.redaction import Redactor
from sluicegate_sidecar.sessions.session import Item, ItemKind

REAL = Path(__file__).parents[4] / "shared/data/tau-airline/conversations.jsonl"
DEFAULT = Redactor(Capture())

PHONES = [
    "+1 555 010 9999",
    "+15550109999",
    "+1 (555) 010-9999",
    "(555) 010-9999",
    "(555)010-9999",
    "555-010-9999",
    "555.010.9999",
    "555 010 9999",
    "1-800-555-0199",
    "1 (800) 555-0199",
    "555-010-9999 ext. 12",
    "555-010-9999x12",
    "+49 30 12345678",
    "+49 (0)30 1234 5678",
    "(+49) 30 12345678",
    "0049 30 12345678",
    "030 12345678",
    "(030) 123 45 67",
    "030/1234567",
    "0171-1234567",
    "01711234567",
    "+44 20 7946 0958",
    "020 7946 0958",
    "07700 900123",
    "07700900123",
    "+33 1 23 45 67 89",
    "01 23 45 67 89",
    "01.23.45.67.89",
    "06-12-34-56-78",
    "06-12345678",
    "+31 20 123 4567",
    "044 668 18 00",
    "+41 44 668 18 00",
    "0470 12 34 56",
    "+34 612 345 678",
    "612 345 678",
    "912 34 56 78",
    "+39 06 1234 5678",
    "347 123 4567",
    "+48 22 123 45 67",
    "22 123 45 67",
    "08-123 456 78",
    "+45 12 34 56 78",
    "8 (495) 123-45-67",
    "+7 495 123-45-67",
    "0 (212) 345 67 89",
    "0532 123 45 67",
    "03-1234-5678",
    "+81 90-1234-5678",
    "010-1234-5678",
    "138 0013 8000",
    "+86 138 0013 8000",
    "98765 43210",
    "+91 98765 43210",
    "(11) 91234-5678",
    "+55 (11) 91234-5678",
    "55 1234 5678",
    "(02) 9876 5432",
    "0412 345 678",
    "+65 6123 4567",
    "+972 3-123-4567",
    "082 123 4567",
    "+30 210 123 4567",
    "５５５-０１０-９９９９",
    "555\u2011010\u20119999",
    "+33\u202f1\u00a023 45 67 89",
    "٠٣٠ ١٢٣٤٥٦٧٨",
    "+49 30 1\u200b2345678",
]
CARDS = [
    "4111111111111111",
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "4111.1111.1111.1111",
    "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    "41 11 11 11 11 11 11 11",
    "４１１１ １１１１ １１１１ １１１１",
    "4111\u200b1111\u200b1111\u200b1111",
    "4111\u00a01111\u00a01111\u00a01111",
    "378282246310005",
    "3782 822463 10005",
    "3056 930902 5904",
    "5555 5555 5555 4444",
    "2223 0031 2200 3222",
    "6011111111111117",
    "4222222222222",
    "6304000000000000000",
]
IBANS = [
    "DE89370400440532013000",
    "DE89 3704 0044 0532 0130 00",
    "de89 3704 0044 0532 0130 00",
    "DE89-3704-0044-0532-0130-00",
    "GB29 NWBK 6016 1331 9268 19",
    "FR14 2004 1010 0505 0001 3M02 606",
    "NL91ABNA0417164300",
    "BE68 5390 0754 7034",
    "CH93 0076 2011 6238 5295 7",
    "NO93 8601 1117 947",
    "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
    "ＤＥ８９ 3704 0044 0532 0130 00",
]
EMAILS = [
    "jane@example.com",
    "jane.doe+news@mail.example.co.uk",
    "JANE_DOE-7@EXAMPLE.COM",
    "jürgen@müller.example",
    "4930123456@example.com",
    "jane＠example．com",
    "ja\u200bne@exam\u00adple.com",
    "a@b.co",
]
FOUND = [
    pytest.param(preset, value, id=f"{preset}-{value}".encode("unicode_escape").decode())
    for preset, values in {"phone": PHONES, "card": CARDS, "iban": IBANS, "email": EMAILS}.items()
    for value in values
]
HARMLESS = [
    "2024-05-15",
    "2024-05-15 15:00:00",
    "2024-05-15T15:00:00.123456789+02:00",
    "2024-05-15T15:00:00Z 2024-05-16T15:00:00Z",
    "15.05.2024 16.05.2024",
    "05/15/2024 - 05/20/2024",
    "15-05-24",
    "20240515",
    "1715785200",
    "1715785200000",
    "12345678",
    "order 1234567890",
    "order 4111111111111112",
    "#4930123456",
    "ORD-2024-123456",
    "ORD-030-1234567",
    "credit_card_4421486",
    "gift_card_6276644",
    "certificate_4856383",
    "HAT136, HAT039",
    "4WQ150 60RX9E",
    "mia_li_3668",
    "$1,234,567.89",
    "$ 612, $345, $678",
    "1 234 567,89",
    "52.520008, 13.404954",
    "3.14159265358979",
    "192.168.100.200",
    "123e4567-e89b-12d3-a456-426614174000",
    "12345678-1234-1234-1234-123456789012",
    "a1b2c3d4e5f60718293a4b5c6d7e8f90",
    "09:00 - 17:30, 10:00 - 16:00",
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
    "seats 10 20 30 40",
    "room 101, floor 12",
    "DE00370400440532013000",
    "package@1.2.3",
    "@handle and user@host",
    "a @ b.com",
    "version 10.20.3040",
    "We have 2024 2025 and 2026.",
]
AROUND = ["{}", "It is {}, thanks.", "({})", '{{"value": "{}"}}']


def message(text: str) -> Item:
    return Item(kind="message", role="user", text=text)


def redacted(text: str, redactor: Redactor = DEFAULT) -> tuple[str, dict[str, int]]:
    (item,), counts = redactor.redact((message(text),))
    return item.text, dict(counts)


@pytest.mark.parametrize(("preset", "value"), FOUND)
@pytest.mark.parametrize("around", [*AROUND, "x: {}\n", "Is it {}? Yes"])
def test_what_tells_who_the_caller_is_goes(preset: str, value: str, around: str) -> None:
    """All of it and nothing around it, in a sentence as in JSON, whatever digits and dashes it is written with."""
    assert redacted(around.format(value)) == (around.format(f"[{preset}]"), {preset: 1})


@pytest.mark.parametrize("value", HARMLESS)
@pytest.mark.parametrize("around", AROUND)
def test_what_only_looks_like_it_stays(value: str, around: str) -> None:
    """Dates, times, prices, orders, ids, addresses of machines: the judge needs them."""
    assert redacted(around.format(value)) == (around.format(value), {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Call me at 5550109999.", "Call me at [phone]."),
        ('{"phone_number": "5550109999", "id": 5550109999}', '{"phone_number": "[phone]", "id": 5550109999}'),
        ("My phone number is 555-0199 12", "My phone number is [phone]"),
        ("my fax: 12 34 56 78", "my fax: [phone]"),
        ("I cancelled 5550109999", "I cancelled 5550109999"),
        ("my phone, order 5550109999", "my phone, order 5550109999"),
        ("phone order #5550109999", "phone order #5550109999"),
    ],
)
def test_a_word_before_digits_says_that_they_are_a_telephone_number(text: str, expected: str) -> None:
    """Without separators and without + or 0, only the word before tells a telephone from an order."""
    assert redacted(text)[0] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "030 12345678 4111 1111 1111 1111 jane@example.com DE89 3704 0044 0532 0130 00",
            "[phone] [card] [email] [iban]",
        ),
        ("4111 1111 1111 1111 12/27 123", "[card] 12/27 123"),
        ("4111111111111111-030 12345678", "[card]-[phone]"),
        ("4111111111111111,378282246310005", "[card],[card]"),
        ("2024-05-15 4111 1111 1111 1111", "2024-05-15 [card]"),
        ("555-010-9999/555-010-8888", "[phone]/[phone]"),
        ("555-010-9999.Thanks", "[phone].Thanks"),
        ("jane@example.com,joe@example.com", "[email],[email]"),
        ("jane@example.com.4111111111111111", "[email].[card]"),
        ("４１１１１１１１１１１１１１１１\u200b 030 12345678", "[card] [phone]"),
        ("joé@müllé.exampé\u200b030 12345678", "[email][phone]"),
        ("<jane@example.com>", "<[email]>"),
        ("jane@example.com@example.org", "[email]@example.org"),
        (
            r'{"a": "x\njane@example.com\n030 12345678\nDE89370400440532013000"}',
            r'{"a": "x\n[email]\n[phone]\n[iban]"}',
        ),
        ('{"card": 4111111111111111}', '{"card": [card]}'),
        ("1️⃣ नमस्ते\u200d 👩\u200d👧 می\u200cخواهم", "1️⃣ नमस्ते\u200d 👩\u200d👧 می\u200cخواهم"),
    ],
)
def test_neighbours(text: str, expected: str) -> None:
    """What stands side by side is told apart, in text and in JSON with its escapes."""
    assert redacted(text)[0] == expected


@pytest.mark.parametrize("preset", ["email", "phone", "card", "iban"])
def test_only_the_presets_of_the_policy_are_replaced(preset: Any) -> None:
    """What is not in the list stays."""
    values = {"email": EMAILS[0], "phone": PHONES[0], "card": CARDS[0], "iban": IBANS[0]}
    text = " and ".join(values.values())
    assert redacted(text, Redactor(Capture(redact=(preset,)))) == (
        text.replace(values[preset], f"[{preset}]"),
        {preset: 1},
    )


def test_an_empty_list_replaces_nothing() -> None:
    """Not even what is invisible is touched."""
    text = "jane@exa\u200bmple.com"
    assert redacted(text, Redactor(Capture(redact=()))) == (text, {})


def test_full_is_as_told() -> None:
    """The patterns of the policy count for nothing then."""
    capture = Capture(content="full", patterns=(CustomPattern(name="any", pattern="."),))
    assert redacted(EMAILS[0], Redactor(capture)) == (EMAILS[0], {})


def test_none_is_redacted_too() -> None:
    """The judge still works on it, outside the pod."""
    assert redacted(EMAILS[0], Redactor(Capture(content="none"))) == ("[email]", {"email": 1})


def test_own_patterns_are_replaced_by_their_names() -> None:
    """In the order of the policy, before the presets, and without a look at what is replaced already."""
    patterns = (
        CustomPattern(name="record", pattern=r"\bMRN \d{6,10}\b"),
        CustomPattern(name="word", pattern="(?i:RECORD|email|secret)"),
    )
    redactor = Redactor(Capture(patterns=patterns))
    text = "Secret: MRN 0301234567, record, [email] email jane@example.com"
    expected = "[word]: [record], [word], [email] [word] [email]"
    assert redacted(text, redactor) == (expected, {"record": 1, "word": 3, "email": 1})
    assert redacted(expected, redactor) == (expected, {})


def test_an_own_pattern_sees_one_item_at_a_time() -> None:
    """Its start is the item's start, and it takes nothing of the next."""
    redactor = Redactor(Capture(patterns=(CustomPattern(name="all", pattern=r"^[\s\S]{1,99}$"),)))
    items, counts = redactor.redact((message("one"), message("two\0three"), message("")))
    assert [item.text for item in items] == ["[all]", "[all]", ""]
    assert counts == {"all": 2}


def test_a_pattern_that_does_not_compile_is_refused_with_its_name() -> None:
    """A policy that came past the check of resources must not be taken to redact."""
    with pytest.raises(ValueError, match="capture pattern broken: not a regular expression"):
        Redactor(Capture(patterns=(CustomPattern(name="broken", pattern="("),)))


def test_only_texts_change() -> None:
    """Kinds, roles, times, names and ids of calls stay, and an item without a finding is the same one."""
    call = Item(
        kind="function_call",
        at=7.0,
        call_id="+49 30 12345678",
        name="jane@example.com",
        text='{"to": "+49 30 1234567"}',
    )
    plain = Item(kind="function_call_output", call_id="c", text="done", is_error=True)
    items, _ = DEFAULT.redact((call, plain))
    assert items[0] == Item(
        kind="function_call", at=7.0, call_id="+49 30 12345678", name="jane@example.com", text='{"to": "[phone]"}'
    )
    assert items[1] is plain


def test_no_items_are_no_items() -> None:
    """Nothing to join, nothing to part."""
    assert DEFAULT.redact(()) == ((), {})


PLACEHOLDERS = ["[email]", "[phone]", "[card]", "[iban]"]
VALUES = [*PHONES, *CARDS, *IBANS, *EMAILS, *HARMLESS]
FRAGMENTS = st.sampled_from(
    [*VALUES, *PLACEHOLDERS, *"0123456789+-./() @,:#$_abXYDE\0\n\u200b\u2011é\ud800", "phone ", "\\n"]
)
TEXTS = st.lists(FRAGMENTS, max_size=12).map("".join)
KINDS: list[ItemKind] = ["message", "function_call", "function_call_output", "handoff", "interruption", "error"]
ITEMS = st.lists(st.builds(Item, kind=st.sampled_from(KINDS), text=TEXTS), max_size=5).map(tuple)


@settings(max_examples=600, deadline=None)
@given(items=ITEMS)
def test_no_item_knows_of_the_others(items: tuple[Item, ...]) -> None:
    """All at once is each on its own: number and kinds stay, nothing is matched across, and the counts add up."""
    together, counts = DEFAULT.redact(items)
    each = [DEFAULT.redact((item,)) for item in items]
    assert together == tuple(item for (item,), _ in each)
    assert counts == sum((Counter(found) for _, found in each), Counter[str]())
    assert [item.kind for item in together] == [item.kind for item in items]


@settings(max_examples=600, deadline=None)
@given(items=ITEMS)
def test_redacting_twice_is_redacting_once(items: tuple[Item, ...]) -> None:
    """What was replaced hides nothing, makes nothing, and is not counted again."""
    once, _ = DEFAULT.redact(items)
    assert DEFAULT.redact(once) == (once, {})


@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
def test_the_counts_are_what_was_put_in(text: str) -> None:
    """As many replacements as there are more of in the text."""
    after, counts = redacted(text)
    for placeholder in PLACEHOLDERS:
        assert after.count(placeholder) - text.count(placeholder) == counts.get(placeholder[1:-1], 0)


AT_ONE_PLACE = {
    name: pattern for name, pattern in vars(presets).items() if isinstance(pattern, re.Pattern) and name != "_DIGITS"
}


@pytest.mark.parametrize("name", AT_ONE_PLACE)
def test_every_pattern_has_a_bound_at_one_place(name: str) -> None:
    """Whatever the text is. The one that has none passes over what it matched, and never looks at it again."""
    assert most_steps(AT_ONE_PLACE[name].pattern) <= 2000


class Counting:
    """The pattern that starts at digits, and how many characters it was let over."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self.passed = 0

    def search(self, text: str, start: int, end: int) -> re.Match[str] | None:
        match = self._pattern.search(text, start, end)
        self.passed += (match.start() if match else min(end, len(text))) - start + 1
        return match


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "1",
            "4",
            "4 ",
            "4111 ",
            "1.",
            "+1 ",
            "(",
            "0 ",
            "0 1",
            "00",
            "DE11 ",
            "DE11-",
            "2024-05-15 ",
            "1 (",
            "phone 1",
        ),
        *("555-010-", "4111-", "1-1-", "        1", "x1234567", "1234567x", "a@", "a.", "a@a.", "@", "1@1."),
    ],
)
def test_the_work_grows_with_the_text_and_not_faster(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No place is looked at twice, and no character is searched over more than a few times, however long the text is.

    Beside the bound at one place this is a bound of all the work.
    """
    looked_at = 0
    at = presets._at

    def counted(*arguments: Any) -> Span | None:
        nonlocal looked_at
        looked_at += 1
        return at(*arguments)

    monkeypatch.setattr(presets, "_at", counted)
    for size in (2_000, 20_000):
        text = (unit * size)[:size]
        looked_at = 0
        counting = Counting(AT_ONE_PLACE["_NUMBER"])
        monkeypatch.setattr(presets, "_NUMBER", counting)
        DEFAULT.redact((message(text),))
        assert looked_at <= size
        assert counting.passed <= 12 * size


def conversations() -> Iterator[tuple[Item, ...]]:
    for line in REAL.read_text(encoding="utf-8").splitlines():
        messages = json.loads(line)["messages"]
        texts = [message["content"] or "" for message in messages]
        texts += [json.dumps(message["tool_calls"]) for message in messages if message.get("tool_calls")]
        yield tuple(map(message, texts))


@pytest.mark.skipif(not REAL.exists(), reason=f"needs the conversations at {REAL}")
def test_of_real_conversations_only_addresses_go() -> None:
    """Reservations, flights, dates, prices and ids of payments stay: there are no other numbers in these."""
    address = re.compile(r"[a-z_]+[._a-z0-9]*@(?:example|gmail)\.com")
    found: Counter[str] = Counter()
    for items in conversations():
        after, counts = DEFAULT.redact(items)
        found.update(counts)
        assert [item.text for item in after] == [address.sub("[email]", item.text) for item in items]
    assert found.keys() == {"email"}
    assert found["email"] > 50
