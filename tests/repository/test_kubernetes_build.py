import os
import shutil
import subprocess
from pathlib import Path

import pytest

NEEDED = ("bash", "dirname", "awk", "cut", "grep", "mkdir", "mv")

# Stands in for the compiler: it says what it was to build, and writes what Go writes of the module into a program.
GO = """\
#!/usr/bin/env bash
while [ $# -gt 0 ]; do
    [ "$1" = -o ] && program=$2
    shift
done
case $program in */.helm) module=helm.sh/helm/v4 ;; *) module=k8s.io/kubernetes ;; esac
version=$(awk -v module="$module" '$1 == "require" { $1 = ""; $0 = $0 } $1 == module { print $2; exit }' go.mod)
printf 'mod\\t%s\\t%s\\th1:0=\\n' "$module" "$version" >"$program"
"""


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder of programs that has what the script needs, and no Go."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    return folder


@pytest.fixture
def with_go(bare: Path) -> Path:
    (bare / "go").write_text(GO)
    (bare / "go").chmod(0o755)
    return bare


def build(root: Path, programs: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """tools/kubernetes/build, with its cache beside the folder of programs."""
    environ = {"PATH": str(programs), "XDG_CACHE_HOME": str(programs.parent / "cache"), "HOME": os.devnull, **environ}
    script = root / "tools/kubernetes/build"
    return subprocess.run(["bash", script], env=environ, capture_output=True, text=True, check=False)


def built(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.split()[1] for line in done.stderr.splitlines() if line.startswith("building ")]


def test_a_missing_go_is_named(root: Path, bare: Path) -> None:
    """Without Go nothing can be built, and the message says what to install."""
    done = build(root, bare)
    assert done.returncode == 1
    assert "install Go" in done.stderr


def test_what_was_built_stays(root: Path, with_go: Path) -> None:
    """The second run builds nothing and names the same folder, outside the checkout and by version."""
    first, second = build(root, with_go), build(root, with_go)
    assert built(first) == ["kube-apiserver", "kubectl", "helm"]
    assert built(second) == []
    assert first.stdout == second.stdout
    assert Path(first.stdout.strip()).relative_to(with_go.parent / "cache").match("sluicegate/kubernetes-1.*/bin")


def test_another_version_is_built_anew(root: Path, with_go: Path) -> None:
    """A program of a version that go.mod no longer names is not taken for the right one."""
    helm = Path(build(root, with_go).stdout.strip()) / "helm"
    helm.write_text("mod\thelm.sh/helm/v4\tv4.0.0\th1:0=\n")
    assert built(build(root, with_go)) == ["helm"]


def test_programs_that_are_given_are_not_built(root: Path, with_go: Path, tmp_path: Path) -> None:
    """KUBEBUILDER_ASSETS has an API server and kubectl already: only helm is missing."""
    for name in ("kube-apiserver", "kubectl"):
        (tmp_path / name).touch(mode=0o755)
    assert built(build(root, with_go, KUBEBUILDER_ASSETS=str(tmp_path))) == ["helm"]
