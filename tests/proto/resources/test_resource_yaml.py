"""YAML is read where every reader agrees on it, and refused with a line where it is broken, doubtful or a bomb."""

from collections.abc import Callable

import pytest

from sluicegate.resources.document import MAX_DEPTH, Document, Flaw, read_documents
from sluicegate.resources.errors import ResourceProblem
from sluicegate.resources.scalar import DoubtfulScalar, plain_scalar

Problems = Callable[[str | bytes], tuple[ResourceProblem, ...]]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("0", 0),
        ("-12", -12),
        ("+5", 5),
        ("9223372036854775807", 2**63 - 1),
        ("0.5", 0.5),
        (".5", 0.5),
        ("-1.", -1.0),
        ("1.5e+3", 1500.0),
        ("warm", "warm"),
        ("1.2.3", "1.2.3"),
        ("09:30", "09:30"),
        ("2026-11-23", "2026-11-23"),
        ("nothing", "nothing"),
        ("0a1b", "0a1b"),
        ("7d", "7d"),
        ("-", "-"),
    ],
)
def test_a_plain_scalar_has_the_value_that_all_readers_give_it(text: str, value: object) -> None:
    """In value and in type."""
    read = plain_scalar(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        *("y", "Y", "yes", "n", "N", "no", "No", "NO", "on", "On", "off", "OFF"),
        *("010", "-010", "00", "08", "007.5", "0x1F", "0o17", "0b11", "1_000", "1e3", "1e-3", "1.5e3", ".5e3", "0_"),
        *(".inf", "-.Inf", ".nan", "1.0e+400", "9223372036854775808", "-" + "9" * 5000),
    ],
)
def test_a_plain_scalar_that_readers_differ_on_is_refused(text: str) -> None:
    """Among them Norway: `no` is a country, or false."""
    with pytest.raises(DoubtfulScalar, match=r"quote it|cannot hold|can hold"):
        plain_scalar(text)


def test_quoted_scalars_are_texts() -> None:
    """Quoting is the way out of every doubt."""
    (document,) = read_documents("a: 'no'\nb: \"010\"\nc: |\n  yes\n")
    assert isinstance(document, Document)
    assert (document.value, document.flaws) == ({"a": "no", "b": "010", "c": "yes\n"}, ())


def test_every_field_knows_its_line() -> None:
    """That of its key; a missing field has the line of what it should be in, across documents."""
    text = "# first\na:\n  - x\n  -\n    b:\n      {c: 1,\n       d: 2}\n---\n# second\n\ne: |\n  text\nf: 1\n"
    first, second = read_documents(text)
    assert isinstance(first, Document)
    assert isinstance(second, Document)
    paths = [("a",), ("a", 0), ("a", 1, "b"), ("a", 1, "b", "d"), ("a", 1, "b", "zz", 5)]
    assert [first.line_of(path) for path in paths] == [2, 3, 5, 7, 5]
    assert [second.line_of(path) for path in [(), ("e",), ("f",)]] == [11, 11, 13]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a:\n\tb: 1\n", 2, "a tab"),
        ("a:\n  b: 1\n\tc: 2\n", 3, "a tab"),
        ("a: 1\nb: [1,\nc: {\n", 4, "not YAML"),
        ("a: 'x\nb: y\n", 3, "quoted scalar that begins at line 3"),
        ("a: 1\nb: c: d\n", 2, "mapping values are not allowed"),
        ("a: 1\nb: \x01\n", 2, "control character"),
        ('a: "\\UFFFFFFFF"\n', 1, "past the end of Unicode"),
        ("a: 1\n? [b]\n: 2\n", 2, "the key of a field must be a text"),
        ("a: &x 1\n*x : 2\n", 2, "the key of a field must be a text"),
        ("a: *x\n", 1, "the alias *x stands for nothing"),
        ("a: &x\n  - *x\n", 2, "the alias *x stands for nothing"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", 3, "merge keys"),
        ("a: 1\na: 2\n", 2, "twice, first at line 3"),
        ("a:\n  b: 1\n  c: 2\n  b: {d: 3}\n", 4, "twice, first at line 4"),
        ("on: 1\n", 1, "some readers take on for a boolean"),
        ("1: x\n", 1, 'the key "1" is not a text'),
        ("a: !!str 5\n", 1, "tags"),
        ("a: !!python/object:os.system {}\n", 1, "tags"),
        ('a: "\\ud83d\\ude00"\n', 1, "half a character"),
        ("a: " + "[" * MAX_DEPTH + "\n", 1, f"nested over {MAX_DEPTH} deep"),
    ],
)
def test_flawed_yaml_is_told_with_its_line(text: str, line: int, message: str) -> None:
    """And what is right before and after it is read all the same."""
    found = list(read_documents(f"ok: 1\n---\n{text}---\nok: 2\n"))
    assert [document.value for document in (found[0], found[-1]) if isinstance(document, Document)] == [
        {"ok": 1},
        {"ok": 2},
    ]
    flaws = [flaw for item in found for flaw in ([item] if isinstance(item, Flaw) else item.flaws)]
    assert any(flaw.line == line + 2 and message in flaw.message for flaw in flaws), flaws


