"""The report as one web page: no script, no network, light and dark, narrow and wide."""

import base64
import io
from dataclasses import dataclass
from html import escape
from typing import Literal

from yolact.doctor.pictures import Picture
from yolact.doctor.report import Report, percent, rows
from yolact.doctor.tally import ClassCount
from yolact.printable import printable

QUALITY = 82
"""Of the JPEGs."""

STYLE = """
:root { color-scheme: light dark; --ground: #fbfbfa; --card: #fff; --ink: #1c1d1f; --quiet: #5c6066; --line: #dcdcd8;
  --error: #b3261e; --note: #7a5a00; --sample: #2a6f4e; --bar: #56b4e9; }
@media (prefers-color-scheme: dark) { :root { --ground: #151618; --card: #1e2022; --ink: #e9e9e6; --quiet: #a3a7ad;
  --line: #35383c; --error: #ff8a80; --note: #f0c75e; --sample: #7fd1a8; --bar: #2f7fb5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.25rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2.25rem 0 .6rem; }
p { margin: .2rem 0 1rem; color: var(--quiet); }
ul { list-style: none; margin: 0; padding: 0; }
li { background: var(--card); border: 1px solid var(--line); border-left: .3rem solid var(--kind);
  border-radius: .3rem; padding: .45rem .7rem; margin: .35rem 0; }
.error { --kind: var(--error); } .note { --kind: var(--note); } .sample { --kind: var(--sample); }
b.kind { color: var(--kind); margin-right: .4rem; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .3rem; background: var(--card); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 9rem; }
tr:last-child td { border-bottom: 0; } th { color: var(--quiet); font-weight: 600; }
td.bar { background: linear-gradient(to left, var(--bar) var(--share), transparent var(--share)) no-repeat
  bottom right / 100% 3px; }
.grid { display: grid; gap: .8rem; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .3rem; overflow: hidden; }
figure img { display: block; width: 100%; height: auto; }
figcaption { padding: .35rem .6rem; font-size: .82rem; color: var(--quiet); }
"""


@dataclass(frozen=True, slots=True)
class Section:
    """Pictures of one kind."""

    title: str
    count: str
    kind: Literal["error", "note", "sample"]
    pictures: list[Picture]


def render(report: Report, sections: list[Section]) -> str:
    """The whole page, as HTML that needs nothing beside it."""
    height, width = report.model.image_size
    heading = f"<h1>{_safe(report.name)}</h1>\n<p>As {_safe(report.model.name)} sees it at {height} &times; {width}"
    parts = [
        f"{heading} (height &times; width): {_safe(report.verdict())}.</p>",
        _findings(report),
        "<h2>In numbers</h2>",
        _numbers(report),
        *(_section(section) for section in sections),
        "<h2>Classes</h2>",
        "<p>Anchor: the share of the objects whose best anchor overlaps by at least 0.5.</p>",
        _classes(report),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_safe(report.name)}: data check</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _safe(text: str) -> str:
    return escape(printable(text))


def _findings(report: Report) -> str:
    items = [
        f'<li class="{finding.severity}"><b class="kind">{finding.severity}</b>{_safe(finding.line())}</li>'
        for finding in report.findings
    ]
    return f"<ul>{''.join(items)}</ul>"


def _numbers(report: Report) -> str:
    body = "".join(
        f"<tr><td>{_safe(name)}</td>{''.join(f'<td>{_safe(value)}</td>' for value in values)}</tr>"
        for name, values in rows(report.splits)
    )
    return _table(["", *report.splits], body)


def _classes(report: Report) -> str:
    heads = ["class"]
    for split in report.splits:
        heads += [f"{split}: objects", "images", "share", "anchor"]
    most = {
        split: max((c.objects for c in tally.classes.values()), default=0) for split, tally in report.splits.items()
    }
    body = ""
    for name in next(iter(report.splits.values())).classes:
        cells = "".join(
            _class_cells(tally.classes[name], tally.objects, most[split]) for split, tally in report.splits.items()
        )
        body += f"<tr><td>{_safe(name)}</td>{cells}</tr>"
    return _table(heads, body)


def _class_cells(count: ClassCount, objects: int, most: int) -> str:
    share, length = count.objects / max(objects, 1), count.objects / max(most, 1)
    return (
        f'<td class="bar" style="--share: {length:.1%}">{count.objects}</td><td>{count.images}</td>'
        f"<td>{share:.1%}</td><td>{percent(count.recall, 'positive')}</td>"
    )


def _table(heads: list[str], body: str) -> str:
    head = "".join(f"<th>{_safe(text)}</th>" for text in heads)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _section(section: Section) -> str:
    figures = "".join(_figure(picture) for picture in section.pictures)
    label = "" if section.kind == "sample" else f'<b class="kind">{section.kind}</b>'
    title = f'<h2 class="{section.kind}">{label}{_safe(section.title)}</h2>'
    return f'{title}\n<p>{_safe(section.count)}</p>\n<div class="grid">{figures}</div>'


def _figure(picture: Picture) -> str:
    buffer = io.BytesIO()
    picture.image.save(buffer, "JPEG", quality=QUALITY)
    data, caption = base64.b64encode(buffer.getvalue()).decode("ascii"), _safe(picture.caption)
    size = f'width="{picture.image.width}" height="{picture.image.height}"'
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" {size} alt="{caption}" loading="lazy">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
