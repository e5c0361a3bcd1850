import threading

import pytest

from yolact.detect import threads


@pytest.fixture(params=["torch's threads", "threads of our own"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "threads of our own":
        monkeypatch.setattr(threads, "_openmp", lambda: None)
    elif threads._openmp() is None:
        pytest.skip("there is no OpenMP library in this process that can be asked")


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("count", [1, 2])
def test_so_many_work_at_once(count: int):
    together, seen = threading.Barrier(count), []

    def work() -> None:
        together.wait(timeout=20)  # fails unless all are there
        seen.append(threading.get_ident())

    threads.run_on_threads(work, count)
    assert len(set(seen)) == count
    assert threading.get_ident() in seen


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, MemoryError])
def test_what_is_raised_arrives(kind: type[BaseException]):
    with pytest.raises(kind, match="in the middle"):
        threads.run_on_threads(lambda: (_ for _ in ()).throw(kind("in the middle")), 2)
    done = []
    threads.run_on_threads(lambda: done.append(1), 2)  # and nothing is left behind
    assert done


def test_linux_has_torchs_threads():
    import sys

    import torch

    if sys.platform != "linux" or "USE_OPENMP=ON" not in torch.__config__.show():
        pytest.skip("elsewhere, torch is built differently")
    assert threads._openmp() is not None
