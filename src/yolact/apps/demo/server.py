"""The page served on this machine alone."""

import os
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from yolact.apps.demo.downloads import forget_old
from yolact.apps.demo.limits import CLEANED_EVERY, LARGEST_FILE
from yolact.apps.demo.session import Sessions

if TYPE_CHECKING:
    import uvicorn

    from yolact.apps.demo.models import Models

LOOPBACK = "127.0.0.1"


def require_gradio() -> None:
    """
    Raises:
        ImportError: the extra is not installed.
    """
    # Read when Gradio is imported: no statistics to anybody, and no question to the hub.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import av  # noqa: F401
        import gradio  # noqa: F401
    except ImportError as error:
        raise ImportError(f"the page needs {error.name}; pip install 'yolact[demo]'") from error


def listen(port: int) -> tuple[socket.socket, bool]:
    """A socket on loopback at this port, or at a free one if it is taken; and whether it was taken.

    Args:
        port: 0 takes any that is free.
    """
    if not 0 <= port < 65536:
        raise ValueError(f"port is {port}; it must lie between 0 and 65535")
    for tried in (port, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, tried))
        except OSError:
            listener.close()
            continue
        return listener, tried != port
    raise OSError(f"no port is free on {LOOPBACK}; close another program")


@contextmanager
def prepared(models: "Models", photographs: Sequence[Path]) -> Iterator["uvicorn.Server"]:
    """A server of the page, ready to `run(sockets=[...])`; what visitors leave behind is removed afterward."""
    require_gradio()
    with tempfile.TemporaryDirectory(prefix="yolact-demo-", ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder) / "uploads")
        downloads, sessions = Path(folder) / "downloads", Sessions()
        downloads.mkdir()
        try:
            with cleaned(downloads, sessions):
                yield _server(models, photographs, downloads, sessions)
        finally:
            os.environ.pop("GRADIO_TEMP_DIR", None)


@contextmanager
def cleaned(downloads: Path, sessions: Sessions, every: float | int = CLEANED_EVERY) -> Iterator[None]:
    """Meanwhile, what was written or remembered long ago is forgotten, whether or not visitors come."""
    over = threading.Event()

    def clean() -> None:
        while not over.wait(every):
            forget_old(downloads)
            sessions.forget_old()

    cleaner = threading.Thread(target=clean, daemon=True)
    cleaner.start()
    try:
        yield
    finally:
        over.set()
        cleaner.join()


def _server(models: "Models", photographs: Sequence[Path], downloads: Path, sessions: Sessions) -> "uvicorn.Server":
    import fastapi
    import gradio as gr
    import uvicorn
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from yolact.apps.demo import look
    from yolact.apps.demo.page import build

    page = build(models, photographs, downloads, sessions)
    app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    # A page elsewhere, whose name was made to lead here, has that name as host.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[LOOPBACK, "localhost"])
    # Not Gradio's own `launch`, which asks the address before it is served, through a proxy if one is set.
    gr.mount_gradio_app(
        app,
        page,
        path="",
        server_name=LOOPBACK,
        footer_links=[],
        run_history=False,
        allowed_paths=[str(downloads), *{str(path.parent.resolve()) for path in photographs}],
        show_error=False,
        max_file_size=LARGEST_FILE,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        theme=look.theme(),
        css=look.CSS,
    )
    return uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
