"""The page about a live camera: each frame that comes while the network is busy is replaced by the next."""

import gradio as gr
import numpy as np

from yolact.apps.demo.components import Shown
from yolact.apps.demo.limits import LIVE_SECONDS
from yolact.apps.demo.models import Models

NOTE = f"""<p class="yo-hint">Press the button in the picture, allow the camera, and press Record. Masks come as quickly
as this machine makes them; frames that it has no time for are left out, so masks never lag behind. After {LIVE_SECONDS}
seconds the next visitor gets the place.</p>"""


def lay_out(models: Models) -> None:
    def look(frame: np.ndarray | None, score: float | int, opacity: float | int) -> object:
        if frame is None:
            return None
        return models.main.predict(frame, score_threshold=score).plot(opacity=opacity)

    with gr.Row():
        with gr.Column(min_width=300):
            camera = gr.Image(
                label="Camera", sources=["webcam"], streaming=True, type="numpy", height=300, elem_id="yo-camera"
            )
            gr.HTML(NOTE)
            score = gr.Slider(
                0.05, 0.95, 0.4, step=0.01, label="Score", info="Show what scores above this.", buttons=[]
            )
            opacity = gr.Slider(0.0, 1.0, 0.5, step=0.01, label="Opacity", buttons=[])
        with gr.Column(min_width=300):
            shown = Shown(label="With masks", interactive=False, buttons=["fullscreen"], elem_id="yo-live")
    camera.stream(
        look, [camera, score, opacity], shown, stream_every=0.05, time_limit=LIVE_SECONDS,
        concurrency_id="camera", concurrency_limit=2, show_progress="hidden", api_visibility="private",
    )  # fmt: skip
