from pathlib import Path

import pytest

from synthetic import write_dataset
from yolact.data.coco import CocoDataset
from yolact.data.source import DataConfig, Source


@pytest.fixture
def data_yaml(tmp_path: Path) -> Path:
    return write_dataset(tmp_path, images=3, size=(48, 64))


class TestMistakes:
    """A mistake in a file as a whole is one line that names the value and what to write."""

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("- 1", "is no mapping"),
            ("train: {images: train", "cannot be read as YAML"),
            ("val: {images: train, annotations: instances_val.json}", "no entry train"),
            ("train: train", "train is 'train'; write train:"),
            ("train: {images: train, labels: x}", "write train: {images"),
            ("train: {images: nowhere, annotations: instances_train.json}", "'nowhere' is no folder"),
            ("train: {images: train, annotations: nothing.json}", "'nothing.json' is no file"),
            ("train: {images: train, annotations: instances_train.json}\nclasses: disk", "classes is 'disk'"),
            ("train: {images: train, annotations: instances_train.json}\nclasses: [a, a]", "names one twice"),
            ("train: {images: train, annotations: instances_train.json}\nname: x", "unknown entry 'name'"),
        ],
    )
    def test_data_yaml(self, data_yaml: Path, text: str, message: str) -> None:
        data_yaml.write_text(text)
        with pytest.raises(ValueError, match=r"data\.yaml") as caught:
            DataConfig.read(data_yaml)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_missing_data_yaml(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"none\.yaml does not exist"):
            DataConfig.read(tmp_path / "none.yaml")


class TestDataConfig:
    def test_paths_are_relative_to_the_yaml(self, data_yaml: Path) -> None:
        config = DataConfig.read(data_yaml)
        folder = data_yaml.parent
        assert config.train == (Source(folder / "train", folder / "instances_train.json"),)
        assert config.val == Source(folder / "val", folder / "instances_val.json")
        assert config.classes is None

    def test_several_sources_and_classes(self, data_yaml: Path) -> None:
        data_yaml.write_text(
            "train:\n- {images: train, annotations: instances_train.json}\n"
            "- {images: val, annotations: instances_val.json}\nclasses: [box]\n"
        )
        config = DataConfig.read(data_yaml)
        assert len(config.train) == 2
        assert config.val is None
        assert CocoDataset(config.train, config.classes).num_objects == 6
