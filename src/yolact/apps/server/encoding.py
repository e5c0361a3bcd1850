"""Instances as what goes over the wire."""

import io
import json
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from yolact.apps.server.jobs import Wish
from yolact.instances import Instances


def encode(instances: Instances, wish: Wish) -> bytes:
    """A JSON object for `rle` and `polygons`, a label map as PNG, or a drawn picture as JPEG."""
    height, width = instances.image_size
    if wish.form == "picture":
        return _saved(instances.plot(), "JPEG", quality=90)
    if wish.form == "png":
        described = PngInfo()
        described.add_itxt("yolact", json.dumps(_records(instances)))
        return _saved(Image.fromarray(instances.label_map()), "PNG", pnginfo=described, compress_level=1)
    records = _records(instances)
    for record, segmentation in zip(records, _segmentations(instances, wish), strict=True):
        record["segmentation"] = segmentation
    return json.dumps({"width": width, "height": height, "instances": records}, separators=(",", ":")).encode()


def _records(instances: Instances) -> list[dict[str, Any]]:
    rows = zip(
        instances.labels.tolist(),
        instances.scores.tolist(),
        instances.mask_scores.tolist(),
        instances.boxes.tolist(),
        instances.areas.tolist(),
        strict=True,
    )
    return [
        {
            "category_id": instances.category_ids[label],
            "category_name": instances.class_names[label],
            "score": round(score, 5),
            "mask_score": round(mask_score, 5),
            "bbox": [round(side, 2) for side in (x1, y1, x2 - x1, y2 - y1)],
            "area": area,
        }
        for label, score, mask_score, (x1, y1, x2, y2), area in rows
    ]


def _segmentations(instances: Instances, wish: Wish) -> list[Any]:
    if wish.form == "rle":
        return instances.rles()
    return [
        [ring.astype(np.float64).round(2).ravel().tolist() for ring in outline]
        for outline in instances.polygons(tolerance=wish.tolerance)
    ]


def _saved(picture: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()
