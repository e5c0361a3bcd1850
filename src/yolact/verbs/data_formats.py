"""`yolact data formats`."""

from dataclasses import dataclass

FORMATS = {
    "coco": ("JSON files of polygons and RLE, as COCO's own, or a data.yaml that names them", "everything"),
    "yolo": ("Ultralytics' text files of polygons, with data.yaml", "all but crowds and ids"),
    "voc": (
        "Pascal VOC's PNGs, with ImageSets; labelmap.txt for other classes",
        "no overlaps, crowds or ids; 254 objects",
    ),
    "sbd": ("the .mat files of the Semantic Boundaries Dataset", "only read"),
    "labelme": ("LabelMe's JSON files, one an image", "all but ids"),
    "masks": ("PNGs of one object each: masks/IMAGE/CLASS_001.png", "all but crowds, polygons and ids"),
    "instance-ids": ("PNGs of numbered objects: masks/CLASS/IMAGE.png", "no overlaps in a class, no crowds or ids"),
}
"""What each format is, and what it holds."""


@dataclass(frozen=True, kw_only=True)
class DataFormats:
    """List the formats that `yolact data convert` knows, and what each holds."""

    def run(self) -> int:
        for name, (what, holds) in FORMATS.items():
            print(f"{name:13} {what}: {holds}")
        return 0
