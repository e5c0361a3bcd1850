"""The cluster: found or started, and kept from talking."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STORE = 512 * 2**20
"""Bytes of shared memory for a cluster of one's own. Pixels never go through it, only names and counts."""

PATIENCE = 10.0
"""Seconds for the cluster to take up the connection."""


@contextmanager
def connected(address: str | None, cpus: int | None = None) -> Iterator[None]:
    """To the cluster that is asked for, unless this process is connected to one.

    Args:
        cpus: of a cluster of one's own: how many cores it may use. None: all.

    Raises:
        ModuleNotFoundError: Ray is not installed.
        ConnectionError: no such cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # or `uv run` would install all this once more
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # an actor without a GPU is to see none
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # lost workers are expected here, and done again
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}; install Ray with: pip install 'yolact[ray]'") from None
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if ray.is_initialized():
        yield
        return
    _refuse_unreachable(address or os.environ.get("RAY_ADDRESS", ""))
    options = {"object_store_memory": STORE, "num_cpus": cpus} if address == "local" else {}
    try:
        with _termination_kept(), _without_stderr():
            quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.CRITICAL}
            ray.init(address=address, **quiet, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConnectionError(f"no Ray cluster at {address}: {' '.join(str(error).split())[:160]}") from None
    try:
        yield
    finally:
        ray.shutdown()


def _refuse_unreachable(address: str) -> None:
    """Ray itself tries for longer than ten minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(f"no Ray cluster at {address}: {error}; start one there, or leave it out") from None


@contextmanager
def _termination_kept() -> Iterator[None]:
    """Ray would answer SIGTERM itself: its Python with an exit that says nothing, its C++ with a stack trace."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and handler is not None:
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Ray's C++ says there which log level it was given; what goes wrong is raised."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
