"""The page served on loopback, and a real browser to visit it with."""

import asyncio
import os
import shutil
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from locations import ROOT

PHOTOGRAPHS = sorted((ROOT / "photos").glob("*.jpg"))
PATIENCE = 45_000
"""Milliseconds. The machine may be busy with other tests."""

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Served:
    address: str
    models: Any


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    loops: list[asyncio.AbstractEventLoop] = []
    make = asyncio.new_event_loop
    asyncio.new_event_loop = lambda: loops.append(make()) or loops[-1]  # Gradio makes some, and leaves them open
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gradio's and its dependencies' own, while they are imported
        pytest.importorskip("gradio", reason="needs the extra yolact[demo]")
        from yolact.apps.demo.models import Models
        from yolact.apps.demo.server import LOOPBACK, listen, prepared
    import yolact

    models = Models(yolact.load(device="cpu"))
    models.warm_up()
    listener, _ = listen(0)
    with listener, prepared(models, PHOTOGRAPHS) as server:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Served(f"http://{LOOPBACK}:{listener.getsockname()[1]}/", models)
        finally:
            server.should_exit = True
            thread.join()
            asyncio.new_event_loop = make
            for loop in loops:
                if not loop.is_running():
                    loop.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """While it is open, Playwright's event loop runs in this thread: not longer, as tests elsewhere have their own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("needs Chromium, which is not installed")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=chromium, args=list(QUIET), env={**os.environ, "DISPLAY": ""})
        yield opened
        opened.close()


class Visit:
    """One visitor's tab, which notes every address that it asks for and every error."""

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, **context)
        self.context.set_default_timeout(PATIENCE)
        self.tab = self.context.new_page()
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.goto(address)
        self.tab.wait_for_selector("#yo-examples button")

    def drop(self, path: Path) -> None:
        self.tab.locator("#yo-photograph input[type=file]").first.set_input_files(path)

    def chips(self) -> list[str]:
        return self.tab.locator("#yo-listing .yo-chip").all_inner_texts()

    def picture(self) -> str:
        return self.tab.locator("#yo-picture img").get_attribute("src")

    def until_picture_is_not(self, before: str) -> str:
        self.tab.wait_for_function(
            "before => document.querySelector('#yo-picture img')?.src !== before", arg=before, timeout=PATIENCE
        )
        return self.picture()


@pytest.fixture
def visit(served: Served, browser: Any) -> Iterator[Visit]:
    opened = Visit(browser, served.address)
    yield opened
    opened.context.close()
