"""What a survey finds is said of the right photograph."""

import json
from pathlib import Path

from synthetic import write_dataset
from yolact.data.source import DataConfig
from yolact.doctor.survey import survey


def test_photographs_of_the_same_name_in_two_folders(tmp_path: Path):
    data_yaml = write_dataset(tmp_path, images=2, size=(48, 64))
    file, pictures = tmp_path / "instances_train.json", tmp_path / "train"
    content = json.loads(file.read_text())
    for image, camera in zip(content["images"], ("left", "right"), strict=True):
        (pictures / camera).mkdir()
        (pictures / image["file_name"]).rename(pictures / camera / "0.png")
        image["file_name"] = f"{camera}/0.png"
    content["annotations"][0]["category_id"] = 99  # of the left one
    content["annotations"][2]["bbox"][2] += 5  # of the right one
    file.write_text(json.dumps(content))
    found = survey("train", DataConfig.read(data_yaml).train, ("disk", "box"), progress=False)
    assert [finding.where for finding in found.findings] == [("left/0.png",), ("right/0.png",)]
    rows = [spot.photograph for finding in found.findings for (spot,) in finding.spots]
    assert [found.records[row].path.parent.name for row in rows] == ["left", "right"]
