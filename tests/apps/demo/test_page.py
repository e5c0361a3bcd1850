"""The page, as visitors meet it: in a real browser, and ten at a time."""

import io
import json
import urllib.error
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_coco_eval import mask as rle
from PIL import Image

from apps.demo.conftest import PATIENCE, PHOTOGRAPHS, Served, Visit

pytestmark = pytest.mark.filterwarnings(  # of Gradio, in the threads of the server, and of its loops when they end
    "ignore:.future.no_silent_downcasting:Warning",
    "ignore:The copy keyword is deprecated:Warning",
    "ignore:unclosed:ResourceWarning",
    "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning",
)

BAR = next(path for path in PHOTOGRAPHS if "475546" in path.name)
"""Four people at a bar, and a fifth from behind on the left."""


def show_the_bar(visit: Visit) -> None:
    visit.tab.locator("#yo-examples button").nth(PHOTOGRAPHS.index(BAR)).click()
    visit.tab.wait_for_selector("#yo-listing .yo-chip")
    visit.tab.wait_for_selector("#yo-picture img")


def test_a_mask_is_chosen_explained_and_changed(visit: Visit):
    show_the_bar(visit)
    assert len(visit.chips()) >= 4
    picture = visit.picture()
    image = visit.tab.locator("#yo-picture img")
    box = image.bounding_box()
    image.click(position={"x": 0.1 * box["width"], "y": 0.6 * box["height"]})  # the back on the left
    visit.tab.wait_for_selector("#yo-formula .yo-part")
    chosen = visit.tab.locator("#yo-listing .chosen").inner_text()
    assert chosen.split("\n")[0] in visit.tab.locator(".yo-title strong").inner_text()
    assert visit.tab.locator("#yo-formula .yo-term").count() == 5

    number = visit.tab.locator("#yo-coefficient input[type=number]")
    said = number.input_value()
    number.fill("-1" if float(said) > 0 else "1")
    number.press("Enter")
    visit.until_picture_is_not(picture)
    assert "*" in visit.tab.locator("#yo-formula .yo-term.chosen").inner_text()
    visit.tab.locator("#yo-reset").click()
    visit.tab.wait_for_function(
        "before => document.querySelector('#yo-picture img').src === before", arg=picture, timeout=PATIENCE
    )
    assert number.input_value() == said

    second = visit.tab.locator("#yo-formula .yo-term").nth(1)
    second.click()
    visit.tab.wait_for_function("() => document.querySelectorAll('#yo-formula .yo-term')[1].matches('.chosen')")
    prototype = second.inner_text().split("#")[1]
    assert f"#{prototype} for" in visit.tab.locator("#yo-coefficient").inner_text()

    visit.tab.get_by_label("Cut").first.click()
    visit.tab.get_by_role("option", name="all in its box").click()
    visit.until_picture_is_not(picture)
    assert not visit.errors


def test_controls_change_masks_without_the_network(visit: Visit, served: Served, monkeypatch: pytest.MonkeyPatch):
    show_the_bar(visit)
    monkeypatch.setattr(served.models.main.runtime, "run", None)  # whoever calls it now fails
    before, picture = visit.chips(), visit.picture()
    score = visit.tab.get_by_label("number input for Score").first
    score.fill("0.95")
    score.press("Enter")
    picture = visit.until_picture_is_not(picture)
    assert 0 < len(visit.chips()) < len(before)
    opacity = visit.tab.get_by_label("number input for Opacity").first
    opacity.fill("0.1")
    opacity.press("Enter")
    visit.until_picture_is_not(picture)


def asked_elsewhere(visit: Visit, served: Served) -> list[str]:
    return [url for url in visit.asked if not url.startswith((served.address, "data:", "blob:"))]


def test_nothing_leaves_this_machine(visit: Visit, served: Served):
    show_the_bar(visit)
    for name in ("Video", "Live camera"):
        visit.tab.get_by_role("tab", name=name).click()
        visit.tab.wait_for_timeout(300)
    assert len(visit.asked) > 10
    assert not asked_elsewhere(visit, served)


def test_downloads_hold_what_is_shown(visit: Visit):
    show_the_bar(visit)
    shown = len(visit.chips())
    files: dict[str, bytes] = {}
    for number in range(5):
        with visit.tab.expect_download(timeout=PATIENCE) as download:
            visit.tab.locator(f"#yo-save-{number}").click()
        files[download.value.suggested_filename] = Path(download.value.path()).read_bytes()
    size = Image.open(BAR).size
    assert Image.open(io.BytesIO(files[f"{BAR.stem}-segmented.png"])).size == size
    labels = np.asarray(Image.open(io.BytesIO(files[f"{BAR.stem}-labels.png"])))
    assert set(np.unique(labels)) == set(range(shown + 1))
    assert len(zipfile.ZipFile(io.BytesIO(files[f"{BAR.stem}-cutouts.zip"])).namelist()) == shown
    coco = json.loads(files[f"{BAR.stem}-coco.json"])["annotations"]
    masks = [rle.decode(record["segmentation"]).astype(bool) for record in coco]
    assert all((mask[labels == i + 1]).all() for i, mask in enumerate(masks))
    polygons = json.loads(files[f"{BAR.stem}-polygons.json"])["annotations"]
    assert [record["area"] for record in polygons] == [int(mask.sum()) for mask in masks]


