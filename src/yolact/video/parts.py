"""Fragmented MP4 files that a process left behind when it was killed."""

from pathlib import Path

import av


def keep_whole_fragments(path: Path) -> None:
    """Cut a file off behind its last complete fragment; remove it if there is none."""
    size, end = path.stat().st_size, 0
    complete = 0
    with path.open("rb") as file:
        while end + 8 <= size:
            file.seek(end)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:  # the true length follows
                length = int.from_bytes(header[8:], "big")
            if length < 8 or end + length > size:
                break
            end += length
            if header[4:8] == b"mdat":
                complete = end
    if complete == 0:
        path.unlink()
    elif complete < size:
        with path.open("r+b") as file:
            file.truncate(complete)


def count_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)
