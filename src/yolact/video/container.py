"""Opening what libav reads, narrowly: formats that hold pictures and sound, never ones that name other files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from yolact.video.remote import RemoteFile

FORMATS = (
    "3gp,aac,amv,apng,asf,avi,dv,flac,flv,gif,gxf,h261,h263,h264,hevc,ivf,live_flv,m4v,matroska,mjpeg,mov,mp3,mp4,mpeg,"
    "mpegts,mpegvideo,mpjpeg,mxf,nut,obu,ogg,rm,swf,vc1,wav,webm,wtv,yuv4mpegpipe"
)
"""What is opened. Left out are those that lead on to other files (concat, hls, dash) and those that take anything."""

MOST_PLAUSIBLE_RATE = 1000
"""Frames a second. Some containers give the resolution of their clock instead."""

FIRST_BOXES = ("ftyp", "moov", "mdat", "wide", "free", "skip")
"""What an MP4 or MOV file starts with."""


def require_av() -> None:
    """Load PyAV, with libav's own lines kept from the terminal.

    Raises:
        ModuleNotFoundError: the extra `yolact[video]` is not installed.
    """
    try:
        import av.error
        import av.logging
    except ModuleNotFoundError:
        raise ModuleNotFoundError("videos need PyAV; install it with: pip install 'yolact[video]'") from None
    av.logging.set_level(None)


def open_container(
    source: "str | RemoteFile",
    name: str,
    *,
    format: str | None = None,
    protocols: str = "file",
    options: Mapping[str, str] | None = None,
    timeout: float | None = None,
    open_other: "Callable[..., RemoteFile] | None" = None,
) -> "InputContainer":
    """Open a container with at least one video stream.

    Args:
        source: an address for libav, or a file that is open.
        name: for people.
        format: libav's name of the format; None: found out, and one of `FORMATS`.
        protocols: what libav may open.
        timeout: seconds without data, after which it gives up.
        open_other: opens the other addresses that a playlist names.

    Raises:
        ValueError: not a video.
        OSError: it cannot be reached.
    """
    import av
    import av.container
    import av.error

    limits = {"protocol_whitelist": protocols, "format_whitelist": FORMATS if format is None else f"{FORMATS},{format}"}
    try:
        container = av.open(
            source,
            format=format,
            container_options={**limits, **(options or {})},
            timeout=timeout,
            buffer_size=1 << 16,
            io_open=open_other,
            **_lenient_titles(),
        )
    except (av.error.FFmpegError, OSError) as error:
        raise explain(error, name) from None
    assert isinstance(container, av.container.InputContainer)
    if not container.streams.video:
        sound = ", only sound" if container.streams.audio else ""
        container.close()
        raise ValueError(f"{name} has no pictures{sound}")
    return container


def _lenient_titles() -> dict[str, Any]:
    """For PyAV up to 18, to which a title that is no UTF-8 spoils the video. Later ones do not ask any more."""
    import av

    return {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def picture_stream(container: "InputContainer") -> "VideoStream":
    """The video itself, not a cover picture beside it.

    Raises:
        ValueError: nothing here decodes it.
    """
    from av.stream import Disposition

    videos = [video for video in container.streams.video if not video.disposition & Disposition.attached_pic]
    stream = (videos or list(container.streams.video))[0]
    if stream.codec_context is None:
        raise ValueError("its codec is unknown here; convert it to H.264, for instance with ffmpeg")
    return stream


def explain(error: Exception, name: str) -> Exception:
    """The error that people read, in one line and without passwords, for one of libav's."""
    import av.error

    if isinstance(error, av.error.ExitError):
        return TimeoutError(f"{name}: no answer in time")
    if isinstance(error, av.error.InvalidDataError | av.error.ArgumentError | av.error.EOFError):
        return ValueError(f"cannot read {name}: it is not a video in a known format")
    if isinstance(error, av.error.FFmpegError):
        reason = (error.strerror or "it cannot be opened").removeprefix("Server returned ")
        return OSError(f"cannot read {name}: {reason}")
    return error


def why_not_a_video(path: Path) -> str | None:
    """What is wrong with a file that libav would refuse, or take for something else, if its bytes tell."""
    if path.stat().st_size == 0:
        return "the file is empty"
    with path.open("rb") as file:
        if not any(file.read(4096)):
            return "it starts with nothing but zeros, as files do whose download or copy was cut off"
    names, lacking = _boxes(path)
    if "ftyp" in names and ("moov" not in names or lacking == "moov"):
        return "it is cut off before the end of its index (moov), without which nothing can be decoded"
    return None


def is_cut_off(path: Path) -> bool:
    """Whether an MP4 or MOV file ends in the middle of its pictures; of other files, nobody knows."""
    return _boxes(path)[1] is not None


def _boxes(path: Path) -> tuple[set[str], str | None]:
    """The boxes of an MP4 or MOV file on its upper level, as far as there are any, and which of them is not whole."""
    found: set[str] = set()
    position, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while position + 8 <= size:
            file.seek(position)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            length = int.from_bytes(header[8:], "big") if length == 1 else length
            name = header[4:8].decode("latin-1")
            if not found and name not in FIRST_BOXES:
                break
            found.add(name)
            if length < 8:  # 0: up to the end of the file
                break
            position += length
            if position > size and name in ("moov", "moof", "mdat"):
                return found, name
    return found, None