def test_a_syntax_error_does_not_hide_what_came_before_it() -> None:
    """The flaws of a document whose end cannot be read are reported too."""
    for broken in ("b: [", "b: *c"):
        found = [item.message for item in read_documents(f"a: 1\na: 2\n{broken}\n") if isinstance(item, Flaw)]
        assert len(found) == 2
        assert "twice" in found[0]


def test_a_flaw_is_told_once() -> None:
    """Also where a syntax error follows the end of its document."""
    document, flaw = read_documents("a: 1\na: 2\n...\n[\n")
    assert isinstance(document, Document)
    assert len(document.flaws) == 1
    assert isinstance(flaw, Flaw)
    assert flaw.line == 5


def test_of_two_fields_of_one_name_the_first_is_read() -> None:
    """Whatever the second holds, the lines are those of the first."""
    (document,) = read_documents("a: {b: 1}\na:\n  b: 2\nc: 3\n")
    assert isinstance(document, Document)
    assert document.value == {"a": {"b": 1}, "c": 3}
    assert document.line_of(("a", "b")) == 1


def test_a_bomb_of_aliases_is_refused() -> None:
    """Nine lines that would be a billion values, or a thousand levels of nesting."""
    wide = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    wide += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
    deep = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 1000))
    for text, message in [(wide, "over 100000 values"), (deep, f"nested over {MAX_DEPTH} deep")]:
        (flaw,) = read_documents(text)
        assert isinstance(flaw, Flaw)
        assert message in flaw.message


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"", 1, "empty"),
        (b"# nothing\n---\n---\n", 1, "empty"),
        (b"a: 1\nb: \xff\xfe\n", 2, "UTF-8"),
        ("a: é\n".encode("utf-16"), 1, "UTF-8"),
        (bytes(range(256)), 2, "UTF-8"),
        (b"\x00\x01", 1, "control character"),
        (b"a: " + b"x" * (2 << 20), 1, "larger than 1048576 bytes"),
        (b"--- {}\n" * 1001, 1, "over 1000 documents"),
        (b"- a\n", 1, "must be a mapping with apiVersion"),
        (b"just words\n", 1, "must be a mapping with apiVersion"),
        (b"{}\n", 1, "is required: one of Experiment (sluicegate.dev/v1alpha1)"),
    ],
)
def test_a_file_that_holds_no_resource_is_told_so(problems: Problems, content: bytes, line: int, message: str) -> None:
    """Whatever it is: nothing, garbage, another encoding, too much."""
    (problem,) = problems(content)
    assert problem.line == line
    assert message in problem.message


def test_a_byte_order_mark_and_windows_line_ends_are_fine(problems: Problems, policy: str) -> None:
    """Some editors write them."""
    assert problems(b"\xef\xbb\xbf" + policy.replace("\n", "\r\n").encode()) == ()
    (problem,) = problems(policy.replace("min: 3\n", "min: 9\n").replace("\n", "\r\n"))
    assert (problem.line, problem.field) == (26, "spec.gates[0].min")
