"""The socket in a folder that the containers of a pod share: its way is cleared before, and opened to them after.

The folder outlives a container, and so does the socket of a sidecar that was killed.
"""

import errno
import os
import socket
import stat
from pathlib import Path

PROBE_SECONDS = 1.0


def clear(path: Path) -> None:
    """Removes the socket that a dead sidecar left; OSError if somebody serves it, or if it is none."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "is there and is no socket; move it away", str(path))
    if _is_served(path):
        raise OSError(errno.EADDRINUSE, "is served by another process", str(path))
    path.unlink(missing_ok=True)


def _is_served(path: Path) -> bool:
    """Whoever does not refuse lives, be it that it does not come to answer."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True


def open_as_folder(path: Path) -> None:
    """Lets those connect who may put files beside the socket, whatever the umask: they could replace it anyway.

    In a pod with an fsGroup the folder hands its group on: 0660. Without one nothing but the folder is common to the
    containers, and who may enter it decides: 0666. In a folder like /tmp the socket is its owner's.
    """
    folder = path.parent.stat().st_mode
    mode = stat.S_IRUSR | stat.S_IWUSR
    if not folder & stat.S_ISVTX:
        if folder & stat.S_IWGRP:
            mode |= stat.S_IRGRP | stat.S_IWGRP
        if folder & stat.S_IWOTH and not folder & stat.S_ISGID:
            mode |= stat.S_IROTH | stat.S_IWOTH
    os.chmod(path, mode)
