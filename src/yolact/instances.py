"""The one result type: what was found in a photograph, in pixels of that photograph."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float, Float32, Int64, UInt8
from PIL import Image

from yolact import visualize
from yolact.config import CropKind, ModelConfig
from yolact.detect.crop import crop_windows
from yolact.images import to_rgb
from yolact.masks import Masks

if TYPE_CHECKING:
    import supervision

    from yolact.explain import Explanation

Photograph = np.ndarray | Image.Image | Path | str

ROWS = ("boxes", "scores", "mask_scores", "labels", "coefficients", "windows")
"""The fields with one row an instance."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Instances(Masks):
    """The N instances found in one photograph, by descending score.

    Masks are kept as what they are made of, see `Masks`. Only `masks` and `to_supervision` make N full-size arrays.

    Index it like an array: `result[0]` and `result[:5]`, `result[result.scores > 0.5]`, `result[[2, 0]]` are again
    `Instances`, and iterating gives `Instances` of length 1.
    """

    boxes: Float32[np.ndarray, "N 4"]
    """(x1, y1, x2, y2) in pixels of the photograph."""

    scores: Float32[np.ndarray, " N"]
    """Class probabilities in 0..1."""

    mask_scores: Float32[np.ndarray, " N"]
    """`scores`, times the predicted mask IoU where the model predicts one (YOLACT++)."""

    labels: Int64[np.ndarray, " N"]
    """Index into `class_names`, from 0."""

    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    """The id of each class in COCO-format files."""

    track_ids: Int64[np.ndarray, " N"] | None = None
    """Of frames of a video that were tracked: the same number, from 1, for the same object; 0 for what is not followed
    (yet)."""

    image: UInt8[np.ndarray, "H W 3"] | Path | None = None
    """The photograph, for `plot`: the RGB array that was predicted on, not copied, or the file it came from."""

    @classmethod
    def from_outputs(
        cls,
        outputs: Mapping[str, np.ndarray],
        index: int,
        image_size: tuple[int, int],
        config: ModelConfig,
        *,
        score_threshold: float | int = 0,
        image: np.ndarray | Path | None = None,
        crop: CropKind | None = None,
    ) -> "Instances":
        """Take one photograph out of what a runtime yields for a batch.

        Args:
            outputs: by name, batch first: this class's arrays, and how many rows of each photograph are no padding
                (`count`). Boxes are in pixels.
            index: which photograph of the batch.
            image_size: (height, width) of the photograph in pixels.
            config: of the network that made the outputs.
            score_threshold: keep what scores above this. With 0 everything is kept but padding.
            image: the photograph, or its file.
            crop: how masks are cut; None: the network's `default_crop`.
        """
        count, crop = int(outputs["count"][index]), crop or config.default_crop
        rows = {row: outputs[row][index, :count] for row in ROWS}
        keep = rows["scores"] > score_threshold if score_threshold > 0 else np.full(count, True)
        batch = outputs["prototypes"]
        if crop != "box":
            rows["windows"] = crop_windows(crop, rows["boxes"], batch.shape[2:], image_size)
        return cls(
            **{row: values[keep] for row, values in rows.items()},
            # Copied, as the rows are, if a view would keep a whole batch in memory.
            prototypes=np.ascontiguousarray(batch[index]) if len(batch) == 1 else batch[index].copy(),
            image_size=image_size,
            class_names=config.class_names,
            category_ids=config.coco_ids,
            image=image,
            crop=crop,
        )

    def recropped(self, boxes: Float[np.ndarray, "N 4"] | None = None, crop: CropKind | None = None) -> "Instances":
        """The same instances, their masks cropped by other boxes than their own, or in another way, or both.

        `boxes` of the result stay the detected ones. Cropped as before by its own box, a mask stays as it is; the crop
        `box`, with a box around the whole photograph, leaves nothing cut away.

        Args:
            boxes: (x1, y1, x2, y2) in pixels of the photograph; they may reach beyond it. None: their own.
            crop: None: as before.

        Raises:
            ValueError: boxes of another number than the instances, or there is no such crop.
        """
        crop, boxes = crop or self.crop, self.boxes if boxes is None else boxes
        if boxes.shape != self.boxes.shape:
            raise ValueError(f"boxes have shape {boxes.shape}; each of the {len(self)} instances needs 4 numbers")
        windows = crop_windows(crop, boxes, self.prototypes.shape[1:], self.image_size)
        if crop == self.crop:
            windows = np.where((boxes == self.boxes).all(axis=1)[:, None], self.windows, windows)
        return replace(self, windows=windows, crop=crop)

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: int | np.integer | slice | Sequence[int] | Sequence[bool] | np.ndarray) -> "Instances":
        selected = index if isinstance(index, slice) else np.atleast_1d(index)
        if isinstance(selected, np.ndarray) and selected.size == 0:
            selected = selected.astype(np.int64)
        rows = {row: getattr(self, row)[selected] for row in ROWS}
        return replace(self, **rows, track_ids=None if self.track_ids is None else self.track_ids[selected])

    def __iter__(self) -> Iterator["Instances"]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        height, width = self.image_size
        shown = [f"{name} {score:.2f}" for name, score in zip(self.names[:5], self.scores[:5], strict=True)]
        more = [f"and {len(self) - 5} more"] if len(self) > 5 else []
        return f"Instances({len(self)} in {width}x{height}: {', '.join(shown + more) or 'nothing'})"

    @property
    def names(self) -> list[str]:
        """The class name of each instance."""
        return [self.class_names[label] for label in self.labels]

    def to_supervision(self) -> "supervision.Detections":
        """As supervision's Detections, with full-size masks and `class_name` among the data."""
        import supervision

        return supervision.Detections(
            xyxy=self.boxes.copy(),
            mask=self.masks,
            confidence=self.scores.copy(),
            class_id=self.labels.copy(),
            tracker_id=self.track_ids,
            data={"class_name": np.array(self.names, dtype=str)},
        )

    def to_coco(self, image_id: int, kind: Literal["mask", "box"] = "mask") -> list[dict[str, Any]]:
        """As records of a COCO result file.

        Records of masks carry no box: with one, COCO's evaluation would take the box's area for the object's size.

        Args:
            image_id: of the photograph in the data set.
            kind: `mask` gives `segmentation` (run-length code) and the mask's score, `box` gives `bbox` (x, y, width,
                height) and the class score.
        """
        shared = [{"image_id": image_id, "category_id": self.category_ids[label]} for label in self.labels]
        if kind == "mask":
            rows = zip(self.rles(), self.mask_scores.tolist(), strict=True)
            own = [{"segmentation": code, "score": score} for code, score in rows]
        elif kind == "box":
            rows = zip(self.boxes.tolist(), self.scores.tolist(), strict=True)
            own = [{"bbox": [x1, y1, x2 - x1, y2 - y1], "score": score} for (x1, y1, x2, y2), score in rows]
        else:
            raise ValueError(f"kind is {kind!r}; choose mask or box")
        return [both | record for both, record in zip(shared, own, strict=True)]

    def plot(self, image: Photograph | None = None, **style: Any) -> Image.Image:
        """The photograph with the instances drawn on it.

        Args:
            image: to draw on: a file, a Pillow image, or an array as `yolact.images.array_to_rgb` takes it, RGB; None
                takes the photograph that was predicted on.
            style: fields of `yolact.visualize.Style`.
        """
        pixels, look = self._pixels(image), visualize.Style(**style)
        rows = (self.soft_masks, self.boxes, self.labels, self.scores)
        return visualize.draw(pixels, *rows, self.class_names, look, self.track_ids)

    def explain(self, i: int, *, enough: float | int = 0.95, most: int | None = None) -> "Explanation":
        """How instance i's mask came about: which few prototypes make it, where it leaked, what was cut off.

        Args:
            enough, most: when to stop adding prototypes, see `yolact.explain.explain`.
        """
        from yolact.explain import explain

        parts = self.prototypes, self.coefficients, self.windows, self.soft_masks
        return explain(*parts, i, enough=enough, most=most)

    def cutouts(self, image: Photograph | None = None) -> list[Image.Image]:
        """Each instance alone, on a transparent ground: RGBA pictures as large as the instance, with soft edges."""
        pixels = self._pixels(image)
        return [visualize.cut_out(pixels, mask) for mask in self.soft_masks]

    def _pixels(self, image: Photograph | None) -> UInt8[np.ndarray, "H W 3"]:
        source = self.image if image is None else image
        if source is None:
            raise ValueError("these instances do not know their photograph; pass it as image=")
        pixels = to_rgb(source)
        if pixels.shape[:2] != self.image_size:
            of = f"of one of {self.image_size}"
            raise ValueError(f"the image is {pixels.shape[:2]} (height, width), the instances are {of}")
        return pixels
