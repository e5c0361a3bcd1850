from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from synthetic import edited, run_lengths, write_dataset
from yolact.data.coco import CocoDataset, DataConfig, Source, decode_mask, mask_bounds


@pytest.fixture
def data_yaml(tmp_path: Path) -> Path:
    return write_dataset(tmp_path, images=3, size=(48, 64))


class TestReading:
    def test_masks_are_the_drawn_objects(self, data_yaml: Path) -> None:
        dataset = CocoDataset(DataConfig.read(data_yaml).train)
        assert (len(dataset), dataset.num_objects, dataset.classes) == (3, 6, ("disk", "box"))
        for i in range(3):
            sample = dataset[i]
            drawn = sample.image.amax(dim=0) == 255
            assert torch.equal(sample.masks.any(dim=0), drawn)
            assert torch.equal(sample.boxes, mask_bounds(sample.masks))
            assert sample.image.dtype == torch.uint8

    def test_labels_follow_the_list_of_classes(self, data_yaml: Path) -> None:
        source = DataConfig.read(data_yaml).train
        plain, turned, one = (CocoDataset(source, c)[0] for c in (None, ("box", "disk"), ("box",)))
        assert plain.labels.tolist() == [1, 0]
        assert turned.labels.tolist() == [0, 1]
        assert one.labels.tolist() == [0]
        assert torch.equal(one.masks[0], plain.masks[0])

    def test_sources_are_joined_by_name_of_class(self, tmp_path: Path) -> None:
        first = DataConfig.read(write_dataset(tmp_path / "a", images=1, classes=("disk", "box"))).train
        second = DataConfig.read(write_dataset(tmp_path / "b", images=1, classes=("box", "star"))).train
        both = CocoDataset(first + second)
        assert both.classes == ("disk", "box", "star")
        assert both.category_ids == {"disk": 3, "box": 7, "star": 7}
        assert sorted(both[1].labels.tolist()) == [1, 2]

    def test_all_forms_of_segmentation_give_the_same_mask(self) -> None:
        from pycocotools import mask

        arbiter: Any = mask
        polygon = [[4.0, 3.0, 25.0, 6.5, 20.0, 18.0, 6.0, 15.0], [30.0, 2.0, 38.0, 2.0, 38.0, 9.0]]
        truth = decode_mask(polygon, (20, 40))
        official = arbiter.merge(arbiter.frPyObjects(polygon, 20, 40))
        assert np.array_equal(truth, arbiter.decode(official).astype(bool))
        assert np.array_equal(decode_mask({"size": [20, 40], "counts": run_lengths(truth)}, (20, 40)), truth)
        assert np.array_equal(decode_mask({"size": [20, 40], "counts": official["counts"].decode()}, (20, 40)), truth)

    def test_images_without_objects_stay(self, data_yaml: Path) -> None:
        def drop_first(content: dict[str, Any]) -> None:
            content["annotations"] = [a for a in content["annotations"] if a["image_id"] != 1]

        dataset = edited(data_yaml, drop_first)
        sample = dataset[0]
        assert len(dataset) == 3
        assert sample.masks.shape == (0, 48, 64)
        assert sample.boxes.shape == (0, 4)
        assert not dataset.problems


class TestMistakes:
    """A mistake in a file as a whole is one line that names the value."""

    @pytest.mark.parametrize(
        "text", ["{", "[]", '{"images": []}', '{"images": {}, "annotations": [], "categories": []}']
    )
    def test_annotation_file(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(ValueError, match=r"bad\.json") as caught:
            CocoDataset((Source(tmp_path, tmp_path / "bad.json"),))
        assert "\n" not in str(caught.value)

    def test_a_class_that_nobody_annotated(self, data_yaml: Path) -> None:
        dataset = CocoDataset(DataConfig.read(data_yaml).train, ("disk", "zebra"))
        with pytest.raises(ValueError, match="class 'zebra' is in none of the annotation files; they have disk, box"):
            dataset.check_classes()

    def test_no_image_at_all(self, data_yaml: Path) -> None:
        with pytest.raises(ValueError, match="lists no image"):
            edited(data_yaml, lambda content: content.update(images=[]))


def test_mask_bounds() -> None:
    masks = torch.zeros(3, 6, 8, dtype=torch.bool)
    masks[0, 1:4, 2:7] = True
    masks[1, 5, 0] = True
    assert mask_bounds(masks).tolist() == [[2, 1, 7, 4], [0, 5, 1, 6], [0, 0, 0, 0]]
