import re
import shutil
from pathlib import Path

import pytest

from yolact.whole_files import staging_beside, written_whole


@pytest.mark.parametrize("lasting", [False, True])
def test_files_appear_whole_or_not_at_all(tmp_path: Path, lasting: bool):
    path = tmp_path / "new" / "file.txt"
    with pytest.raises(TypeError), written_whole(path, lasting) as unfinished:
        unfinished.write_text(3)  # type: ignore[arg-type]
    assert list((tmp_path / "new").iterdir()) == []
    for text in ("whole", "new"):
        with written_whole(path, lasting) as unfinished:
            unfinished.write_text(text)
            assert unfinished.suffix == ".txt"  # some writers go by it
            assert path.exists() == (text == "new")
    with pytest.raises(AttributeError), written_whole(path, lasting) as unfinished:
        unfinished.write_text("half").fails()  # type: ignore[attr-defined]
    assert path.read_text() == "new"
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["file.txt"]


def test_what_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path, why in (("file/below", "File exists"), ("folder", "Is a directory")):
        wanted = rf"cannot write {re.escape(str(tmp_path / path))} \({why}\); choose another place$"
        with pytest.raises(OSError, match=wanted), written_whole(tmp_path / path) as unfinished:
            unfinished.touch()
    full = r"cannot write .*full\.json \(No space left on device\)"
    with pytest.raises(OSError, match=full), written_whole(tmp_path / "full.json"):
        Path("/dev/full").write_text("more")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder"]


def test_an_interruption_while_tidying_up_is_heeded_afterward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted_once(folder: Path, ignore_errors: bool):
        monkeypatch.setattr(shutil, "rmtree", rmtree)
        (folder / "one").unlink()
        raise KeyboardInterrupt

    def stage():
        with staging_beside(tmp_path / "new" / "name") as staging:
            for name in ("one", "other"):
                (staging / name).touch()

    rmtree = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", interrupted_once)
    with pytest.raises(KeyboardInterrupt):
        stage()
    assert list((tmp_path / "new").iterdir()) == []
