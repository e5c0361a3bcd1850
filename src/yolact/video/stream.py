"""Addresses: which are files that end, which are live, and how each is opened without leading anywhere else."""

import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from weakref import WeakSet

from yolact.video.container import explain, open_container, require_av
from yolact.video.decoding import Decoding
from yolact.video.file import VideoFile
from yolact.video.live import LiveSource, Picture
from yolact.video.remote import RemoteFile, without_password
from yolact.video.upright import Upright

if TYPE_CHECKING:
    from av.container import InputContainer

PROTOCOLS = {
    "http": "",
    "https": "",
    "rtsp": "rtsp,rtp,srtp,tcp,udp",
    "rtsps": "rtsp,rtp,srtp,tcp,tls",
    "udp": "udp",
    "tcp": "tcp",
}
"""For each scheme that is taken, what libav may open for it. Of http addresses it opens none: `RemoteFile` does."""

PLAYLISTS = ("application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl")

LIVE = {"fflags": "nobuffer", "analyzeduration": "2000000"}
"""Microseconds. libav would look at five seconds before the first picture."""

LONGEST_WAIT = 30.0
"""Seconds. A picture that is due later has got its time from a clock that was set anew."""

WITHOUT_CLOCK = ("mjpeg", "mpjpeg", "h264", "hevc")
"""Formats that do not say when their pictures are shown; libav makes up 25 a second."""


def open_stream(address: str, *, timeout: float, patience: float, live: bool | None) -> VideoFile | LiveSource:
    """Open what an address names.

    Args:
        address: with one of the schemes in `PROTOCOLS`.
        timeout: seconds without data after which a connection counts as dropped.
        patience: seconds for which a connection that dropped is sought again.
        live: whether frames are dropped rather than waited for; None: as the server's answer says.

    Raises:
        ValueError: another scheme, or not a video.
        OSError: it cannot be reached.
        ModuleNotFoundError: the extra `yolact[video]` is not installed.
    """
    require_av()
    name, (scheme, rest) = without_password(address), address.split("://", 1)
    scheme, upright = scheme.lower(), Upright()
    if scheme not in PROTOCOLS:
        raise ValueError(f"{name}: {scheme}:// is not read; give {', '.join(f'{known}://' for known in PROTOCOLS)}")
    if PROTOCOLS[scheme]:
        opening = partial(_open_by_libav, f"{scheme}://{rest}", timeout)
        return LiveSource(lambda: Stream(opening(), name, upright), name, patience=patience)
    first: list[HttpOpening] = [HttpOpening(address, timeout, patience)]
    is_finite = first[0].remote.length is not None and not first[0].is_playlist
    if live is False or (live is None and (is_finite or first[0].is_playlist)):
        container = first[0].open()
        if is_finite or live is False or container.duration is not None:
            advice = "" if first[0].remote.seekable() else "; its server sends whole files only, so download it first"
            return VideoFile(container, name, cancel=first[0].cancel, if_empty=advice)
        container.close()
        first.clear()

    def connect() -> Stream:
        opening = first.pop() if first else HttpOpening(address, timeout, patience)
        return Stream(opening.open(), name, upright, opening)

    return LiveSource(connect, name, patience=patience)


