"""The life of a server: from its first port to its last answer."""

import asyncio
import contextlib
import math
import signal
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import uvicorn

from yolact.apps.server.app import Service, build
from yolact.apps.server.dispatch import Model
from yolact.apps.server.inference import Recipe
from yolact.apps.server.limits import Limits
from yolact.apps.server.metrics import Metrics
from yolact.apps.server.uploads import DRAINED_FOR

CONNECTIONS = 1000
"""Open at once, at least, where the system allows as many files."""

OTHER_FILES = 128
"""Of Python, its libraries and the models' processes."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    recipes: Mapping[str, Recipe]
    """By the names of the models; the first is asked where a request names none."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0 takes any that is free."""

    token: str | None = None
    limits: Limits = field(default_factory=Limits)
    log: bool = False
    """Print a line for each request."""


def serve(settings: Settings) -> None:
    """Until SIGTERM or Ctrl-C; then what was accepted is answered, and the rest refused.

    Raises:
        OSError: the port is taken.
        ValueError: a limit is no limit, or a model cannot be loaded.
    """
    settings.limits.check()
    listener = _listen(settings.host, settings.port)
    with listener:
        asyncio.run(_serve(settings, listener))


async def _serve(settings: Settings, listener: socket.socket) -> None:
    metrics, loop = Metrics(), asyncio.get_running_loop()
    models = {name: Model(name, recipe, settings.limits, metrics) for name, recipe in settings.recipes.items()}
    service = Service(models, settings.limits, metrics)
    server = _Server(_configuration(settings, service))
    loading = loop.create_task(_start(models))

    def stop() -> None:
        loading.cancel()
        if service.is_stopping:  # the second time, at once
            server.force_exit = True
            service.give_up()
        service.is_stopping = server.should_exit = True
        loop.call_later(settings.limits.drain_seconds, service.give_up)

    try:
        with _on_signals(loop, stop):
            await loading
            _announce(settings, listener, models)
            await server.serve(sockets=[listener])
    except asyncio.CancelledError:  # stopped before it began
        return
    finally:
        await asyncio.gather(*(model.close() for model in models.values()))


async def _start(models: Mapping[str, Model]) -> None:
    for model in models.values():  # one after the other: two at once would need the memory of both loaders
        try:
            await model.start()
        except ValueError as error:
            raise ValueError(f"{model.name}: {error}") from None


class _Server(uvicorn.Server):
    """Signals are ours: uvicorn would end the process by them, as if it had been killed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def _on_signals(loop: asyncio.AbstractEventLoop, act) -> Iterator[None]:
    before = {
        number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(act))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _configuration(settings: Settings, service: Service) -> uvicorn.Config:
    return uvicorn.Config(
        build(service, settings.token),
        log_level="info" if settings.log else "error",
        access_log=settings.log,
        server_header=False,
        http="h11",  # which bounds what comes before a body, at 64 KiB; httptools takes headers without end
        # By then all are answered or given up, and told so; what is left are clients that do not read.
        timeout_graceful_shutdown=math.ceil(settings.limits.drain_seconds + DRAINED_FOR) + 1,
        limit_concurrency=_connections(settings.limits),
        lifespan="off",
    )


def _connections(limits: Limits) -> int:
    """How many may be open at once: enough for a full queue to refuse many, each in words and after its body.

    uvicorn turns away those beyond without reading what they send, which most clients see as a broken connection. But
    to run out of files would be worse: then nobody is let in, and nobody is told.
    """
    wanted = max(CONNECTIONS, 4 * limits.queue)
    try:
        import resource
    except ImportError:  # Windows, which counts no files
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = wanted + OTHER_FILES if hard == resource.RLIM_INFINITY else min(wanted + OTHER_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return max(files - OTHER_FILES, 1)


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port < 65536:
        raise ValueError(f"port is {port}; it must lie between 0 and 65535")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except OSError as error:
        raise OSError(f"cannot listen on {host}, port {port} ({error.strerror or error}); choose another") from error


def _announce(settings: Settings, listener: socket.socket, models: Mapping[str, Model]) -> None:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    for model in models.values():
        assert model.ready is not None
        print(f"{model.name}: {len(model.ready.class_names)} classes, {model.ready.runtime}")
    print(f"http://{shown}:{port} (stop with Ctrl-C; /docs says what can be asked)", flush=True)
