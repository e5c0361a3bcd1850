"""Training on several machines: torchrun's agent within `yolact train`, which says in a line how it ended."""

import logging
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ANSWER = 30
"""Seconds that the place where all meet, once it was there, has for an answer."""


@dataclass(frozen=True, kw_only=True)
class Torchrun:
    """Several machines, without a cluster: the same command is started on each of them."""

    machines: int = 1
    """How many there are; on each, `--devices` processes train."""

    meet: str | None = None
    """HOST:PORT of one of them, where all meet; the port must be open to the others."""

    wait: float = 600.0
    """Seconds to wait until all are there."""

    restarts: int = 0
    """How often the processes may be started again after one was lost; they go on from the last state."""

    local_address: str | None = None
    """By which the others reach this machine. None: its name."""

    def __post_init__(self) -> None:
        for field, least in (("machines", 1), ("restarts", 0)):
            if getattr(self, field) < least:
                raise ValueError(f"torchrun.{field} is {getattr(self, field)}; it must be at least {least}")
        if self.wait <= 0:
            raise ValueError(f"torchrun.wait is {self.wait}; it must be above 0")
        host, _, port = (self.meet or "HOST:1").rpartition(":")
        if not host or not port.isdecimal():
            raise ValueError(f"torchrun.meet is {self.meet!r}; write it as HOST:PORT")
        if self.machines > 1 and self.meet is None:
            raise ValueError(f"torchrun.machines is {self.machines}; say where they meet: --torchrun.meet HOST:PORT")


def train_here(options: Torchrun, arguments: list[str], processes: int, out: Path) -> int:
    """Run `yolact` with these arguments in as many processes, which train with those on the other machines.

    Returns:
        The code to exit with: 0, 2 for what the processes have said is wrong, or 130 for what has been interrupted.

    Raises:
        ConnectionError: the machines do not meet, or a process was lost.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError, RendezvousTimeoutError

    if processes > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // processes, 1)))
    try:
        _launch(options, arguments, processes)
        return 0
    except SignalException:  # the processes have saved, and said so
        return 130
    except ChildFailedError as failed:
        return _code_of([failure.exitcode for failure in failed.failures.values()], out)
    except RendezvousTimeoutError:
        raise ConnectionError(
            f"{options.machines} machines were to meet at {options.meet} and did not within {options.wait:g} s; start"
            " the same command on each, with a port that is open between them"
        ) from None
    except RendezvousError:
        raise ConnectionError(
            f"{options.meet} does not answer any more; start all machines again, with --resume {out} if the run had"
            " begun"
        ) from None


def _launch(options: Torchrun, arguments: list[str], processes: int) -> None:
    from torch.distributed.elastic.rendezvous import RendezvousConnectionError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from yolact.training.together import AGENT

    for name in list(logging.root.manager.loggerDict):
        if name.startswith("torch.distributed.elastic"):  # at length, what `train_here` says in a line
            logging.getLogger(name).setLevel(logging.CRITICAL)
    os.environ[AGENT] = str(os.getpid())
    os.environ["TORCH_CPP_LOG_LEVEL"] = "ERROR"  # for the processes: of them, what torch says of errors may help
    # Else processes that are started again find the addresses of those before them, and wait for these.
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    host, _, port = (options.meet or "").rpartition(":")
    is_here = _is_here(host)
    if not is_here:
        _wait_for(host, int(port), options.wait)
        threading.Thread(target=_bound_silence, args=(int(port), options.wait), daemon=True).start()
    # torch would tell whether it is to be the host by the machine's name, which says little where it has two networks.
    # Of two agents on one machine, one is.
    for is_host in (True, False) if is_here else (False,):
        config = LaunchConfig(
            min_nodes=options.machines,
            max_nodes=options.machines,
            nproc_per_node=processes,
            run_id="yolact",
            rdzv_backend="c10d",
            rdzv_endpoint=options.meet or "",
            rdzv_configs={"join_timeout": max(round(options.wait), 1), "read_timeout": ANSWER, "is_host": is_host},
            local_addr=options.local_address,
            max_restarts=options.restarts,
            monitor_interval=0.1,
            # Between asking processes to end and killing them: the step that is under way, and the state.
            shutdown_timeout=300,
        )
        try:
            elastic_launch(config, sys.executable)("-m", "yolact", *arguments)
            return
        except RendezvousConnectionError:
            if not is_host:
                raise


def _is_here(host: str) -> bool:
    """Whether this machine has the address."""
    try:
        (family, *_, (address, *_)), *_ = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ValueError(
            f"torchrun.meet names {host!r}, which is unknown ({error}); give the address of a machine"
        ) from None
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _wait_for(host: str, port: int, seconds: float) -> None:
    """Until the machine where all meet is there."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, port), timeout=min(seconds, 5.0)).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise ConnectionError(
                    f"{host}:{port} did not answer within {seconds:g} s ({error.strerror or error}); start the same"
                    " command there too, with a port that is open to the others"
                ) from None
            time.sleep(0.5)


def _bound_silence(port: int, seconds: float) -> None:
    """Have Linux give up the connection with the place where all meet after `ANSWER` seconds without any.

    torch waits for its answers without end: if that machine has lost its power, for a quarter of an hour.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(1)
        for entry in Path("/proc/self/fd").glob("*"):
            try:
                with socket.socket(fileno=int(entry.name)) as link:
                    try:
                        if link.getpeername()[1] == port:
                            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * ANSWER)
                            return
                    finally:
                        link.detach()  # it is torch's
            except OSError:  # no connection, or no socket
                continue


def _code_of(codes: list[int], out: Path) -> int:
    """Of processes that have ended, the code of those that have said why; if none has, an error says what is known."""
    killed = [signal.Signals(-code).name for code in codes if code < 0 and code != -signal.SIGTERM]  # which is ours
    said = [code for code in codes if code in (2, 130)]
    if said and not killed:
        return max(said)
    how = f"was ended by {killed[0]}, perhaps for want of memory" if killed else f"ended with code {codes[0]}"
    raise ConnectionError(f"a process on this machine {how}; go on with: yolact train --resume {out}")
