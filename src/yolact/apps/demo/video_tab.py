"""The page about videos: a file or a recording in, the same with masks out."""

import tempfile
import time
from html import escape
from pathlib import Path
from threading import Event

import gradio as gr

from yolact.apps.demo.film import GivenUpError, film
from yolact.apps.demo.limits import LARGEST_FILE, LONGEST_VIDEO
from yolact.apps.demo.models import Models

NOTE = f"""<p class="yo-hint">Up to {LONGEST_VIDEO:.0f} seconds and {LARGEST_FILE >> 20} MB. The network looks at each
frame by itself; sound and timing stay as they are. One video is worked on at a time, so you may have to wait for
another visitor's.</p>"""


HINT = '<p class="yo-hint">{}</p>'
PROGRESS = gr.Progress()
"""Gradio knows by such a default that a function tells how far it is."""


class VideoEvents:
    """Videos in work, each to be stopped when its visitor leaves."""

    def __init__(self, models: Models, folder: Path) -> None:
        self.models, self.folder = models, folder
        self._working: dict[str, Event] = {}

    def run(
        self,
        request: gr.Request,
        dropped: str | None,
        score: float | int,
        opacity: float | int,
        progress: gr.Progress = PROGRESS,
    ) -> tuple[str | None, str]:
        """The video, and what to say about it."""
        if dropped is None:
            gr.Warning("Drop a video first, or record one.")
            return None, ""
        visitor, stopped = str(request.session_hash), Event()
        self._working[visitor] = stopped
        try:
            return self._film(Path(dropped), score, opacity, stopped, progress)
        except GivenUpError:
            return None, HINT.format("Stopped.")
        except (ValueError, OSError) as error:
            words = str(error).replace(dropped, Path(dropped).name)
            gr.Warning(words)
            return None, HINT.format(escape(words))
        finally:
            self._working.pop(visitor, None)

    def _film(
        self, video: Path, score: float | int, opacity: float | int, stopped: Event, progress: gr.Progress
    ) -> tuple[str, str]:
        target = Path(tempfile.mkdtemp(dir=self.folder)) / f"{video.stem}-segmented.mp4"
        said = 0.0
        frames = 0
        for done in film(self.models.main, video, target, score=score, number=100, opacity=opacity, stopped=stopped):
            frames = done.frames
            if time.monotonic() - said > 0.2:
                of = f" of {done.count}" if done.count else ""
                part = done.frames / done.count if done.count else done.seconds / LONGEST_VIDEO
                progress(min(part, 1.0), desc=f"Frame {done.frames}{of}, {done.instances} found")
                said = time.monotonic()
        return str(target), HINT.format(f"{frames} frames.")

    def stop(self, request: gr.Request) -> None:
        """The visitor pressed the button, or left."""
        if stopped := self._working.get(str(request.session_hash)):
            stopped.set()


def lay_out(events: VideoEvents) -> None:
    with gr.Row():
        with gr.Column(min_width=300):
            dropped = gr.Video(
                label="Video",
                sources=["upload", "webcam"],
                buttons=[],
                elem_id="yo-video",
            )
            gr.HTML(NOTE)
            score = gr.Slider(
                0.05, 0.95, 0.4, step=0.01, label="Score", info="Show what scores above this.", buttons=[]
            )
            opacity = gr.Slider(0.0, 1.0, 0.5, step=0.01, label="Opacity", buttons=[])
            start = gr.Button("Segment this video", variant="primary", elem_id="yo-film")
        with gr.Column(min_width=300):
            shown = gr.Video(
                label="With masks", interactive=False, autoplay=True, elem_id="yo-filmed", buttons=["download"]
            )
            said = gr.HTML(elem_id="yo-said")
            stop = gr.Button("Stop", size="sm", elem_id="yo-stop")
    start.click(
        events.run, [dropped, score, opacity], [shown, said],
        concurrency_id="video", concurrency_limit=1, show_progress_on=shown, api_name="video",
    )  # fmt: skip
    stop.click(events.stop, None, None, api_visibility="private", queue=False)
