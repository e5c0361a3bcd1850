"""Two models side by side, one of them of several classes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apps.demo.conftest import PHOTOGRAPHS
from tiny import TINY
from yolact import checkpoint, load
from yolact.apps.demo.models import Models
from yolact.apps.demo.session import Choice
from yolact.model import build_model

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.future.no_silent_downcasting:Warning")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("weights")
    for name, classes in (("one", ("person",)), ("several", ("cat", "dog", "<b>"))):
        config = replace(TINY, name=name, class_names=classes, category_ids=())
        checkpoint.save(folder / f"{name}.safetensors", build_model(config))
    one, several = (load(folder / f"{name}.safetensors", device="cpu") for name in ("one", "several"))
    return Models(several, {"one": one})


def test_the_other_model_looks_once_and_is_shown_beside(models: Models, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("gradio", reason="needs the extra yolact[demo]")
    from yolact.apps.demo.photograph_events import PhotographEvents
    from yolact.apps.demo.session import Sessions

    events = PhotographEvents(models, Sessions(), [], Path())
    session = models.open(PHOTOGRAPHS[0])
    choice = Choice(score=0.05, number=3)
    beside = events.view(session, choice, "one")[1]
    assert beside["visible"]
    assert beside["label"] == "one"
    assert beside["value"].size == events.view(session, choice, "")[0].size
    assert set(session.others) == {"one"}
    monkeypatch.setattr(models.others["one"].runtime, "run", None)  # whoever calls it now fails
    events.view(session, choice, "one")
    assert not events.view(session, choice, "")[1]["visible"]


def test_classes_are_offered_where_there_are_several(models: Models):
    pytest.importorskip("gradio", reason="needs the extra yolact[demo]")
    from yolact.apps.demo import photograph_tab
    from yolact.apps.demo.listing import listing
    from yolact.apps.demo.session import selected

    controls: Any = photograph_tab._controls(models.class_names, models.default_crop)
    assert controls.classes.visible
    assert [value for _, value in controls.classes.choices] == ["cat", "dog", "<b>"]
    assert controls.crop.value == models.default_crop
    assert not photograph_tab._controls(("person",), "box").classes.visible
    session = models.open(PHOTOGRAPHS[0])
    shown = selected(session.found, Choice(score=0, classes=("<b>",)))
    assert set(shown.names) == {"<b>"}
    assert "<b>" not in listing(session, shown)


def test_a_photograph_that_was_removed_meanwhile_is_said(models: Models, tmp_path: Path):
    gradio = pytest.importorskip("gradio", reason="needs the extra yolact[demo]")
    from yolact.apps.demo.photograph_events import PhotographEvents
    from yolact.apps.demo.session import Sessions

    photograph = tmp_path / "x.jpg"
    photograph.write_bytes(PHOTOGRAPHS[0].read_bytes())
    events, session = PhotographEvents(models, Sessions(), [], tmp_path), models.open(photograph)
    photograph.unlink()
    with pytest.raises(gradio.Error, match="Drop it again"):
        events.view(session, Choice(), "one")
