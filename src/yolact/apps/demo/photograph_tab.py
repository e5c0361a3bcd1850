"""The page about one photograph: what is where."""

from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from yolact.apps.demo.components import Dropped, Shown, clickable, examples_html
from yolact.apps.demo.downloads import KINDS
from yolact.apps.demo.models import Models
from yolact.apps.demo.session import Choice
from yolact.config import CropKind


@dataclass(frozen=True, kw_only=True)
class Controls:
    """What changes how masks are chosen and drawn; in the order of `Choice`."""

    score: gr.Slider
    number: gr.Slider
    mask: gr.Slider
    classes: gr.Dropdown
    opacity: gr.Slider
    crop: gr.Dropdown

    def all(self) -> list[gr.Slider | gr.Dropdown]:
        return [self.score, self.number, self.mask, self.classes, self.opacity, self.crop]


@dataclass(frozen=True, kw_only=True)
class PhotographTab:
    dropped: gr.Image
    examples: gr.HTML | None
    controls: Controls
    picture: gr.Image
    compare: gr.Dropdown
    other: gr.Image
    hint: gr.HTML
    listing: gr.HTML
    saving: gr.Row
    downloads: list[tuple[str, gr.Button]]
    download: gr.File
    panel: gr.Column
    formula: gr.HTML
    coefficient: gr.Slider
    reset: gr.Button
    grid: gr.HTML


def lay_out(models: Models, photographs: list[Path]) -> PhotographTab:
    with gr.Row(elem_id="yo-desk"):
        with gr.Column(elem_id="yo-drop"):
            dropped = Dropped(
                label="Photograph",
                show_label=False,
                sources=["upload", "webcam", "clipboard"],
                type="filepath",
                image_mode=None,
                height=210,
                buttons=[],
                elem_id="yo-photograph",
                placeholder="Drop a photograph here\nor click to choose one",
            )
            examples = None
            if photographs:
                examples = clickable("example", value=examples_html(photographs), elem_id="yo-examples")
        with gr.Column(elem_id="yo-result"):
            with gr.Row():
                picture = Shown(
                    label=models.name,
                    show_label=bool(models.others),
                    buttons=["fullscreen"],
                    interactive=False,
                    min_width=280,
                    elem_id="yo-picture",
                )
                other = Shown(
                    label="Beside it",
                    buttons=["fullscreen"],
                    interactive=False,
                    visible=bool(models.others),
                    min_width=280,
                    elem_id="yo-other",
                )
            hint = gr.HTML(WELCOME, elem_id="yo-hint")
            listing = clickable("row", elem_id="yo-listing")
            saving, downloads, download = _downloads()
        with gr.Column(elem_id="yo-controls"):
            controls = _controls(models.class_names, models.default_crop)
            names = list(models.others)
            compare = gr.Dropdown(
                [("nothing", ""), *((name, name) for name in names)],
                value=names[0] if names else "",
                label="Compare with",
                visible=bool(names),
                elem_id="yo-compare",
            )
        formula, coefficient, reset, grid, panel = _panel()
    return PhotographTab(
        dropped=dropped, examples=examples, controls=controls, picture=picture, compare=compare, other=other, hint=hint,
        listing=listing, saving=saving, downloads=downloads, download=download, panel=panel, formula=formula,
        coefficient=coefficient, reset=reset, grid=grid,
    )  # fmt: skip


CROPS = {
    "component": "connected to its middle",
    "box": "all in its box",
    "expand": "all in a wider box",
    "soft": "all, fading around its box",
}
"""What the page calls each `CropKind`."""

WELCOME = (
    '<p class="yo-hint">Drop a photograph, or take one of the examples. Then click on somebody in the picture to see '
    "what the mask is made of.</p>"
)


def _controls(class_names: tuple[str, ...], default_crop: CropKind) -> Controls:
    usual = Choice()
    several = len(class_names) > 1
    return Controls(
        score=gr.Slider(
            0.05, 0.95, usual.score, step=0.01, label="Score", info="Show what scores above this.", buttons=[]
        ),
        number=gr.Slider(
            1, 100, usual.number, step=1, label="Number", info="Show the best, at most so many.", buttons=[]
        ),
        mask=gr.Slider(
            0.05,
            0.95,
            usual.mask,
            step=0.01,
            label="Mask",
            info="A pixel this probable belongs to the object.",
            buttons=[],
        ),
        classes=gr.Dropdown(
            list(class_names), value=[], multiselect=True, label="Classes", info="None: all.", visible=several
        ),
        opacity=gr.Slider(0.0, 1.0, usual.opacity, step=0.01, label="Opacity", buttons=[]),
        crop=gr.Dropdown(
            [(name, kind) for kind, name in CROPS.items()],
            value=default_crop,
            label="Cut",
            info="What of the sum a mask keeps.",
        ),
    )


def _downloads() -> tuple[gr.Row, list[tuple[str, gr.Button]], gr.File]:
    with gr.Row(elem_id="yo-downloads", visible=False) as row:
        gr.HTML('<p class="yo-hint">Download</p>')
        buttons = [(kind, gr.Button(kind, size="sm", elem_id=f"yo-save-{n}")) for n, kind in enumerate(KINDS)]
    return row, buttons, gr.File(visible="hidden", elem_id="yo-file")


def _panel() -> tuple[gr.HTML, gr.Slider, gr.Button, gr.HTML, gr.Column]:
    with gr.Column(visible=False, elem_id="yo-panel") as panel:
        formula = clickable("prototype", container=True, padding=True, elem_id="yo-formula")
        with gr.Row(elem_id="yo-edit"):
            coefficient = gr.Slider(
                -1.0,
                1.0,
                0.0,
                step=0.01,
                label="Coefficient",
                info="How much of this prototype the mask takes. Move it, and watch the mask.",
                scale=5,
                buttons=[],
                elem_id="yo-coefficient",
            )
            reset = gr.Button("Back to the network's mask", size="sm", scale=1, min_width=190, elem_id="yo-reset")
        with gr.Accordion("All prototypes, those first that matter most to this mask", open=False):
            gr.HTML(
                '<p class="yo-hint">They belong to the whole photograph, and every mask in it is mixed from these same '
                "pictures. Nobody told them what to be: some have become edges, some regions, some sides of things.</p>"
            )
            grid = clickable("prototype", elem_id="yo-grid")
    return formula, coefficient, reset, grid, panel
