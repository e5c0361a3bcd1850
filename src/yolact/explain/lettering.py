"""Words in figures, and figures in files."""

import warnings
from functools import cache
from pathlib import Path
from typing import Any

from yolact.printable import printable
from yolact.whole_files import written_whole

INK, QUIET = "#1a1a1a", "#666666"

LONGEST = 300
"""Letters of a line; no figure has room for more."""

SCRIPTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR", "Noto Sans Arabic",
    "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai", "WenQuanYi Zen Hei", "IPAGothic", "Hiragino Sans",
    "PingFang SC", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Nirmala UI", "Arial Unicode MS",
)  # fmt: skip
"""Fonts for what DejaVu Sans lacks, tried in this order where the system has them."""


@cache
def fonts() -> tuple[str, ...]:
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in SCRIPTS if name in installed))


def lettered(
    figure: Any, x: float | int, y: float | int, text: str, across: float, down: float, *, size: float | int,
    color: str = INK, align: str = "left", bold: bool = False, room: float | None = None,
) -> None:  # fmt: skip
    """Write one line into a figure of `across` times `down` inches, its top at (x, y) inches from the top left.

    A line wider than `room` inches (None: to the edge of the figure) gets smaller letters, down to three quarters, and
    is then shortened. Dollar signs are dollar signs.
    """
    line = printable(text)[:LONGEST]
    room = (x if align == "right" else across - x) if room is None else room
    written = figure.text(
        x / across, 1 - y / down, line, fontsize=size, color=color, ha=align, va="top", family=list(fonts()),
        parse_math=False, weight="bold" if bold else "normal",
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box is drawn for it
        wide = written.get_window_extent().width / figure.dpi
        if wide > room:
            written.set_fontsize(size * max(room / wide, 0.75) * 0.99)
        while len(line) > 1 and written.get_window_extent().width / figure.dpi > room:
            line = line[: max(min(int(len(line) * 0.95), len(line) - 1), 1)]
            written.set_text(f"{line}…")


def write_figure(figure: Any, path: Path) -> None:
    """As a PNG, which appears whole or not at all."""
    with written_whole(path) as unfinished, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box is drawn for it
        figure.savefig(unfinished, format="png")
