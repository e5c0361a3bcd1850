"""`yolact data formats`."""

from dataclasses import dataclass

FORMATS = {
    "coco": "COCO's JSON files, or a data.yaml that names them. Holds all that the others do.",
    "yolo": "Ultralytics' text files of polygons, with data.yaml. Holds all but crowds and ids.",
    "voc": "Pascal VOC's PNGs; labelmap.txt for other classes. Holds neither overlaps nor polygons, crowds or ids.",
    "sbd": "The .mat files of the Semantic Boundaries Dataset. Is only read.",
    "labelme": "LabelMe's JSON files, one an image. Holds all but ids.",
    "masks": "PNGs of one object each, masks/IMAGE/CLASS_001.png. Holds all but polygons, crowds and ids.",
    "instance-ids": "PNGs of numbered objects, masks/CLASS/IMAGE.png. As masks, and no overlaps within a class.",
}
"""What each format is, and what it holds."""


@dataclass(frozen=True, kw_only=True)
class DataFormats:
    """List the formats that `yolact data convert` knows, and what each holds."""

    def run(self) -> int:
        for name, what in FORMATS.items():
            print(f"{name:13} {what}")
        return 0
