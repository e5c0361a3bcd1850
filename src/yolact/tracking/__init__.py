"""Which instance of one frame is which of the next."""

from typing import TYPE_CHECKING, Literal, Protocol, get_args, runtime_checkable

if TYPE_CHECKING:
    from yolact.instances import Instances

TrackerKind = Literal["mask", "coefficients", "bytetrack", "ocsort", "botsort"]
"""What two frames are compared by: masks at prototype scale, how objects mix the prototypes, or boxes, as three
published trackers do it; see docs/tracking.md."""


@runtime_checkable
class Tracker(Protocol):
    """Follows the objects of one video. It keeps what it knows of them: each video needs one of its own."""

    def update(self, instances: "Instances", time: float) -> "Instances":
        """The same instances, in the same order, with `track_ids`.

        Args:
            instances: of the next frame, the ones that score little included: they may be an object that is half
                hidden.
            time: of the frame, in seconds. A step back, as when a player rewinds, ends all tracks.

        Raises:
            ValueError: a time that is not finite.
        """
        ...

    def reset(self) -> None:
        """Forget everything, for another video. Ids begin at 1 again."""
        ...


def open_tracker(kind: TrackerKind = "mask", smooth: float | int = 0, frame_rate: float | int | None = None) -> Tracker:
    """A tracker for one video.

    Args:
        kind: what it compares.
        smooth: half-life in seconds of the masks' past: that long after, a frame counts half as much in its track's
            mask. 0 leaves each mask as the network made it.
        frame_rate: frames a second; `bytetrack`, `ocsort` and `botsort` scale their motion by it. None: 30.

    Raises:
        ValueError: an unknown kind, or a number out of range.
        ImportError: what trackers need is not installed.
    """
    if kind not in get_args(TrackerKind):
        raise ValueError(f"tracker is {kind!r}; choose {', '.join(get_args(TrackerKind)[:-1])} or botsort")
    if not 0 <= smooth < float("inf"):
        raise ValueError(f"smooth is {smooth}; it must be a number of seconds, 0 or more")
    if frame_rate is not None and not 0 < frame_rate < float("inf"):
        raise ValueError(f"frame_rate is {frame_rate}; it must be above 0")
    try:
        tracker = _open(kind, 30.0 if frame_rate is None else float(frame_rate))
    except ImportError as error:
        missing = f"tracking by {kind} needs {error.name or error}"
        raise ImportError(f"{missing}, which is not installed: pip install 'yolact[track]'") from error
    if smooth > 0:
        from yolact.tracking.smoothing import SmoothingTracker

        return SmoothingTracker(tracker, float(smooth))
    return tracker


def _open(kind: TrackerKind, frame_rate: float) -> Tracker:
    if kind in ("mask", "coefficients"):
        from yolact.tracking.prototype_tracker import PrototypeTracker

        return PrototypeTracker(kind)
    from yolact.tracking.box_trackers import BoxTracker

    return BoxTracker(kind, frame_rate)
