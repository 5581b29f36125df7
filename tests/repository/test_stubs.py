import os
import subprocess
import sys
import sysconfig
from pathlib import Path

FLAVOURS = ("--python_out", "--pyi_out", "--grpc_python_out", "--mypy_grpc_out")


def generated(folder: Path) -> dict[str, bytes]:
    """The stubs in `folder` and their bytes."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*_pb2*.py*"))}


def test_stubs_are_what_the_protos_give(root: Path, tmp_path: Path) -> None:
    """Generating the stubs again gives the committed ones byte for byte: none missing, none left over, none edited."""
    protos = sorted(str(path.relative_to(root)) for path in root.glob("proto/sluicegate/v1/*.proto"))
    assert protos
    # The plugins are scripts beside this interpreter, which need not be on the PATH.
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            "-Iproto",
            *(f"{flavour}={tmp_path}" for flavour in FLAVOURS),
            *protos,
        ],
        cwd=root,
        env=os.environ | {"PATH": path},
        check=True,
        capture_output=True,
    )
    committed = generated(root / "proto/sluicegate/v1")
    fresh = generated(tmp_path / "sluicegate/v1")
    assert committed.keys() == fresh.keys(), "run `make proto`"
    differing = [name for name, content in fresh.items() if committed[name] != content]
    assert not differing, "run `make proto`"
