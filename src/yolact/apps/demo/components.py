"""Gradio's components as this page needs them."""

import base64
import io
from abc import ABCMeta
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.component_meta import ComponentMeta
from gradio.data_classes import ImageData
from PIL import Image

CHOOSES = """
element.addEventListener('click', (event) => {
    const button = event.target.closest('button[data-%s]');
    if (button) trigger('click', {chosen: button.dataset.%s});
});
"""


class _WithoutStub(ComponentMeta):
    """Gradio writes a stub file beside the source of each class of components; these have no events of their own."""

    def __new__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> "_WithoutStub":
        return ABCMeta.__new__(cls, name, bases, attributes)


class Dropped(gr.Image, metaclass=_WithoutStub):
    """A photograph that a visitor drops. Its file is handed on unopened, so that this page finds words for bad ones."""

    is_template = True

    def preprocess(self, payload: ImageData | None) -> str | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        if payload is not None and payload.path and not (payload.url or "").startswith("data:"):
            return payload.path
        value = super().preprocess(payload)
        return None if value is None else str(value)


class Shown(gr.Image, metaclass=_WithoutStub):
    """A picture that is sent as part of the answer: one that follows a slider would leave a file at each step."""

    is_template = True

    def postprocess(self, value: Any) -> Any:
        if not isinstance(value, Image.Image | np.ndarray):
            return super().postprocess(value)
        picture = Image.fromarray(value) if isinstance(value, np.ndarray) else value
        code = io.BytesIO()
        picture.save(code, "JPEG", quality=90, subsampling=0)
        return ImageData(url="data:image/jpeg;base64," + base64.b64encode(code.getvalue()).decode())


def clickable(attribute: str, **options: Any) -> gr.HTML:
    """HTML whose buttons with `data-ATTRIBUTE` make a click event; `chosen` is what the button's attribute says."""
    return gr.HTML(js_on_load=CHOOSES % (attribute, attribute), apply_default_css=False, **options)


def examples_html(photographs: list[Path]) -> str:
    """Thumbnails to click on."""
    from yolact.apps.demo.models import at_page_size
    from yolact.apps.demo.thumbnails import as_address, sized
    from yolact.images import read_image

    tiles = []
    for number, path in enumerate(photographs):
        pixels = at_page_size(read_image(path))
        height, width = sized((pixels.shape[0], pixels.shape[1]), 140)
        small = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))
        tiles.append(
            f'<button type="button" data-example="{number}" aria-label="example {number + 1}">'
            f'<img src="{as_address(small)}" alt=""></button>'
        )
    return f'<div class="yo-examples">{"".join(tiles)}</div>'
