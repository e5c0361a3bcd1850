"""The worst errors as one page that needs no other file."""

import base64
from html import escape
from pathlib import Path

from yolact.evaluate.errors import ErrorKind, WorstErrors
from yolact.whole_files import written_whole

SECTIONS: dict[ErrorKind, tuple[str, str]] = {
    "missed": ("Missed", "Objects that no detection stands for, the largest first."),
    "wrong": ("Wrong", "Detections that stand for no annotated object, the highest scores first."),
    "mask": ("Poor masks", "Found in the right place, with the lowest overlap of masks first."),
    "confused": ("Confused", "Found as another class, the highest scores first."),
}

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1400px; padding: 0 1rem; }
section { display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); }
figure { margin: 0; }
figure div { display: grid; gap: 2px; grid-template-columns: 1fr 1fr; }
img { background: #8883; height: 100%; object-fit: contain; width: 100%; }
figcaption { margin-top: .3rem; overflow-wrap: anywhere; }
.truth { color: #00a344; } .prediction { color: #e06200; }
"""


def write_gallery(path: Path, errors: WorstErrors, score_threshold: float) -> None:
    """Write the page. Captions are escaped: file and class names may hold anything."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><title>The worst errors</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{STYLE}</style></head><body>",
        "<h1>The worst errors</h1>",
        '<p>Left <span class="truth">what is annotated</span>, right <span class="prediction">what is detected</span>'
        f" with scores above {score_threshold:g}. Filled is what the error is about, outlined what is beside it.</p>",
    ]
    for kind, (title, about) in SECTIONS.items():
        kept = errors[kind]
        parts.append(f"<h2>{title}</h2><p>{about if kept else 'None.'}</p><section>")
        for error in kept:
            pictures = _image(error.truth, "annotated") + _image(error.prediction, "detected")
            parts.append(f"<figure><div>{pictures}</div><figcaption>{escape(error.caption)}</figcaption></figure>")
        parts.append("</section>")
    with written_whole(path) as unfinished:
        unfinished.write_text("\n".join([*parts, "</body></html>", ""]), encoding="utf-8", errors="xmlcharrefreplace")


def _image(jpeg: bytes, what: str) -> str:
    return f'<img alt="{what}" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">'
