"""The admin listener: probes and metrics."""

import socket
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from sluicegate_sidecar.admin import STUCK_AFTER_SECONDS, Admin


@pytest.fixture
def admin() -> Iterator[Admin]:
    listener = Admin("127.0.0.1:0")
    yield listener
    listener.close()


def get(admin: Admin, path: str, method: str = "GET") -> tuple[int, str]:
    try:
        with urlopen(Request(f"http://{admin.address}{path}", method=method), timeout=10) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_it_starts_when_it_is_told(admin: Admin) -> None:
    """The startup probe fails until the sidecar serves, and passes from then on."""
    assert get(admin, "/startupz") == (503, "starting\n")
    admin.started()
    assert get(admin, "/startupz") == (200, "ok\n")


def test_it_lives_as_long_as_the_event_loop_beats(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that has been silent for too long is stuck; one that beats again lives again."""
    assert get(admin, "/livez") == (200, "ok\n")
    now = 1_000_000_000.0
    monkeypatch.setattr("sluicegate_sidecar.admin.time.monotonic", lambda: now)
    assert get(admin, "/livez") == (503, "the event loop is stuck\n")
    admin.beat()
    assert get(admin, "/livez?verbose") == (200, "ok\n")
    now += STUCK_AFTER_SECONDS
    assert get(admin, "/livez")[0] == 503


def test_it_tells_the_metrics(admin: Admin) -> None:
    """Metrics come in the text format of Prometheus."""
    status, body = get(admin, "/metrics")
    assert status == 200
    assert "# TYPE python_info gauge" in body


def test_it_tells_what_is_there(admin: Admin) -> None:
    """Any other path names those that are there, and nothing but GET is taken."""
    status, body = get(admin, "/")
    assert (status, "/livez, /startupz and /metrics" in body) == (404, True)
    assert get(admin, "/livez", "POST")[0] == 501


def test_a_silent_client_keeps_nobody_waiting(admin: Admin) -> None:
    """A connection that says nothing does not keep a probe from its answer."""
    host, _, port = admin.address.rpartition(":")
    with socket.create_connection((host, int(port))):
        assert get(admin, "/livez")[0] == 200


def test_an_address_in_use_is_an_error(admin: Admin) -> None:
    """Two listeners never share a port."""
    with pytest.raises(OSError, match="in use"):
        Admin(admin.address)


def test_a_closed_listener_gives_its_port_back() -> None:
    """After close the port is free at once."""
    first = Admin("127.0.0.1:0")
    address = first.address
    first.close()
    second = Admin(address)
    assert second.address == address
    second.close()
