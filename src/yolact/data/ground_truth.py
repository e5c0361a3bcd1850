"""A COCO annotation file as COCO's evaluation reads it: every object that it can judge, and exactly as it is written.

`yolact.data.annotations` is stricter, as training needs objects that make sense. Here a flawed object still counts, so
that the figures are the ones that COCO's own tools give for the same file.
"""

from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from yolact.data.annotations import category_names, read_json
from yolact.data.coco import decode_mask
from yolact.data.objects import Segmentation, are_numbers, leads_far, rle_area, sized
from yolact.data.packed import Packed

Kind = Literal["box", "mask"]

MOST_PIXELS = 2**28
"""Of an image: more than any that can be read has. The masks of what claims more would fill the memory."""


class GroundTruth:
    """The images and objects of an annotation file that count, in the classes that model and file share by name."""

    def __init__(
        self,
        file: Path,
        class_names: tuple[str, ...],
        image_ids: Collection[int] | None = None,
        only: tuple[str, ...] | None = None,
    ) -> None:
        """
        Args:
            class_names: of the model.
            image_ids: the images that count; None takes all.
            only: the classes that count; None takes all.

        Raises:
            ValueError: the file is not COCO's, lacks one of `image_ids`, or shares no class with the model.
        """
        content = read_json(file)
        self.file = file
        self.notes: list[str] = []
        """What was left out, and why: a line each."""
        images: dict[int, dict[str, Any]] = {}
        for image in content["images"]:  # of those that share an id, the first one counts
            number = _whole(image, "id")
            if number is not None:
                images.setdefault(number, {**image, "id": number})
        self._note_strange(content["images"], "images", ("id",))
        if content["images"] and not images:
            raise ValueError(f"{file} has no image whose id is a whole number; number its images")
        unknown = sorted(set(image_ids or ()) - set(images))
        if unknown:
            raise ValueError(f"image_ids has {unknown[0]}, but {file} lists no such image")
        self.images = {i: images[i] for i in sorted(images if image_ids is None else set(image_ids))}
        """What the file says of each image that counts, by id."""
        names = category_names(content, file)
        self.category_ids = self._shared_classes(names, class_names, only)
        """The file's id of each class that counts, in the model's order."""
        ids = {number: self.category_ids.get(name) for number, name in names.items()}
        by_image: dict[int, list[dict[str, Any]]] = {}
        for annotation in content["annotations"]:
            image_id, category_id = _whole(annotation, "image_id"), _whole(annotation, "category_id")
            category_id = None if category_id is None else ids.get(category_id)
            if image_id in self.images and category_id is not None:
                told = {"iscrowd": 0, **annotation, "image_id": image_id, "category_id": category_id}
                by_image.setdefault(image_id, []).append(told)
        self._note_strange(content["annotations"], "annotations", ("image_id", "category_id"))
        self._annotations = Packed(by_image.values())
        """The objects of each image that has any, in the file's order."""
        self._places = {image_id: place for place, image_id in enumerate(by_image)}

    def _note_strange(self, entries: list[Any], what: str, names: tuple[str, ...]) -> None:
        strange = sum(any(_whole(entry, name) is None for name in names) for entry in entries)
        if strange:
            named = " or ".join(names)
            self.notes.append(f"{strange} {what} of {self.file.name} are left out: {named} is no whole number")

    def _shared_classes(
        self, names: dict[int, str], class_names: tuple[str, ...], only: tuple[str, ...] | None
    ) -> dict[str, int]:
        """The id of each class that counts. Of categories with the same name it is the first one's."""
        by_name = {name: number for number, name in reversed(names.items()) if only is None or name in only}
        shared = {name: by_name[name] for name in class_names if name in by_name}
        if not shared:
            raise ValueError(
                f"{self.file} has the classes {some(names.values())}, the model has {some(class_names)};"
                " they are compared by name: rename the categories in the file"
            )
        strange = [name for name in class_names if name not in names.values()]
        missing = [name for name in dict.fromkeys(names.values()) if name in by_name and name not in shared]
        if strange:
            self.notes.append(f"{self.file.name} does not have these classes, detections are dropped: {some(strange)}")
        if missing:
            self.notes.append(
                f"the model does not know these classes of {self.file.name}, not measured: {some(missing)}"
            )
        return shared

    def size(self, image_id: int) -> tuple[int, int] | None:
        """(height, width) of an image, if the file says so, and its masks fit into memory."""
        height, width = self.images[image_id].get("height"), self.images[image_id].get("width")
        if not isinstance(height, int) or not isinstance(width, int):
            return None
        return (height, width) if min(height, width) > 0 and height * width <= MOST_PIXELS else None

    def annotations(self, kind: Kind | None, image_id: int | None = None) -> Iterator[dict[str, Any]]:
        """The objects that can be compared by box, or by mask, or (None) by either; all with an area.

        Their `segmentation` is what COCO's code can read, and `bbox` four numbers; each is None where it is not the
        kind and cannot be used.

        Args:
            image_id: of one image; None takes all.
        """
        for annotation in self._of(image_id):
            size, box = self.size(annotation["image_id"]), annotation.get("bbox")
            outline = _outline(annotation.get("segmentation"), size)
            box = box if isinstance(box, list) and are_numbers(box) and len(box) == 4 else None
            if not {"mask": outline, "box": box, None: outline or box}[kind]:
                continue
            annotation = annotation | {"segmentation": outline, "bbox": box}
            if not are_numbers([annotation.get("area")]):
                masked = decode_mask(outline, size).sum() if outline and size else None
                annotation["area"] = float(masked if masked is not None else box[2] * box[3] if box else 0)
            yield annotation

    def _of(self, image_id: int | None) -> Iterable[dict[str, Any]]:
        if image_id is None:
            return chain.from_iterable(self._annotations)
        return self._annotations[self._places[image_id]] if image_id in self._places else ()

    def unusable(self) -> list[str]:
        """How many objects count in one of the two comparisons only: a line each."""
        lines = []
        for kind in ("box", "mask"):
            missing = sum(map(len, self._annotations)) - sum(1 for _ in self.annotations(kind))
            if missing:
                lines.append(f"{missing} annotations of {self.file.name} have no usable {kind}, {kind} AP ignores them")
        return lines

    def objects(self) -> dict[str, int]:
        """How many objects of each class there are to find, crowds not counted."""
        counts = dict.fromkeys(self.category_ids.values(), 0)
        for annotation in self._of(None):
            counts[annotation["category_id"]] += not annotation["iscrowd"]
        return dict(zip(self.category_ids, counts.values(), strict=True))


def _whole(entry: Any, name: str) -> int | None:
    """A whole number, also if it is written as 1.0; None if there is no such number."""
    value = entry.get(name) if isinstance(entry, dict) else None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) else None


def _outline(segmentation: Any, size: tuple[int, int] | None) -> Segmentation | None:
    """What COCO's code can read of a segmentation: an RLE of the image's size, or polygons of three corners or more."""
    if size is None:
        return None
    if isinstance(segmentation, dict):
        fits = segmentation.get("counts") and rle_area(segmentation, size) is not None
        return sized(segmentation, size) if fits else None
    if not isinstance(segmentation, list):
        return None
    polygons = [polygon for polygon in segmentation if are_numbers(polygon) and len(polygon) >= 6]
    return [polygon for polygon in polygons if not leads_far(polygon, size)]


def some(names: Collection[str], shown: int = 5) -> str:
    """A list for one line of a message."""
    listed = ", ".join(list(names)[:shown])
    return f"{listed} and {len(names) - shown} more" if len(names) > shown else listed
