"""What a call of `predict` asks for, checked before anything is done."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, cast

from yolact.config import CropKind, DetectConfig, ModelConfig, NmsKind
from yolact.detect.crop import check_crop
from yolact.weights_file import LARGEST_SIDE


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options of `Predictor.predict` that hold for each photograph."""

    detect: DetectConfig
    image_size: tuple[int, int] | None
    score_threshold: float | int
    top_k: int
    labels: tuple[int, ...] | None
    channel_order: str
    crop: CropKind

    @classmethod
    def of(
        cls,
        model: ModelConfig,
        score_threshold: float | int,
        top_k: int,
        nms: NmsKind,
        classes: Sequence[str] | None,
        image_size: tuple[int, int] | None,
        channel_order: str,
        crop: str | None,
    ) -> "Request":
        """
        Raises:
            ValueError: an option out of range, or a class unknown to the model.
        """
        if not 0 <= score_threshold <= 1:
            raise ValueError(f"score_threshold is {score_threshold}; it must lie between 0 and 1")
        if channel_order not in ("rgb", "bgr"):
            raise ValueError(f"channel_order is {channel_order!r}; choose rgb or bgr")
        if crop is not None:
            check_crop(crop)
        check_size(image_size)
        config = DetectConfig(nms=nms, top_k=top_k)
        if classes is not None:  # others must not take their places among the best
            config = replace(config, top_k=max(top_k, config.candidates))
        return cls(
            detect=config,
            image_size=image_size and (image_size[0], image_size[1]),
            score_threshold=score_threshold,
            top_k=top_k,
            labels=None if classes is None else _labels(model, classes),
            channel_order=channel_order,
            crop=model.default_crop if crop is None else cast(CropKind, crop),
        )


def check_size(image_size: Any) -> None:
    """Raise ValueError unless this is None, or a height and a width that a network can be given."""
    if image_size is None:
        return
    whole = isinstance(image_size, Sequence) and all(isinstance(side, Integral) for side in image_size)
    if not whole or len(image_size) != 2 or max(image_size) > LARGEST_SIDE:
        raise ValueError(f"image_size is {image_size!r}; it is (height, width), each at most {LARGEST_SIDE} pixels")


def _labels(model: ModelConfig, classes: Sequence[str]) -> tuple[int, ...]:
    names = [classes] if isinstance(classes, str) else list(classes)
    unknown = [name for name in names if name not in model.class_names]
    if unknown:
        raise ValueError(f"classes {unknown} are not among this model's: {', '.join(model.class_names)}")
    return tuple(model.class_names.index(name) for name in names)