@pytest.mark.parametrize("kind", ["words", "cut off", "enormous"])
def test_bad_files_are_refused_in_words(visit: Visit, tmp_path: Path, kind: str):
    path = tmp_path / "holiday.jpg"
    if kind == "enormous":
        Image.new("L", (16_000, 10_000)).save(path)
    else:
        path.write_bytes(b"no photograph" if kind == "words" else BAR.read_bytes()[:20_000])
    visit.drop(path)
    said = visit.tab.locator(".toast-body").first
    said.wait_for()
    part = {"words": "not a photograph", "cut off": "cannot be read", "enormous": "too large for this page"}[kind]
    assert part in said.inner_text()
    assert "holiday.jpg" in said.inner_text()
    assert "/" not in said.inner_text()
    show_the_bar(visit)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_scrolling_sideways(browser: Any, served: Served, scheme: str):
    visit = Visit(browser, served.address, color_scheme=scheme)
    visit.tab.set_viewport_size({"width": 390, "height": 844})
    show_the_bar(visit)
    visit.tab.locator("#yo-listing .yo-chip").first.click()
    visit.tab.wait_for_selector("#yo-formula .yo-part")
    assert visit.tab.evaluate("document.documentElement.scrollWidth") <= 390
    background = visit.tab.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = sum(int(channel) for channel in background[4:-1].split(",")[:3]) < 200
    assert dark == (scheme == "dark")
    visit.context.close()


def test_ten_visitors_at_once_each_get_their_own(served: Served):
    gradio_client = pytest.importorskip("gradio_client")
    from yolact.apps.demo.listing import listing
    from yolact.apps.demo.session import Choice, selected

    def expected(path: Path, score: float) -> str:
        session = served.models.open(path)
        return listing(session, selected(session.found, Choice(score=score)))

    def be_a_visitor(path: Path) -> list[str]:
        client = gradio_client.Client(served.address, verbose=False, download_files=False, analytics_enabled=False)
        photograph = gradio_client.handle_file(path)
        try:
            first = client.predict(photograph, "", 0.4, 20, 0.5, [], 0.5, "component", api_name="/open")
            # Without the photograph: what is remembered of this visitor must do.
            second = client.predict(None, "", 0.9, 20, 0.5, [], 0.5, api_name="/by_score")
        finally:
            client.close()
        return [first[3], second[3]]

    visitors = PHOTOGRAPHS * 2
    with ThreadPoolExecutor(len(visitors)) as pool:
        answers = list(pool.map(be_a_visitor, visitors))
    assert answers == [[expected(path, 0.4), expected(path, 0.9)] for path in visitors]


def write_clip(path: Path, frames: int) -> Path:
    from yolact.video.writing import VideoWriter

    picture = np.asarray(Image.open(BAR).resize((160, 120)))
    with VideoWriter(path, Fraction(25)) as writer:
        for number in range(frames):
            writer.write(np.roll(picture, number, axis=1), number / 25)
    return path


def film(visit: Visit, clip: Path) -> None:
    visit.tab.get_by_role("tab", name="Video").click()
    visit.tab.locator("#yo-video input[type=file]").first.set_input_files(clip)
    visit.tab.wait_for_selector("#yo-video video")
    visit.tab.locator("#yo-film").click()


def test_a_tab_closed_in_the_middle_of_a_video_lets_the_next_visitor_in(
    visit: Visit, browser: Any, served: Served, tmp_path: Path
):
    leaving = Visit(browser, served.address)
    film(leaving, write_clip(tmp_path / "long.mp4", 1400))
    leaving.tab.get_by_text("of 1400").wait_for()
    leaving.context.close()
    film(visit, write_clip(tmp_path / "short.mp4", 5))
    visit.tab.wait_for_selector("#yo-filmed video")
    visit.tab.wait_for_function("() => document.querySelector('#yo-filmed video').readyState > 0")
    assert visit.tab.locator("#yo-filmed video").evaluate("video => video.videoWidth") == 160
    assert not asked_elsewhere(visit, served)


def test_a_video_that_is_too_long_or_none_is_refused_in_words(visit: Visit, tmp_path: Path):
    film(visit, write_clip(tmp_path / "long.mp4", 1540))
    visit.tab.get_by_text("lasts 62 s").first.wait_for()


def test_another_name_of_this_machine_is_refused(served: Served):
    """As a page elsewhere has, whose name was made to lead to 127.0.0.1."""
    request = urllib.request.Request(served.address, headers={"Host": "elsewhere.example"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request, timeout=10)
    assert urllib.request.urlopen(served.address, timeout=10).status == 200
