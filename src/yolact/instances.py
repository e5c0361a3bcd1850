"""The one result type: what was found in a photograph, in pixels of that photograph."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, Int64, UInt8
from PIL import Image

from yolact import polygons, visualize
from yolact.config import ModelConfig
from yolact.detect.mask_implementation import mask_implementation
from yolact.detect.masks import Region, assemble_windows, soft_region, windows_in_pixels
from yolact.images import array_to_rgb, pil_to_rgb, read_image

if TYPE_CHECKING:
    import supervision

Photograph = np.ndarray | Image.Image | Path | str

ROWS = ("boxes", "scores", "mask_scores", "labels", "coefficients", "windows")
"""The fields with one row an instance."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Instances:
    """The N instances found in one photograph, by descending score.

    Masks are kept as what they are made of: the photograph's prototypes, which all instances share, and how each mixes
    them in which window. Whatever needs masks at the photograph's size works on one instance's region at a time. Only
    `masks` and `to_supervision` make N full-size arrays.

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

    coefficients: Float32[np.ndarray, "N K"]
    """How each instance mixes the prototypes, in -1..1."""

    windows: Int32[np.ndarray, "N 4"]
    """(x1, y1, x2, y2) in whole cells of the prototypes, x2 and y2 outside: beyond, a mask is cut away."""

    prototypes: Float32[np.ndarray, "K Hp Wp"]
    """Of the whole photograph, whatever its proportions."""

    image_size: tuple[int, int]
    """(height, width) of the photograph in pixels."""

    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    """The id of each class in COCO-format files."""

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
        """
        count = int(outputs["count"][index])
        rows = {row: outputs[row][index, :count] for row in ROWS}
        keep = rows["scores"] > score_threshold if score_threshold > 0 else np.full(count, True)
        batch = outputs["prototypes"]
        return cls(
            **{row: values[keep] for row, values in rows.items()},
            # Copied, as the rows are, if a view would keep a whole batch in memory.
            prototypes=np.ascontiguousarray(batch[index]) if len(batch) == 1 else batch[index].copy(),
            image_size=image_size,
            class_names=config.class_names,
            category_ids=config.coco_ids,
            image=image,
        )

    def recropped(self, boxes: Float[np.ndarray, "N 4"]) -> "Instances":
        """The same instances, their masks cropped by these boxes, widened by one cell as ever, instead of their own.

        `boxes` of the result stay the detected ones. A row that equals the instance's box leaves its mask as it is; a
        box around the whole photograph leaves nothing cut away.

        Args:
            boxes: (x1, y1, x2, y2) in pixels of the photograph; they may reach beyond it.
        """
        if boxes.shape != self.boxes.shape:
            raise ValueError(
                f"boxes have shape {boxes.shape}; each of the {len(self)} instances needs one of 4 numbers"
            )
        windows = windows_in_pixels(boxes, self.prototypes.shape[1:], self.image_size)
        return replace(self, windows=np.where((boxes == self.boxes).all(axis=1)[:, None], self.windows, windows))

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: int | np.integer | slice | Sequence[int] | Sequence[bool] | np.ndarray) -> "Instances":
        selected = index if isinstance(index, slice) else np.atleast_1d(index)
        if isinstance(selected, np.ndarray) and selected.size == 0:
            selected = selected.astype(np.int64)
        return replace(self, **{row: getattr(self, row)[selected] for row in ROWS})

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

    @property
    def soft_masks(self) -> Float32[np.ndarray, "N Hp Wp"]:
        """Probabilities at prototype scale, 0 outside the windows. Made anew at each call."""
        return assemble_windows(self.prototypes, self.coefficients, self.windows)

    @property
    def masks(self) -> Bool[np.ndarray, "N H W"]:
        """The masks at the photograph's size, True where the probability is above one half.

        Made anew at each call: N times H times W bytes. A hundred instances of 12 megapixels are 1.2 GB; `rles`,
        `polygons`, `areas` and `plot` do without.
        """
        return mask_implementation().full_masks(*self._mask_parts)

    def region_mask(self, i: int) -> tuple[Bool[np.ndarray, "h w"], Region]:
        """Instance i's mask in the part of the photograph that can hold it, and that part as (x1, y1, x2, y2)."""
        return mask_implementation().region_mask(
            self.prototypes, self.coefficients[i], self.windows[i], self.image_size
        )

    @property
    def areas(self) -> Int64[np.ndarray, " N"]:
        """Pixels of the photograph that each mask covers."""
        return mask_implementation().areas(*self._mask_parts)

    def rle(self, i: int) -> dict[str, Any]:
        """Instance i's mask as a COCO run-length code: `{"size": [H, W], "counts": str}`."""
        return self[i].rles()[0]

    def rles(self) -> list[dict[str, Any]]:
        return mask_implementation().encode_rles(*self._mask_parts)

    def polygons(self, tolerance: float | int = 0.5) -> list[list[polygons.Ring]]:
        """The outlines of each instance: a list of its separate parts, each an (n, 2) array of corners (x, y).

        Corners are in pixels, finer than a pixel, with the center of the first pixel at (0.5, 0.5). A hole is joined to
        its part's outline by a bridge of no width, so filling a polygon leaves it open. An instance whose mask is empty
        has an empty list. For masks exact to the pixel, take `rles`.

        Args:
            tolerance: how far, in pixels, corners may be left out; 0 keeps one for every pixel of the outline.
        """
        outlines = []
        for i in range(len(self)):
            soft, (x1, y1, _, _) = soft_region(self.prototypes, self.coefficients[i], self.windows[i], self.image_size)
            outlines.append(polygons.trace(soft, (x1, y1), self.image_size, tolerance))
        return outlines

    def to_supervision(self) -> "supervision.Detections":
        """As supervision's Detections, with full-size masks and `class_name` among the data."""
        import supervision

        return supervision.Detections(
            xyxy=self.boxes.copy(),
            mask=self.masks,
            confidence=self.scores.copy(),
            class_id=self.labels.copy(),
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
        if kind not in ("mask", "box"):
            raise ValueError(f"kind is {kind!r}; choose mask or box")
        records, codes = [], self.rles() if kind == "mask" else []
        for i, label in enumerate(self.labels):
            record: dict[str, Any] = {"image_id": image_id, "category_id": self.category_ids[label]}
            if kind == "mask":
                record |= {"segmentation": codes[i], "score": float(self.mask_scores[i])}
            else:
                x1, y1, x2, y2 = self.boxes[i].tolist()
                record |= {"bbox": [x1, y1, x2 - x1, y2 - y1], "score": float(self.scores[i])}
            records.append(record)
        return records

    def plot(self, image: Photograph | None = None, **style: Any) -> Image.Image:
        """The photograph with the instances drawn on it.

        Args:
            image: to draw on: a file, a Pillow image, or an array as `yolact.images.array_to_rgb` takes it, RGB; None
                takes the photograph that was predicted on.
            style: fields of `yolact.visualize.Style`.
        """
        pixels, look = self._pixels(image), visualize.Style(**style)
        return visualize.draw(pixels, self.soft_masks, self.boxes, self.labels, self.scores, self.class_names, look)

    def cutouts(self, image: Photograph | None = None) -> list[Image.Image]:
        """Each instance alone, on a transparent ground: RGBA pictures as large as the instance, with soft edges."""
        pixels = self._pixels(image)
        return [visualize.cut_out(pixels, mask) for mask in self.soft_masks]

    @property
    def _mask_parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
        return self.prototypes, self.coefficients, self.windows, self.image_size

    def _pixels(self, image: Photograph | None) -> UInt8[np.ndarray, "H W 3"]:
        source = self.image if image is None else image
        if source is None:
            raise ValueError("these instances do not know their photograph; pass it as image=")
        if isinstance(source, str | Path):
            pixels = read_image(source)
        else:
            pixels = array_to_rgb(source) if isinstance(source, np.ndarray) else pil_to_rgb(source)
        if pixels.shape[:2] != self.image_size:
            raise ValueError(
                f"the image is {pixels.shape[:2]} (height, width), the instances are of one of {self.image_size}"
            )
        return pixels
