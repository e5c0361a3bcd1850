"""The report as files: report.json, sheet.html to read, and sheet.png where no browser is at hand."""

import json
from pathlib import Path

from PIL import Image, ImageDraw

from yolact.captions import load_font
from yolact.doctor.findings import Finding
from yolact.doctor.page import Section, render
from yolact.doctor.pictures import SIDE, Picture, finding_pictures, sample_pictures
from yolact.doctor.report import Report
from yolact.printable import printable
from yolact.whole_files import written_whole

COLUMNS = 4
GAP = 12
LETTERS = 15
"""Height of captions on the PNG, in pixels."""

HIGHEST = 30_000
"""Pixels from which on pictures are left to the page: six times as high, the PNG takes a gigabyte of memory."""


def write_sheet(report: Report, folder: Path, samples: int = 24, examples: int = 8, seed: int = 0) -> list[Path]:
    """Write report.json, sheet.html and sheet.png; files of the same names are replaced.

    Args:
        samples: photographs drawn by lot.
        examples: pictures for each finding, at most.
        seed: of the lot.

    Raises:
        OSError: the folder cannot be written into.
    """
    shown = [_section(report, finding, examples) for finding in report.findings if finding.spots and examples]
    drawn = list(sample_pictures(report, samples, seed))
    if drawn:
        shown.append(Section("Photographs drawn by lot", f"{len(drawn)}, with their annotations", "sample", drawn))
    sections = sorted(shown, key=lambda section: ("error", "sample", "note").index(section.kind))
    text = json.dumps(report.to_dict(), indent=2)
    page, picture = render(report, sections), contact_sheet(sections)
    files = [folder / name for name in ("report.json", "sheet.html", "sheet.png")]
    with written_whole(files[0]) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    with written_whole(files[1]) as unfinished:
        unfinished.write_text(page, encoding="utf-8")
    with written_whole(files[2]) as unfinished:
        picture.save(unfinished, "PNG")
    return files


def _section(report: Report, finding: Finding, examples: int) -> Section:
    pictures = list(finding_pictures(report, finding, examples))
    count = f"{len(pictures)} of {len(finding.where)}"
    return Section(f"{finding.split}: {finding.kind}", count, finding.severity, pictures)


def contact_sheet(sections: list[Section]) -> Image.Image:
    """Pictures below each other, four in a row, each section with its title, until the sheet is `HIGHEST`."""
    font, title = load_font(None, float(LETTERS)), load_font(None, 1.6 * LETTERS)
    width = COLUMNS * (SIDE + GAP) + GAP
    placed: list[tuple[int, int, Picture]] = []
    titles: list[tuple[int, str]] = []
    top = GAP
    for section in sections:
        for start in range(0, len(section.pictures), COLUMNS):
            if top > HIGHEST:
                break
            if start == 0:
                titles.append((top, f"{section.title} ({section.count})"))
                top += 3 * LETTERS
            row = section.pictures[start : start + COLUMNS]
            placed += [(GAP + i * (SIDE + GAP), top, picture) for i, picture in enumerate(row)]
            top += max(picture.image.height for picture in row) + 2 * LETTERS + GAP
    left = sum(len(section.pictures) for section in sections) - len(placed)
    if left:
        titles.append((top, f"{left} more pictures are in sheet.html"))
        top += 3 * LETTERS
    sheet = Image.new("RGB", (width, top + GAP), (250, 250, 250))
    pen = ImageDraw.Draw(sheet)
    for y, text in titles:
        pen.text((GAP, y), _cut(text, width // LETTERS), fill=(0, 0, 0), font=title)
    for x, y, picture in placed:
        sheet.paste(picture.image, (x, y))
        text = _cut(picture.caption, int(SIDE / (0.52 * LETTERS)))
        pen.text((x, y + picture.image.height + 3), text, fill=(60, 60, 60), font=font)
    return sheet


def _cut(text: str, most: int) -> str:
    text = printable(text)
    return text if len(text) <= most else text[: most - 3] + "..."
