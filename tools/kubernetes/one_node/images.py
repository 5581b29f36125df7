"""Images, built without a daemon and brought into the node. Outside there is a network, inside there is none."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from one_node.components import CTR
from one_node.namespaces import enter, environment
from one_node.places import PAUSE, Places

FILES = Path(__file__).parent / "files"
RELEASE = "bookworm"
BASE = f"localhost/base:{RELEASE}"
PACKAGES = "python3,python3-venv,python-is-python3,ca-certificates"
PIP_SETTINGS = ("index-url", "extra-index-url", "timeout")
MOST_IMAGES = 500
"""Every build leaves layers, which make the next one quick. With more than so many, all go."""
CERTIFICATES = "/etc/ssl/certificates-of-the-machine.crt"


class NotBuilt(Exception):
    """An image could not be built."""


class Images:
    """A store of images in the node's folder."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._folder = places.images
        self._folder.mkdir(parents=True, exist_ok=True)

    def build_base(self) -> None:
        """Debian with a Python, and the image that holds a pod's namespaces; made once, in a minute."""
        if len(self._buildah("images", "--all", "--quiet").split()) > MOST_IMAGES:
            self._buildah("rmi", "--all", "--force")
        if self._buildah("images", "--quiet", PAUSE, check=False):
            return
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            root = Path(folder, "root")
            _run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE, str(root))
            left_out = [f"--exclude=./{path}" for path in ("var/cache/apt/*", "var/lib/apt/lists/*", "dev/*")]
            _run("tar", "--numeric-owner", *left_out, "-C", str(root), "-cf", f"{folder}/root.tar", ".")
            shutil.rmtree(root)
            self.build(BASE, FILES / "base.Containerfile", Path(folder))
            self.build(PAUSE, FILES / "pause.Containerfile", Path(folder), {"BASE": BASE})

    def build(self, name: str, containerfile: Path, context: Path, arguments: Mapping[str, str] | None = None) -> None:
        """Builds `name`; layers that did not change are taken from the last time. NotBuilt with the end of the log."""
        given = [word for key, value in (arguments or {}).items() for word in ("--build-arg", f"{key}={value}")]
        self._buildah(
            "build",
            "--isolation=chroot",
            "--layers",
            "--pull-never",
            *self._pip_settings(),
            *given,
            f"--file={containerfile}",
            f"--tag={name}",
            str(context),
        )

    def load(self, names: Sequence[str]) -> None:
        """Brings images into the node that is up, under the names that they have here; what it has it keeps."""
        kept = self._places.home / "containerd" / "loaded.json"
        loaded = json.loads(kept.read_text()) if kept.exists() else {}
        archive = self._folder / "archive.tar"
        for name in names:
            image = self._buildah("images", "--quiet", "--no-trunc", name).strip()
            if loaded.get(name) == image:
                continue
            archive.unlink(missing_ok=True)
            self._buildah("push", name, f"docker-archive:{archive}:{name}")
            _run(*enter(self._places, [*CTR, "images", "import", str(archive)]), env=environment(self._places))
            archive.unlink()
            loaded[name] = image
            kept.write_text(json.dumps(loaded))

    def _pip_settings(self) -> list[str]:
        """pip inside uses the index and the certificates that pip outside uses; nothing of it stays in the image."""
        told = {key: os.environ.get(f"PIP_{key.replace('-', '_').upper()}") for key in PIP_SETTINGS}
        certificates = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
        told["cert"] = CERTIFICATES if certificates else None
        settings = self._folder / "pip.conf"
        settings.write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in told.items() if value))
        volumes = [f"--volume={settings}:/etc/pip.conf:ro"]
        return [*volumes, f"--volume={certificates}:{CERTIFICATES}:ro"] if certificates else volumes

    def _buildah(self, command: str, *words: str, check: bool = True) -> str:
        store = [f"--root={self._folder}/store", f"--runroot={self._folder}/run", "--storage-driver=overlay"]
        policy = [f"--signature-policy={FILES}/policy.json"] if command in ("build", "push") else []
        return _run("buildah", *store, command, *policy, *words, check=check)


def _run(*command: str, check: bool = True, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if check and done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise NotBuilt(f"{' '.join(command)}: exit code {done.returncode}; the end of what it said:\n{last}")
    return done.stdout
