import re
from pathlib import Path

import pytest

# Spelled so that this file does not contain what it looks for.
MACHINE_PATH = re.compile(r"(?<![\w.)}/$-])/(?:home|Users|root|work|mnt)/\w|\b[A-Z]:\\\\?Users\b|/opt/(?:wheels)\b")
REGISTRY = re.compile(
    r"\b(?:pypi|pythonhosted|npmjs|yarnpkg|crates|rubygems)[.](?:org|com|io)\b|\bproxy[.]golang\b"
    r"|(?:index-url|find-links|registry)[ =]+['\"]?(?:https?:|/)"
)


def findings(root: Path, tracked: list[Path], pattern: re.Pattern[str]) -> list[str]:
    """Where `pattern` occurs in the text files of the repository, as `path:line: text`."""
    found = []
    for path in tracked:
        try:
            text = (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # not a text
        for number, line in enumerate(text.splitlines(), 1):
            if match := pattern.search(line):
                found.append(f"{path}:{number}: {match[0]}")
    return found


def test_names_no_machine_path(root: Path, tracked: list[Path]) -> None:
    """No file names a folder of the machine on which it was written."""
    assert not findings(root, tracked, MACHINE_PATH)


def test_names_no_registry(root: Path, tracked: list[Path]) -> None:
    """No file names a package registry: which one is used is up to who installs."""
    assert not findings(root, tracked, REGISTRY)


@pytest.mark.parametrize(
    "parts", [("/home", "/ann/x"), ("= '/work", "/main'"), ("C:\\", "Users\\ann"), ("/opt/", "wheels")]
)
def test_finds_machine_paths(parts: tuple[str, str]) -> None:
    """The pattern knows a machine path when it sees one."""
    assert MACHINE_PATH.search("".join(parts))


@pytest.mark.parametrize("line", ["/var/run/sluicegate", "https://example.com/home/page", "./work/x", "$HOME/work/x"])
def test_leaves_other_paths_alone(line: str) -> None:
    """A path inside a container, a page or a relative path is no machine path."""
    assert not MACHINE_PATH.search(line)


@pytest.mark.parametrize(
    "parts", [("https://pypi", ".org/x"), ("--index-url", " https://x"), ("registry", "=http://x")]
)
def test_finds_registries(parts: tuple[str, str]) -> None:
    """The pattern knows a registry when it sees one."""
    assert REGISTRY.search("".join(parts))
