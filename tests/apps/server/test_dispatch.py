"""A model's queue and its processes, with processes that do as they are told."""

import asyncio
import operator
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="needs the extra yolact[serve]")

from yolact.apps.server import dispatch, process
from yolact.apps.server.dispatch import Model
from yolact.apps.server.inference import Recipe
from yolact.apps.server.jobs import Answer, Failed, Job, Ready, Wish
from yolact.apps.server.limits import Limits
from yolact.apps.server.metrics import Metrics

WISH = Wish(score_threshold=0.5, top_k=1, classes=None, crop=None, form="rle", tolerance=0.5, most_pixels=1)


class Told(process.Process):
    """In the place of a process; says what a test has it say."""

    made: list["Told"]
    starts: list[object]
    """What the next ones do first: say this, or fail with it."""

    def __init__(self, recipe: Recipe, hear: Callable[[Any], object]) -> None:
        first = self.starts.pop(0) if self.starts else Ready(("cat",), (1,), "none")
        if isinstance(first, Exception):
            raise first
        self.hear, self.jobs, self.kills = hear, list[Job](), 0
        self.made.append(self)
        asyncio.get_running_loop().call_soon(hear, first)

    def give(self, job: Job) -> None:
        self.jobs.append(job)

    def answer(self) -> None:
        self.hear(Answer(self.jobs.pop(0).number, b"{}"))

    def kill(self) -> None:
        self.kills += 1

    async def close(self) -> None: ...


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[Told]:
    Told.made, Told.starts = [], []
    monkeypatch.setattr(dispatch, "Process", Told)
    monkeypatch.setattr(dispatch, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(dispatch, "WATCHED_EVERY", 0.01)
    return Told.made


def run(work: Callable[[Model], Coroutine[Any, Any, None]], **limits: float) -> None:
    async def go() -> None:
        model = Model("small", Recipe(weights=None), Limits(**limits), Metrics())  # pyright: ignore[reportArgumentType]
        await asyncio.wait_for(model.start(), 20)
        try:
            await asyncio.wait_for(work(model), 20)
        finally:
            await model.close()

    asyncio.run(go())


async def another(told: list[Told], number: int) -> Told:
    while len(told) < number:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.01)  # its first word
    return told[number - 1]


def test_who_ends_two_processes_is_given_up_alone(told: list[Told]):
    async def work(model: Model) -> None:
        answers = model.ask([b"bad", b"good"], WISH)
        told[0].hear(None)
        second = await another(told, 2)
        assert [job.file for job in second.jobs] == [b"bad"]  # one by one, to find out which it is
        second.hear(None)
        third = await another(told, 3)
        third.answer()
        bad, good = await asyncio.gather(*answers)
        assert (bad.refusal, good.refusal) == ("failed", None)
        assert b"ended twice" in bad.body

    run(work)


def test_a_process_is_tried_again_where_none_can_be_started(told: list[Told], capsys: pytest.CaptureFixture[str]):
    async def work(model: Model) -> None:
        Told.starts += [OSError("no memory"), Failed("the file is gone")]
        told[0].hear(None)
        (await another(told, 2)).hear(None)
        await another(told, 3)
        assert model.ready is not None

    run(work)
    said = capsys.readouterr().err.splitlines()
    assert "small: no process can be started: no memory" in said
    assert "small: cannot be loaded again: the file is gone" in said


def test_a_process_that_is_slow_is_not_one_that_is_stuck(told: list[Told]):
    async def work(model: Model) -> None:
        answers = model.ask([b"x"] * 100, WISH)
        for _ in range(20):  # one after the other; each is with it for four times as long as one takes
            await asyncio.sleep(0.1)
            told[0].answer()
            assert told[0].kills == 0
        while not told[0].kills:  # and now it is stuck
            await asyncio.sleep(0.01)
        assert sum(answer.done() for answer in answers) == 20

    run(work, seconds=0.4)


def started(said: list[object]) -> process.Process:
    return process.Process(Recipe(weights=None), said.append)


def test_closing_twice_closes_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process, "work", operator.is_)

    async def go() -> None:
        one = started([])
        first = asyncio.ensure_future(one.close())
        await asyncio.sleep(0)
        first.cancel()  # as SIGTERM does to a replacement that is on its way
        await one.close()
        await one.close()

    asyncio.run(go())


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows has no such signals")
def test_a_signal_to_all_of_a_terminal_is_not_for_a_process_that_only_begins(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process, "work", operator.is_)

    async def go() -> None:
        said: list[object] = []
        one = started(said)
        assert one.pid is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(one.pid, number)
        while not said:
            await asyncio.sleep(0.01)
        ended = one._process
        await asyncio.to_thread(ended.join)
        assert ended.exitcode == 0
        await one.close()

    asyncio.run(go())
