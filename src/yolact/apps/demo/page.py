"""The whole page."""

from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from yolact.apps.demo import live_tab, photograph_tab, video_tab
from yolact.apps.demo.limits import CLEANED_EVERY, UPLOADS_KEPT
from yolact.apps.demo.models import Models
from yolact.apps.demo.photograph_events import PhotographEvents, connect
from yolact.apps.demo.session import Sessions


def build(models: Models, photographs: Sequence[Path], folder: Path, sessions: Sessions) -> gr.Blocks:
    """The page, to be served.

    Args:
        photographs: examples to begin with.
        folder: for what visitors download; what is in it is not kept.
        sessions: of the visitors.
    """
    prototypes = models.main.config.num_prototypes
    cleaned = (int(CLEANED_EVERY), int(UPLOADS_KEPT))
    with gr.Blocks(title="YOLACT", analytics_enabled=False, delete_cache=cleaned) as page:
        gr.HTML(HEAD.format(count=prototypes), elem_id="yo-head")
        with gr.Tab("Photograph"):
            tab = photograph_tab.lay_out(models, list(photographs))
            events = PhotographEvents(models, sessions, list(photographs), folder)
            connect(tab, events)
        with gr.Tab("Video"):
            videos = video_tab.VideoEvents(models, folder)
            video_tab.lay_out(videos)
        with gr.Tab("Live camera"):
            live_tab.lay_out(models)

        def leave(request: gr.Request) -> None:
            sessions.forget(str(request.session_hash))
            videos.stop(request)

        page.unload(leave)
    page.queue(max_size=100, api_open=False)
    return page


HEAD = """<h1>How YOLACT sees things</h1>
<p>The network looks once. It paints {count} pictures of the whole scene, the <em>prototypes</em>, and says for each
object how much of each to take or to take away. Prototypes times these signed coefficients, added up: that is the
object's mask. Here you can change the recipe.</p>"""
