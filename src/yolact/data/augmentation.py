"""What happens to photographs on their way into training."""

from dataclasses import dataclass
from typing import Literal

AugmentKind = Literal["ssd", "jitter", "light", "none"]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How much is left to chance; the defaults are the paper's."""

    kind: AugmentKind = "ssd"
    """`ssd`: photometric distortion, zoom out, crop, mirror. `jitter`: distortion, any scale of `jitter_scales`,
    mirror. `light`: distortion and mirror. `none`: resize."""

    zoom_out: float = 4.0
    """`ssd` shrinks a photograph up to this many times, on a canvas of the mean color; 1 turns it off."""

    jitter_scales: tuple[float, float] = (0.1, 2.0)
    """The smallest and largest side that `jitter` gives a photograph, the network input being 1."""

    mosaic: float = 0.0
    """Share of the samples that are put together from four photographs."""

    copy_paste: float = 0.0
    """Share of the samples onto which objects of another photograph are pasted."""
