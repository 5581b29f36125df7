import re
from collections.abc import Iterator
from pathlib import Path

import pytest

# Folders whose inner order the map explains, with how many levels below them it names. Tests and benchmarks mirror
# what they are for, so that one level says it.
MAPPED = {"proto": 2, "sidecar": 2, "operator": 2, "charts": 2, "tests": 1, "bench": 1, "tools": 1}

# Each command that the README tells people to type, and what runs it: a file, or a test in a file. A command is
# documented only if something runs it; a command that the README no longer has is to go from here too.
DESK = "tests/contract/test_desk.py"
TYPED = "tests/contract/test_readme_commands.py"
INSTALLED = "tests/chart/test_readme_install.py::test_install_with_helm"
RUN_BY = {
    "make test": ".ci/run",
    "make demo": ".ci/run",
    ".venv/bin/sluicegate dead-letters list --agent receptionist --redis redis://127.0.0.1:16379/0": (
        f"{DESK}::test_dead_letters_are_listed_shown_retried_and_dropped"
    ),
    ".venv/bin/sluicegate erase --caller +15550100 --agent receptionist --redis redis://127.0.0.1:16379/0": (
        f"{DESK}::test_a_caller_is_erased_everywhere"
    ),
    ".venv/bin/sluicegate up -f examples/receptionist.yaml --offline-judge": f"{TYPED}::test_up_agent_replay_account",
    ".venv/bin/python examples/agent.py": f"{TYPED}::test_up_agent_replay_account",
    ".venv/bin/sluicegate replay conversations.jsonl": f"{TYPED}::test_up_agent_replay_account",
    ".venv/bin/sluicegate account --agent receptionist --redis redis://127.0.0.1:16379/0": (
        f"{TYPED}::test_up_agent_replay_account"
    ),
    "helm install sluicegate charts/sluicegate --namespace sluicegate --create-namespace": INSTALLED,
    "kubectl create namespace dental": INSTALLED,
    'kubectl -n dental create secret generic sluicegate-judge --from-literal=apiKey="$OPENAI_API_KEY"': INSTALLED,
    "kubectl -n dental apply -f examples/receptionist.yaml": INSTALLED,
    "kubectl -n dental get experiments --watch": INSTALLED,
    ".venv/bin/sluicegate report warmer-greeting --agent receptionist --redis redis://127.0.0.1:16379/0": (
        f"{TYPED}::test_up_agent_replay_account"
    ),
    (
        ".venv/bin/sluicegate report warmer-greeting --agent receptionist --redis redis://127.0.0.1:16379/0 "
        "--html report.html"
    ): f"{TYPED}::test_up_agent_replay_account",
}

FENCE = re.compile(r"^```(?P<language>\S*)[^\n]*\n(?P<body>.*?)^```\s*$", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"[\w.*-]+(?:/[\w.*-]+)*/?")
# Told from a word or from a dotted name by a slash, or by the ending of a file.
PATHLIKE = re.compile(r"/|[.](?:lock|lua|md|py|proto|toml|ya?ml)$|^(?:Makefile|LICENSE)$")
SETTING = re.compile(r"\bSLUICEGATE_[A-Z0-9_]*[A-Z0-9]\b")


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    path = root / "README.md"
    assert path.is_file(), "there is no README.md"
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def code_map(readme: str) -> set[str]:
    """The paths that the code map names, without a slash at the end."""
    paths = mapped_paths(section(readme, "Code map"))
    assert paths, "the code map names no path"
    return paths


def section(text: str, title: str) -> str:
    """What stands under the heading `## title`, up to the next one of that rank; fences may hold any line."""
    match = re.search(rf"^## {re.escape(title)}\s*$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match, f"there is no section `## {title}`"
    return match[1]


def mapped_paths(text: str) -> set[str]:
    """The paths in a piece of Markdown: what is in backticks and looks like one, and the first words in fences."""
    paths = {path for fence in FENCE.finditer(text) for path in fenced_paths(fence["body"])}
    inline = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    return paths | {word.rstrip("/") for word in inline if PATH.fullmatch(word) and PATHLIKE.search(word)}


def fenced_paths(body: str) -> Iterator[str]:
    """The first word of each line, under the folder that a less indented line above it names."""
    folders: list[tuple[int, str]] = []
    for line in body.splitlines():
        words = line.split()
        if not words or not PATH.fullmatch(words[0]) or not PATHLIKE.search(words[0]):
            continue  # a description that goes on
        indent = len(line) - len(line.lstrip())
        while folders and folders[-1][0] >= indent:
            folders.pop()
        path = (folders[-1][1] if folders else "") + words[0]
        if path.endswith("/"):
            folders.append((indent, path))
        yield path.rstrip("/")


def commands(text: str) -> list[str]:
    """The commands in the fences tagged `sh`: comments gone, continued lines joined."""
    bodies = [fence["body"].replace("\\\n", " ") for fence in FENCE.finditer(text) if fence["language"] == "sh"]
    lines = [re.sub(r"(?:^|\s)#.*", "", line) for body in bodies for line in body.splitlines()]
    return [" ".join(line.split()) for line in lines if line.strip()]


def test_every_mapped_path_exists(root: Path, code_map: set[str]) -> None:
    """Everything that the code map names is there."""
    gone = sorted(path for path in code_map if not any(root.glob(path)))
    assert not gone


def test_every_folder_is_mapped(tracked: list[Path], code_map: set[str]) -> None:
    """Every folder of packages, charts, tests and benchmarks is in the code map, itself or by something in it."""
    folders = {
        "/".join(path.parts[: depth + 1])
        for path in tracked
        for depth in range(1, MAPPED.get(path.parts[0], 0) + 1)
        if len(path.parts) > depth + 1
    }
    named = code_map | {str(folder) for path in code_map for folder in Path(path).parents}
    assert not sorted(folders - named)


def test_every_command_is_run(root: Path, readme: str) -> None:
    """Every command that the README tells people to type is run by CI or a test; the table says by which."""
    assert set(commands(readme)) == set(RUN_BY)
    for command, runner in RUN_BY.items():
        file, _, name = runner.partition("::")
        assert (name or command) in (root / file).read_text(encoding="utf-8"), f"{runner} does not run `{command}`"


def test_every_setting_is_documented(root: Path, readme: str) -> None:
    """Every variable that configures the sidecar or the operator is named in the README."""
    for config in ("sidecar/sluicegate_sidecar/config.py", "operator/sluicegate_operator/config.py"):
        names = set(SETTING.findall((root / config).read_text(encoding="utf-8")))
        assert names
        assert not sorted(names - set(SETTING.findall(readme)))


MAP = """
The `proto/` folder, `and` so on, run `make test`, see `sluicegate.keys`.

| where | what |
| --- | --- |
| `charts/x/` | a chart |

```text
sidecar/            the data plane
  room/             one room,
                    and a second line of it
    file.py         a file
  other/*.lua       scripts
Makefile            what to type
```
"""


def test_reads_a_map() -> None:
    """A map is read from prose, tables and indented fences; words, commands and dotted names are no paths."""
    assert mapped_paths(MAP) == {
        "proto",
        "charts/x",
        "sidecar",
        "sidecar/room",
        "sidecar/room/file.py",
        "sidecar/other/*.lua",
        "Makefile",
    }


def test_reads_commands() -> None:
    """Only fences tagged `sh` hold commands; comments are dropped and continued lines joined."""
    text = "```sh\n# first\nmake test   # all\n\na \\\n  --b\n```\n```yaml\nkind: X\n```\n"
    assert commands(text) == ["make test", "a --b"]
