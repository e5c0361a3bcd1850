"""What the page remembers and writes, and when it forgets."""

import os
import time
from dataclasses import replace
from pathlib import Path
from threading import Event

import av
import numpy as np
import pytest

from clips import write_clip
from test_predictor import small_network
from yolact.apps.demo import session
from yolact.apps.demo.downloads import forget_old
from yolact.apps.demo.film import film
from yolact.apps.demo.session import Choice, Session, Sessions, as_chosen, selected
from yolact.instances import Instances
from yolact.predictor import Predictor
from yolact.video.file import open_file


def some(names: tuple[str, ...], labels: list[int]) -> Instances:
    """Scored .9, .8, ...; each mask a left half in one piece and a spot at the right, all of the box."""
    prototype = np.zeros((1, 20, 20), np.float32)
    prototype[0, 2:18, 2:9] = prototype[0, 9:11, 15:17] = 4
    count = len(labels)
    scores = (0.9 - 0.1 * np.arange(count)).astype(np.float32)
    found = Instances(
        boxes=np.tile(np.array([[4, 4, 36, 36]], np.float32), (count, 1)),
        scores=scores,
        mask_scores=scores,
        labels=np.array(labels),
        coefficients=np.ones((count, 1), np.float32),
        windows=np.tile(np.array([[1, 1, 19, 19]], np.int32), (count, 1)),
        prototypes=prototype,
        image_size=(40, 40),
        class_names=names,
        category_ids=tuple(range(1, len(names) + 1)),
        image=None,
        crop="box",
    )
    return session.numbered(found)


def a_session() -> Session:
    return Session(name="x", shown=np.zeros((40, 40, 3), np.uint8), found=some(("cat",), [0]))


def test_the_least_recently_used_visitor_is_forgotten_first():
    sessions, kept = Sessions(most=2), [a_session() for _ in range(3)]
    sessions.put("a", kept[0])
    sessions.put("b", kept[1])
    assert sessions.get("a") is kept[0]
    sessions.put("c", kept[2])
    assert (sessions.get("a"), sessions.get("b"), sessions.get("c")) == (kept[0], None, kept[2])


def test_who_stays_away_is_forgotten_without_anybody_coming(monkeypatch: pytest.MonkeyPatch):
    now = 100.0
    monkeypatch.setattr(session.time, "monotonic", lambda: now)
    sessions, kept = Sessions(seconds=10), a_session()
    sessions.put("a", kept)
    sessions.put("b", kept)
    now = 108.0
    assert sessions.get("a") is kept
    now = 112.0
    assert sessions.get("b") is None
    sessions.forget_old()
    assert len(sessions) == 1
    now = 119.0
    sessions.forget_old()
    assert len(sessions) == 0


def test_old_files_go_and_one_that_is_being_written_stays(tmp_path: Path):
    old, busy = tmp_path / "old", tmp_path / "busy"
    for folder in (old, busy):
        folder.mkdir()
        (folder / "film.unfinished").write_text("frames")
    long_ago = time.time() - 1000
    for path in (old / "film.unfinished", old, busy):
        os.utime(path, (long_ago, long_ago))
    forget_old(tmp_path, 600)
    assert [path.name for path in tmp_path.iterdir()] == ["busy"]


def test_a_page_that_nobody_visits_cleans_up(tmp_path: Path):
    pytest.importorskip("gradio", reason="needs the extra yolact[demo]")
    from yolact.apps.demo.server import cleaned

    (tmp_path / "old").mkdir()
    os.utime(tmp_path / "old", (0, 0))
    sessions = Sessions(seconds=0)
    sessions.put("a", a_session())
    with cleaned(tmp_path, sessions, every=0.01):
        until = time.monotonic() + 10
        while (any(tmp_path.iterdir()) or len(sessions)) and time.monotonic() < until:
            time.sleep(0.01)
    assert not any(tmp_path.iterdir())
    assert len(sessions) == 0


def test_classes_are_chosen_before_the_number():
    found = some(("cat", "dog"), [0, 1, 0, 1])
    both = selected(found, Choice(score=0.1, number=2))
    dogs = selected(found, Choice(score=0.1, number=2, classes=("dog",)))
    assert both.names == ["cat", "dog"]
    assert dogs.names == ["dog", "dog"]
    assert dogs.track_ids is not None
    assert dogs.track_ids.tolist() == [2, 4]


def test_masks_are_cut_as_chosen_at_the_threshold_as_chosen():
    found = some(("cat",), [0])
    box, component = (as_chosen(found, Choice(crop=crop)).masks[0] for crop in ("box", "component"))
    assert box[20, 32]
    assert not component[20, 32]
    assert component[20, 10]
    weaker = replace(found, coefficients=found.coefficients * 0.2)  # a probability of 0.69
    assert as_chosen(weaker, Choice(mask=0.6)).masks.any()
    assert not as_chosen(weaker, Choice(mask=0.8)).masks.any()


def test_the_sound_of_a_film_goes_with_the_first_picture_that_could_be_decoded(tmp_path: Path):
    clip = write_clip(tmp_path / "clip.ts", 15, sound=True)
    clip.write_bytes(clip.read_bytes()[20 * 188 :])  # begins between two key frames, as recordings do
    source = open_file(clip)
    pictures = list(source)
    assert pictures
    options = {"score": 0.9, "number": 1, "opacity": 0.5, "stopped": Event()}
    assert list(film(Predictor(small_network(), "cpu"), clip, tmp_path / "film.mp4", **options))
    with av.open(str(clip)) as before, av.open(str(tmp_path / "film.mp4")) as after:
        sound = next(before.decode(audio=0)).time
        assert next(after.decode(video=0)).time == pytest.approx((source.begins or 0) - (sound or 0), abs=0.03)
