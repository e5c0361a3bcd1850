"""Names, ids and files of `yolact predict`."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from test_instances import make, soft_disc
from yolact.images import read_image
from yolact.presets import yolact_mobilenetv4
from yolact.results_folder import ResultsFolder

CONFIG = yolact_mobilenetv4(class_names=("cat", "dog"), category_ids=(17, 18))


def paths(*names: str) -> list[Path]:
    return [Path(name) for name in names]


def test_no_two_photographs_share_a_picture(tmp_path: Path):
    photographs = paths("x/a.jpg", "x/a.png", "y/a.jpg", "y/A.JPG", "x/a-2.jpg", "x/b.tiff")
    names = list(ResultsFolder(tmp_path, photographs).names.values())
    assert names[0] == "a.jpg"
    assert names[-1] == "b.png"
    stems = [Path(name).stem.lower() for name in names]
    assert len(set(stems)) == len(names)


def test_ids_are_coco_numbers_where_the_names_are(tmp_path: Path):
    ids = ResultsFolder(tmp_path, paths("000000000139.jpg", "000000000285.jpg")).ids
    assert list(ids.values()) == [139, 285]
    assert list(ResultsFolder(tmp_path, paths("7.jpg", "x.jpg")).ids.values()) == [1, 2]
    assert list(ResultsFolder(tmp_path, paths("a/7.jpg", "b/07.jpg")).ids.values()) == [1, 2]
    assert list(ResultsFolder(tmp_path, paths(f"{2**53}.jpg")).ids.values()) == [1]


def test_photographs_are_not_replaced_by_their_pictures(tmp_path: Path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="choose another folder"):
        ResultsFolder(tmp_path, [tmp_path / "a.png"])


@pytest.mark.parametrize("name", ["a.webp", "cutouts/a-01-person.png"])
def test_results_of_an_earlier_run_are_not_predicted_on(tmp_path: Path, name: str):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    Image.new("RGB", (4, 4)).save(tmp_path / name)
    with pytest.raises(ValueError, match="choose another folder"):
        ResultsFolder(tmp_path, [tmp_path / name])
    ResultsFolder(tmp_path / "out", [tmp_path / name])  # inside the photographs' folder is fine


def test_a_folder_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"cannot write into --out .*file \(File exists\); choose another"):
        ResultsFolder(tmp_path / "file", [])
    (tmp_path / "out" / "a.png").mkdir(parents=True)
    instances = make([soft_disc(8, 8, 5)], image=np.zeros((60, 90, 3), dtype=np.uint8))
    with pytest.raises(OSError, match=r"cannot write .*a\.png \(Is a directory\)"):
        ResultsFolder(tmp_path / "out", paths("a.png")).add(Path("a.png"), instances)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_everything_is_written(tmp_path: Path):
    pixels = np.zeros((60, 90, 3), dtype=np.uint8)
    instances = make([soft_disc(8, 8, 5), soft_disc(14, 12, 8, hole=3)], image=pixels)
    results = ResultsFolder(tmp_path / "out", paths("in/7.jpg"))
    results.add(Path("in/7.jpg"), instances, cutouts=True)
    results.finish(CONFIG)
    files = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert files == ["7.jpg", "cutouts/7-01-cat.png", "cutouts/7-02-dog.png", "images.json", "predictions.json"]
    records = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [record["image_id"] for record in records] == [7, 7]
    assert [record["file_name"] for record in records] == ["in/7.jpg"] * 2
    assert {key: records[0][key] for key in ("segmentation", "category_id")} == {
        "segmentation": instances.rle(0),
        "category_id": 17,
    }
    images = json.loads((tmp_path / "out" / "images.json").read_text())
    assert images["images"] == [{"id": 7, "file_name": "in/7.jpg", "width": 90, "height": 60, "picture": "7.jpg"}]
    assert images["categories"] == [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}]
    assert read_image(tmp_path / "out" / "7.jpg").shape == (60, 90, 3)
    assert results.counts == {"cat": 1, "dog": 1}


def test_a_failed_write_leaves_the_earlier_file(tmp_path: Path):
    results = ResultsFolder(tmp_path, paths("7.jpg"))
    results.finish(CONFIG)
    before = (tmp_path / "predictions.json").read_text()

    def fail(file: Path) -> None:
        file.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        results._write(tmp_path / "predictions.json", fail)
    assert (tmp_path / "predictions.json").read_text() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images.json", "predictions.json"]


def test_labels_make_safe_file_names(tmp_path: Path):
    instances = make([soft_disc(8, 8, 5)], image=np.zeros((60, 90, 3), dtype=np.uint8))
    odd = replace(instances, class_names=("a/b c", "x"))
    ResultsFolder(tmp_path, paths("7.jpg")).add(Path("7.jpg"), odd, pictures=False, cutouts=True)
    assert (tmp_path / "cutouts" / "7-01-a-b-c.png").is_file()
