"""What processes that train together compare before the first step; the others are played here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yolact.training import together

FACTS: dict[str, dict[str, Any]] = {
    "data": {"train": "abc"},
    "recipe": {"batch_size": 8},
    "network": {"width": 256},
    "versions": {"torch": "2.11"},
}


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Have another process answer with a value, as one on a machine named b."""

    def answer(value: Any) -> None:
        monkeypatch.setattr(together, "exchanged", lambda mine: [mine, ("process 1 on b", value)])
        monkeypatch.setattr(together, "_are_several", lambda: True)

    return answer


@pytest.mark.parametrize(
    ("kind", "theirs", "said"),
    [
        ("data", {"train": "abd"}, "train images or annotations differ; copy the data to all machines anew"),
        ("data", {"train": "abc", "val": "a"}, "val images or annotations differ"),
        ("recipe", {"batch_size": 4}, "batch_size is 4, not 8; start all with the same command"),
        ("network", {}, "width is None, not 256; start all with the same command"),
        ("versions", {"torch": "2.12"}, "torch is 2.12, not 2.11; install the same"),
    ],
)
def test_a_difference_is_named(others: Callable[[Any], None], kind: str, theirs: dict[str, Any], said: str) -> None:
    others(FACTS)
    together.agree(FACTS)
    others(FACTS | {kind: theirs})
    with pytest.raises(ValueError, match=r"process 1 on b would not train what process 0 on .* does: ") as raised:
        together.agree(FACTS)
    assert said in str(raised.value)


def test_what_goes_wrong_in_one_goes_wrong_in_all(others: Callable[[Any], None]) -> None:
    others("")
    assert together.on_all(lambda: 3) == 3
    others("its disk is empty")
    with pytest.raises(ValueError, match=r"^process 1 on b: its disk is empty$"):
        together.on_all(lambda: 3)

    def fail() -> None:
        raise OSError("mine is full")

    with pytest.raises(ValueError, match=r"^mine is full$"):
        together.on_all(fail)


def test_a_disk_that_is_not_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "SHARED_DISK_SECONDS", 0.0)
    (tmp_path / "run.json").write_text("one")
    together.check_shared(tmp_path / "run.json")
    monkeypatch.setattr(together, "of_first", lambda mine: b"another")
    with pytest.raises(ValueError, match=r"run\.json, which the first machine has written, is not there on .*; --out "):
        together.check_shared(tmp_path / "run.json")


class TestLosingNone:
    def test_what_torch_says_becomes_a_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
        said = "[/some/where/pair.cc:561] Connection closed by peer [10.0.0.2]:692. This is typically caused by\nmore"
        with pytest.raises(ConnectionError) as raised, together.losing_none("go on so"):
            raise RuntimeError(said)
        assert str(raised.value).endswith("does not answer (Connection closed by peer [10.0.0.2]:692); go on so")

    def test_other_errors_stay(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(RuntimeError, match="peer"), together.losing_none():
            raise RuntimeError("peer")  # alone, there is nobody to lose
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
        with pytest.raises(RuntimeError, match="shapes"), together.losing_none():
            raise RuntimeError("shapes cannot be multiplied")


class TestOneSpeaks:
    def test_the_first_process_of_a_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LOCAL_RANK", "0")
        for error in (KeyboardInterrupt("stopped"), ValueError("wrong")):
            with pytest.raises(type(error)), together.one_speaks():
                raise error

    def test_the_others_wait_for_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        waited: list[float] = []
        monkeypatch.setenv("LOCAL_RANK", "1")
        monkeypatch.setattr("time.sleep", waited.append)
        with pytest.raises(SystemExit) as ended, together.one_speaks():
            raise KeyboardInterrupt
        assert ended.value.code == 130
        with pytest.raises(ValueError, match="wrong"), together.one_speaks():
            raise ValueError("wrong")
        assert waited == [together.FIRST_WORD_SECONDS]
