"""How the agent on one machine tells its ends; what several machines do together: tests/training/test_two_nodes.py."""

import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from yolact.apps.cluster import machines
from yolact.apps.cluster.machines import Torchrun

OUT = Path("runs/mine")


@pytest.mark.parametrize(
    ("codes", "code"),
    [([2], 2), ([2, -signal.SIGTERM], 2), ([130, 130], 130), ([-signal.SIGTERM, 130], 130), ([130, 2], 130)],
)
def test_processes_that_have_spoken(codes: list[int], code: int) -> None:
    assert machines._code_of(codes, OUT) == code


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ([-signal.SIGKILL], "was ended by SIGKILL, perhaps for want of memory; go on with: yolact train --resume runs"),
        ([2, -signal.SIGSEGV], "was ended by SIGSEGV"),
        ([1], "ended with code 1; go on with"),
    ],
)
def test_processes_that_have_not(codes: list[int], said: str) -> None:
    with pytest.raises(ConnectionError, match=f"a process on this machine {said}"):
        machines._code_of(codes, OUT)


def test_who_is_where_all_meet() -> None:
    assert machines._is_here("127.0.0.1")
    assert machines._is_here("localhost")
    assert not machines._is_here("192.0.2.1")  # an address that nobody has
    with pytest.raises(ValueError, match=r"torchrun\.meet names 'no\.\.where', which is unknown .*; give "):
        machines._is_here("no..where")


def test_the_others_wait_until_it_is_there() -> None:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
        with pytest.raises(ConnectionError, match=rf"127\.0\.0\.1:{port} did not answer within 0\.1 s"):
            machines._wait_for("127.0.0.1", port, 0.1)
        threading.Timer(0.2, place.listen).start()
        machines._wait_for("127.0.0.1", port, 20.0)


def test_a_silent_connection_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of all that are open, its port tells."""
    before = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: before(seconds / 100))
    with socket.create_server(("127.0.0.1", 0)) as place, socket.create_server(("127.0.0.1", 0)) as other:
        links = [socket.create_connection(server.getsockname()) for server in (place, other)]
        machines._bound_silence(place.getsockname()[1], 5.0)
        waits = [link.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) for link in links]
        for link in links:
            link.close()
    assert waits == [1000 * machines.ANSWER, 0]


@pytest.mark.parametrize(
    ("field", "value"), [("machines", 0), ("restarts", -1), ("wait", 0.0), ("meet", "host"), ("meet", ":1")]
)
def test_wrong_values_are_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"torchrun.{field} is {value!r}; "):
        Torchrun(**{field: value})  # type: ignore[arg-type]