class HttpOpening:
    """One connection to an http address, with those that a playlist leads on to."""

    def __init__(self, address: str, timeout: float, patience: float) -> None:
        self._open_remote = partial(RemoteFile, timeout=timeout, patience=patience)
        self.remote = self._open_remote(address)
        self._others: WeakSet[RemoteFile] = WeakSet()
        self._cancelled = False
        path = urlsplit(address).path.lower()
        self.is_playlist = self.remote.kind in PLAYLISTS or path.endswith((".m3u8", ".m3u"))

    def open(self) -> "InputContainer":
        """Let libav look at it.

        Raises:
            ValueError: not a video.
            OSError: the connection dropped.
        """
        format = "hls" if self.is_playlist else "mpjpeg" if self.remote.kind.startswith("multipart/") else None
        if self.is_playlist:  # libav takes nothing else for a playlist's, and asks `_open_other` for what it names
            options, protocols = {"http_persistent": "0", "seg_max_retry": "3"}, "http,https,tcp,tls"
        else:
            options, protocols = LIVE if self.remote.length is None else {}, "none"
        try:
            return open_container(
                self.remote,
                self.remote.shown,
                format=format,
                protocols=protocols,
                options=options,
                open_other=self._open_other,
            )
        except (OSError, ValueError):
            self.cancel()
            raise
        finally:
            if self.remote.was_interrupted:
                self.cancel()
                raise KeyboardInterrupt

    def cancel(self) -> None:
        """Make reading end soon, from any thread."""
        self._cancelled = True
        for remote in (self.remote, *self._others):
            remote.close()

    def _open_other(self, address: str, flags: int, options: dict[str, str]) -> RemoteFile:
        if not self.is_playlist or urlsplit(address).scheme.lower() not in ("http", "https"):
            raise PermissionError(f"{self.remote.shown} leads to {without_password(address)}, which is not followed")
        if self._cancelled:
            raise ConnectionError("closed")
        remote = self._open_remote(address)
        if options.get("offset", "0") != "0":
            remote.seek(int(options["offset"]))
        self._others.add(remote)
        return remote


class Stream:
    """A connection, as `LiveSource` wants it, to what is sent over a network."""

    def __init__(
        self, container: "InputContainer", name: str, upright: Upright, http: HttpOpening | None = None
    ) -> None:
        """Take over a container that is open.

        Raises:
            ValueError: its codec is unknown here.
        """
        self._container, self._name, self._upright, self._http = container, name, upright, http
        try:
            self._decoding = Decoding(container, is_live=True)
        except ValueError as error:
            container.close()
            raise ValueError(f"cannot read {name}: {error}") from None
        self.rate = None if container.format.name in WITHOUT_CLOCK else self._decoding.rate

    def __iter__(self) -> Iterator[tuple[float, Picture]]:
        import av.error

        pace = Pace() if self._http is not None and self._http.is_playlist else None
        try:
            for captured, picture in self._decoding:
                if pace is not None and picture.pts is not None and self._decoding.stream.time_base is not None:
                    captured = pace.wait(float(picture.pts * self._decoding.stream.time_base), captured)
                yield captured, partial(self._upright, picture, self._decoding.pixel_aspect)
        except av.error.FFmpegError as error:
            raise explain(error, self._name) from None
        is_over = self._http is not None and self._http.remote.ended
        if not is_over and self._container.duration is None:
            raise ConnectionError(f"{self._name}: the connection was closed")

    def cancel(self) -> None:
        """Make reading end soon, from any thread. libav's own connections end after their timeout."""
        if self._http is not None:
            self._http.cancel()

    def close(self) -> None:
        self.cancel()
        self._container.close()


class Pace:
    """A playlist's pictures come some seconds' worth at once. They are handed over when it is their time."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def wait(self, stamp: float, captured: float) -> float:
        """Wait until the picture is due, and return when that was.

        Args:
            stamp: seconds on the clock of the stream.
            captured: when its data came.
        """
        if self._offset is None or not -LONGEST_WAIT < captured - stamp - self._offset < 0:
            self._offset = captured - stamp  # the first, or one that came late: from now on that is the pace
        time.sleep(max(0.0, stamp + self._offset - time.monotonic()))
        return time.monotonic()


def _open_by_libav(address: str, timeout: float) -> "InputContainer":
    scheme = address.split("://", 1)[0]
    options = {"rtsp_transport": "tcp"} if scheme.startswith("rtsp") else {}
    return open_container(
        address,
        without_password(address),
        format="rtsp" if scheme.startswith("rtsp") else None,
        protocols=PROTOCOLS[scheme],
        options={**LIVE, **options},
        timeout=timeout,
    )
