"""What the server answers, and that each answer belongs to its own photograph."""

import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from faster_coco_eval import mask as codes
from PIL import Image

from served import Served, jpeg, multipart
from yolact.predictor import Predictor, load


@pytest.fixture(scope="module")
def model(weights) -> Predictor:
    return load(weights, "cpu")


def test_it_finds_what_the_package_finds(served: Served, model: Predictor, tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(0))
    found, expected = served.predict(jpeg(0)), model.predict(tmp_path / "a.jpg", 0, 5)
    assert (found["width"], found["height"], found["name"]) == (120, 90, None)
    assert [one["category_name"] for one in found["instances"]] == expected.names
    assert [one["category_id"] for one in found["instances"]] == [
        expected.category_ids[label] for label in expected.labels
    ]
    np.testing.assert_allclose([one["score"] for one in found["instances"]], expected.scores, atol=1e-4)
    boxes = np.array([one["bbox"] for one in found["instances"]])
    np.testing.assert_allclose(boxes[:, 2:] + boxes[:, :2], expected.boxes[:, 2:], atol=0.02)
    for one, mask in zip(found["instances"], expected.masks, strict=True):
        assert one["area"] == codes.area(one["segmentation"])
        assert (codes.decode(one["segmentation"]) != mask).mean() < 0.001


def test_polygons(served: Served):
    found = served.predict(jpeg(0), format="polygons", tolerance=0)
    for one in found["instances"]:
        drawn = [codes.frPyObjects([ring], 90, 120)[0] for ring in one["segmentation"] if len(ring) >= 6]
        if one["area"] > 50:
            assert int(codes.area(codes.merge(drawn))) == pytest.approx(one["area"], rel=0.2)


def test_a_label_map_knows_its_instances(served: Served):
    status, body, headers = served.ask("/predict?format=png&score_threshold=0&top_k=5", jpeg(0))
    assert (status, headers["content-type"]) == (200, "image/png")
    with Image.open(io.BytesIO(body)) as picture:
        labels, described = np.asarray(picture), json.loads(picture.info["yolact"])
    expected = served.predict(jpeg(0))["instances"]
    assert labels.shape == (90, 120)
    assert [{**one, "segmentation": None} for one in described] == [{**one, "segmentation": None} for one in expected]
    smallest = min((i for i in range(len(expected)) if expected[i]["area"]), key=lambda i: expected[i]["area"])
    mask = codes.decode(expected[smallest]["segmentation"]).astype(bool)
    assert (labels[mask] == smallest + 1).all()  # it lies on top


def test_a_picture(served: Served):
    status, body, headers = served.ask("/predict?format=picture", jpeg(0))
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    with Image.open(io.BytesIO(body)) as picture:
        assert picture.size == (120, 90)


def test_several_files_keep_their_order_and_bad_ones_are_named(served: Served):
    body, kind = multipart(("a.jpg", jpeg(1)), ("bad\u202e.txt", b"no image"), ("b.png", jpeg(2, (50, 70), "PNG")))
    status, answer, _ = served.ask("/predict?score_threshold=0&top_k=5", body, Content_Type=kind)
    assert status == 200
    first, bad, second = json.loads(answer)["images"]
    assert (first["name"], first["width"], second["name"], second["width"]) == ("a.jpg", 120, "b.png", 70)
    assert bad["error"]["code"] == "unreadable"
    assert "not an image" in bad["error"]["message"]
    assert first["instances"] == served.predict(jpeg(1))["instances"]


def test_many_at_once_are_batched_and_never_mixed_up(served: Served):
    files = [jpeg(seed, (60 + seed, 90 + 2 * seed)) for seed in range(12)]
    expected = [served.predict(file) for file in files]
    assert len({json.dumps(one) for one in expected}) == len(files)
    before = batched(served)
    with ThreadPoolExecutor(12) as clients:
        answers = list(clients.map(served.predict, files * 8))
    for answer, wanted in zip(answers, expected * 8, strict=True):
        assert (answer["width"], answer["height"]) == (wanted["width"], wanted["height"])
        # A batch may round otherwise, and swap what scores alike.
        ours, theirs = ([one["score"] for one in found["instances"]] for found in (answer, wanted))
        np.testing.assert_allclose(ours, theirs, atol=2e-4)
    assert batched(served) > before  # some shared a batch


def batched(served: Served) -> float:
    lines = served.ask("/metrics")[1].decode().splitlines()
    figures = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    name = 'model="small"'
    return float(figures[f"yolact_batch_images_sum{{{name}}}"]) - float(figures[f"yolact_batch_images_count{{{name}}}"])


def test_models_by_name(served: Served):
    status, body, _ = served.ask("/models")
    described = json.loads(body)
    assert status == 200
    assert [(one["name"], one["ready"], one["class_names"]) for one in described] == [
        ("small", True, ["cat", "dog", "cow"]),
        ("other", True, ["cat", "dog", "cow"]),
    ]
    status, body, _ = served.ask("/models/other/predict", jpeg(0))
    assert (status, json.loads(body)["model"]) == (200, "other")


def test_classes_and_scores_are_kept_as_asked(served: Served):
    found = served.predict(jpeg(0), top_k=100)["instances"]
    names = {one["category_name"] for one in found}
    assert len(names) > 1
    only = served.predict(jpeg(0), top_k=100, classes="cat")["instances"]
    assert {one["category_name"] for one in only} == {"cat"}
    least = min(one["score"] for one in only)
    above = served.predict(jpeg(0), top_k=100, classes="cat", score_threshold=least + 1e-4)["instances"]
    assert 0 < len(above) < len(only)
    assert min(one["score"] for one in above) > least


def test_figures_for_prometheus(served: Served):
    served.predict(jpeg(0))
    served.ask("/models/invented-by-a-client/predict", jpeg(0))
    status, body, headers = served.ask("/metrics")
    assert (status, headers["content-type"].partition(";")[0]) == (200, "text/plain")
    text = body.decode()
    assert 'yolact_requests_total{model="small",status="200"}' in text
    assert 'yolact_requests_total{model="unknown",status="404"}' in text
    assert "invented" not in text
    assert 'yolact_queue_images{model="small"} 0.0' in text
    assert "yolact_held_bytes 0.0" in text


def test_the_description_for_programs_and_the_page_for_people(served: Served):
    schema = json.loads(served.ask("/openapi.json")[1])
    asked = schema["paths"]["/predict"]["post"]
    assert {"200", "400", "401", "408", "413", "422", "503", "504"} <= set(asked["responses"])
    assert {"application/octet-stream", "multipart/form-data"} <= set(asked["requestBody"]["content"])
    assert {one["name"] for one in asked["parameters"]} >= {"score_threshold", "top_k", "classes", "format"}
    assert schema["components"]["schemas"]["Instance"]["properties"]["bbox"]
    status, page, _ = served.ask("/docs")
    assert status == 200
    assert b"http://" not in page  # nothing is asked of the network
    assert b"https://" not in page


def test_a_file_is_what_it_is_whatever_it_is_called(served: Served):
    found = served.ask("/predict?score_threshold=0&top_k=5", jpeg(3, format="PNG"), Content_Type="image/jpeg")
    assert found[0] == 200
