"""How the results of a video are called, whatever it came from."""

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from yolact.whole_files import shortened


def result_names(videos: Sequence[str], out: Path) -> list[str]:
    """A name for each video's results, without a suffix; a number is added to those that are taken.

    Raises:
        ValueError: `out` holds one of the videos, which its results would replace.
    """
    taken: set[str] = set()
    names = []
    for text in videos:
        path = Path(text).expanduser()
        if path.is_file() and path.absolute().parent.resolve() == out.resolve():
            raise ValueError(f"--out {out} holds {path}, which is to be predicted on; choose another folder")
        stem = name = shortened(_stem(text), 236)  # .unfinished follows, and perhaps a number
        number = 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        names.append(name)
    return names


def _stem(text: str) -> str:
    """clip.mp4: clip; 0: camera-0; rtsp://user:secret@door.local/live?x: door.local-live; frames/%05d.jpg: frames."""
    path = Path(text).expanduser()
    if path.is_file():
        return path.stem
    if text.isdigit():
        return f"camera-{text}"
    if "://" in text:
        address = urlsplit(text)
        name = f"{address.hostname or address.scheme}-{Path(address.path).stem}"
    else:
        name = path.name if path.is_dir() else path.parent.name or path.stem
    return re.sub(r"[^\w.]+", "-", name).strip("-.") or "video"
