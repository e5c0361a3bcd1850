"""How videos are followed, shown and written: the options of `yolact predict` that photographs do not have."""

from dataclasses import dataclass, fields
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    track: Literal["mask", "coefficients", "bytetrack", "ocsort", "botsort"] | None = None
    """Number the objects of a video, each the same in all frames, by comparing masks (`--track` alone),
    coefficients, or boxes."""

    smooth: float = 0.0
    """With --track: half-life in seconds of a mask's past, against flicker. 0: masks as the network made them."""

    preview: bool = False
    """Show each picture live on a web page of this machine, whose address is printed."""

    preview_port: int = 0
    """0: one that is free."""

    rate: float | None = None
    """Frames a second of photographs that are a video: numbered ones, such as frames/%05d.jpg (25 if it is not given),
    or a folder or a glob of them."""

    seconds: float | None = None
    """Stop each video there. A camera or a stream otherwise goes on until Ctrl-C."""

    resume: bool = False
    """Go on where an earlier run was cut off, and leave videos alone that it finished."""

    @property
    def facts(self) -> dict[str, Any]:
        """What decides the results: with anything else, no run can go on where another was cut off."""
        return {name: getattr(self, name) for name in ("track", "smooth", "rate", "seconds")}

    def in_vain(self) -> str | None:
        """What to say of the first option that was given, where there is no video."""
        given = [each.name for each in fields(self) if getattr(self, each.name) != each.default]
        if not given:
            return None
        option = given[0].replace("_", "-")
        return f"--{option} has no effect: it is for videos, and photographs are one as a folder or glob with --rate"

    def check(self) -> None:
        """
        Raises:
            ValueError: an option out of range, or one that needs another.
        """
        if self.smooth and self.track is None:
            raise ValueError("--smooth follows masks from frame to frame; give --track too")
        if self.seconds is not None and not self.seconds > 0:
            raise ValueError(f"--seconds is {self.seconds}; it must be above 0")
        if self.rate is not None and not 0 < self.rate < float("inf"):
            raise ValueError(f"--rate is {self.rate}; it must be above 0")
