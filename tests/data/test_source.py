from pathlib import Path

import pytest
import yaml

from synthetic import write_dataset, write_published
from yolact.data.coco import CocoDataset
from yolact.data.source import CATALOG, DataConfig, Source, locate, published
from yolact.presets import COCO_CATEGORY_IDS, COCO_CLASSES, PASCAL_CLASSES


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
            ("train: " + 1000 * "[", "cannot be read as YAML"),
            ("train: 2026-13-45", "cannot be read as YAML"),
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

    def test_to_measure_needs_no_training_data(self, data_yaml: Path) -> None:
        data_yaml.write_text("val: {images: val, annotations: instances_val.json}")
        config = DataConfig.read(data_yaml, needs="val")
        assert (config.train, config.val is not None) == ((), True)
        data_yaml.write_text("train: {images: train, annotations: instances_train.json}")
        with pytest.raises(ValueError, match="no entry val; write val"):
            DataConfig.read(data_yaml, needs="val")

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


class TestPublished:
    """COCO 2017 and SBD by name: the package knows their layout, classes and ids."""

    @pytest.fixture
    def coco(self, tmp_path: Path) -> Path:
        return write_published(tmp_path, "coco2017")

    def test_classes_and_ids_are_those_of_the_presets(self) -> None:
        descriptions = {name: yaml.safe_load((CATALOG / f"{name}.yaml").read_text()) for name in published()}
        assert set(descriptions) == {"coco2017", "sbd"}
        coco, sbd = descriptions["coco2017"]["classes"], descriptions["sbd"]["classes"]
        assert (tuple(coco), tuple(coco.values())) == (COCO_CATEGORY_IDS, COCO_CLASSES)
        assert (tuple(sbd), tuple(sbd.values())) == (tuple(range(1, 21)), PASCAL_CLASSES)

    def test_a_name_and_its_folder(self, coco: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        expected = DataConfig(
            train=(Source(coco / "train2017", coco / "annotations" / "instances_train2017.json"),),
            val=Source(coco / "val2017", coco / "annotations" / "instances_val2017.json"),
            classes=COCO_CLASSES,
            category_ids=COCO_CATEGORY_IDS,
        )
        assert DataConfig.read("coco2017", coco) == expected
        assert DataConfig.read(coco / "coco2017.yaml") == expected
        assert DataConfig.read(coco / "coco2017") == expected
        assert locate("coco2017", coco) == coco / "coco2017.yaml"
        coco.rename(coco.parent / "coco2017")
        monkeypatch.chdir(coco.parent)
        assert DataConfig.read("coco2017").train[0].images == Path("coco2017/train2017")
        monkeypatch.chdir(coco.parent / "coco2017")
        assert DataConfig.read("coco2017").train[0].images == Path("train2017")

    def test_photographs_one_folder_deeper(self, coco: Path) -> None:
        (coco / "images").mkdir()
        (coco / "train2017").rename(coco / "images" / "train2017")
        assert DataConfig.read("coco2017", coco).train[0].images == coco / "images" / "train2017"
        (coco / "train2017").mkdir()
        with pytest.raises(ValueError, match=r"train2017 as well as .*images/train2017; list several sources"):
            DataConfig.read("coco2017", coco)

    def test_a_file_of_that_name_comes_first(self, coco: Path) -> None:
        (coco / "coco2017.yaml").write_text(
            "train: {images: train2017, annotations: annotations/instances_train2017.json}"
        )
        assert DataConfig.read("coco2017", coco).val is None

    def test_sbd(self, tmp_path: Path) -> None:
        root = write_published(tmp_path, "sbd")
        config = DataConfig.read("sbd", root)
        assert config.classes == PASCAL_CLASSES
        assert config.val == Source(root / "images" / "val", root / "annotations" / "instances_val.json")

    def test_sbd_with_the_files_of_the_original(self, tmp_path: Path) -> None:
        root = write_published(tmp_path, "sbd")
        for split in ("train", "val"):
            (root / "annotations" / f"instances_{split}.json").rename(root / f"pascal_sbd_{split}.json")
        (root / "images" / "val").rename(root / "img")
        (root / "images" / "train").rename(root / "benchmark")
        config = DataConfig.read("sbd", root)
        assert config.train == (Source(root / "img", root / "pascal_sbd_train.json"),)
        assert config.val == Source(root / "img", root / "pascal_sbd_val.json")
        (root / "benchmark_RELEASE" / "dataset").mkdir(parents=True)
        (root / "img").rename(root / "benchmark_RELEASE" / "dataset" / "img")
        assert DataConfig.read("sbd", root).train[0].images.parent.name == "dataset"

    def test_sbd_as_published_is_to_be_converted(self, tmp_path: Path) -> None:
        (tmp_path / "benchmark_RELEASE" / "dataset" / "img").mkdir(parents=True)
        with pytest.raises(ValueError, match="yolact data convert benchmark_RELEASE ROOT --from sbd") as caught:
            DataConfig.read("sbd", tmp_path)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("missing", "message"),
        [
            ("train2017", "train images 'train2017' or 'images/train2017' is no folder; coco2017 is published at coco"),
            ("val2017", "val images 'val2017' or"),
            ("annotations/instances_val2017.json", "instances_val2017.json' is no file; coco2017 is published at"),
        ],
    )
    def test_a_missing_part_says_where_to_get_it(self, coco: Path, missing: str, message: str) -> None:
        (coco / missing).rename(coco / "elsewhere")
        with pytest.raises(ValueError, match="coco2017") as caught:
            DataConfig.read("coco2017", coco)
        assert message in str(caught.value)
        assert "--root names the folder" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_roots_that_make_no_sense(self, coco: Path, data_yaml: Path) -> None:
        with pytest.raises(ValueError, match=r"--root .*nowhere is no folder; name the one that holds coco2017"):
            DataConfig.read("coco2017", coco / "nowhere")
        with pytest.raises(ValueError, match=r"is for coco2017, sbd; paths in .*data.yaml are relative to itself"):
            DataConfig.read(data_yaml, coco)
        with pytest.raises(ValueError, match=r"names a folder, and --root .* another"):
            DataConfig.read(coco / "coco2017", coco)


def test_ids_of_classes(data_yaml: Path) -> None:
    with data_yaml.open("a") as file:
        file.write("classes: {7: box, 3: disk}\n")
    config = DataConfig.read(data_yaml)
    assert config.classes == ("box", "disk")
    assert config.category_ids == (7, 3)
    data_yaml.write_text(data_yaml.read_text().replace("7: box", "seven: box"))
    with pytest.raises(ValueError, match="write a list of names"):
        DataConfig.read(data_yaml)
