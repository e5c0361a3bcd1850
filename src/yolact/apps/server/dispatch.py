"""One model: its queue, and its process, which may die without taking requests along.

Only a few jobs are with the process at any time; the others wait here, where they can be given up at no cost. When the
process ends, those that were with it go to its successor, one by one: a photograph that ends processes is with nobody
else's when it ends the second one, and is given up then.
"""

import asyncio
import itertools
import math
import sys
from collections import deque
from dataclasses import dataclass

from yolact.apps.server.inference import Recipe
from yolact.apps.server.jobs import Answer, Failed, Job, Ready, Wish
from yolact.apps.server.limits import Limits
from yolact.apps.server.metrics import Metrics
from yolact.apps.server.process import Process

AHEAD = 4
"""Jobs that a process has besides those in its batch, so that it decodes and encodes while it computes."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a process that ended without one answer is started again; twice as long each time."""

WATCHED_EVERY = 1.0
"""Seconds between looks at whether a process still answers."""


LOST = b"the model's process ended twice over this image"


class BusyError(Exception):
    """The queue is full; `seconds` is when a place may be free."""

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self.seconds = seconds


@dataclass(eq=False)
class _Waiting:
    job: Job
    answer: asyncio.Future[Answer]
    tries: int = 0
    given: float = 0.0
    """When the process got it, on the loop's clock."""


class Model:
    """A model that can be asked, from the event loop that started it."""

    def __init__(self, name: str, recipe: Recipe, limits: Limits, metrics: Metrics) -> None:
        self.name, self.ready = name, None
        self.ready: Ready | None = None
        """What the process said of its model; None before, and while there is none."""
        self.facts: Ready | None = None
        """The same, of the process or its predecessor."""
        self._recipe, self._limits, self._metrics = recipe, limits, metrics
        self._numbers = itertools.count()
        self._waiting: deque[_Waiting] = deque()
        self._inside: dict[int, _Waiting] = {}
        self._process: Process | None = None
        self._first: asyncio.Future[Ready | Failed] | None = None
        self._pause, self._pace = FIRST_PAUSE, 0.1
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard = 0.0
        """When the process last answered, on the loop's clock."""
        self._is_closed = False

    async def start(self) -> None:
        """Until the model is loaded.

        Raises:
            ValueError: it cannot be loaded.
        """
        self._first = asyncio.get_running_loop().create_future()
        self._begin()
        said = await self._first
        if isinstance(said, Failed):
            raise ValueError(said.reason)
        self._spawn(self._watch())

    async def close(self) -> None:
        """End the process; whoever waits for an answer is told."""
        self._is_closed = True
        for task in list(self._tasks):
            task.cancel()
        for one in [*self._inside.values(), *self._waiting]:
            one.answer.cancel()
        if self._process is not None:
            await self._process.close()

    @property
    def length(self) -> int:
        """Photographs that wait or are computed, and that somebody still waits for."""
        return sum(not one.answer.done() for one in itertools.chain(self._inside.values(), self._waiting))

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def ask(self, files: list[bytes], wish: Wish) -> list[asyncio.Future[Answer]]:
        """Queue photographs, all or none. A future that is cancelled gives its place up.

        Raises:
            BusyError: there is no place for them.
        """
        length = self.length
        if length + len(files) > self._limits.queue:
            raise BusyError(math.ceil(min(max(length * self._pace, 1), 60)))
        if len(self._waiting) > self._limits.queue:  # most of them have left
            self._waiting = deque(one for one in self._waiting if not one.answer.done())
        loop = asyncio.get_running_loop()
        asked = [_Waiting(Job(next(self._numbers), file, wish), loop.create_future()) for file in files]
        self._waiting.extend(asked)
        self._hand_on()
        return [one.answer for one in asked]

    def _hand_on(self) -> None:
        """Give the process what it has room for."""
        room = self._recipe.most_together + AHEAD
        while self.ready is not None and self._process is not None and self._waiting and len(self._inside) < room:
            if self._waiting[0].answer.done():
                self._waiting.popleft()
                continue
            is_suspect = self._waiting[0].tries > 0 or any(one.tries > 0 for one in self._inside.values())
            if is_suspect and self._inside:
                return
            one = self._waiting.popleft()
            one.given = asyncio.get_running_loop().time()
            self._inside[one.job.number] = one
            self._process.give(one.job)

    def _hear(self, process: Process, said: Ready | Failed | Answer | None) -> None:
        if process is not self._process or self._is_closed:
            return
        if isinstance(said, Answer):
            self._take(said)
        elif isinstance(said, Ready):
            self.ready = self.facts = said
        elif isinstance(said, Failed) and self.facts is not None:
            self._report(f"cannot be loaded again: {said.reason}")
        elif said is None:
            self._mourn(process)
        if self._first is not None and not self._first.done() and not isinstance(said, Answer):
            self._first.set_result(said or Failed("its process ended while it loaded the model"))
        self._hand_on()

    def _take(self, answer: Answer) -> None:
        self._pause, self._heard = FIRST_PAUSE, asyncio.get_running_loop().time()
        one = self._inside.pop(answer.number, None)
        if one is None:
            return
        self._pace += 0.1 * ((asyncio.get_running_loop().time() - one.given) / (len(self._inside) + 1) - self._pace)
        self._metrics.took(self.name, answer)
        if not one.answer.done():
            one.answer.set_result(answer)

    def _mourn(self, process: Process) -> None:
        """The process is gone: keep what it had for the next one."""
        self.ready = None
        had, self._inside = [one for one in self._inside.values() if not one.answer.done()], {}
        for one in had:
            one.tries += 1
            if one.tries > 1:  # its neighbors in a request keep their answers
                one.answer.set_result(Answer(one.job.number, LOST, "failed"))
        self._waiting.extendleft(one for one in reversed(had) if one.tries == 1)
        if self.facts is not None:
            self._spawn(self._replace(process))

    async def _replace(self, process: Process) -> None:
        await process.close()
        self._process = None
        self._metrics.restarted(self.name)
        while self._process is None:
            self._report(f"its process ended; another is started in {self._pause:g} s")
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            try:
                self._begin()
            except OSError as error:  # no memory for another, which may be why the last one ended
                self._report(f"no process can be started: {error}")

    def _begin(self) -> None:
        self._process = process = Process(self._recipe, lambda said: self._hear(process, said))

    async def _watch(self) -> None:
        """End a process that has jobs and answers none for too long: what is stuck will not come out again."""
        while True:
            await asyncio.sleep(WATCHED_EVERY)
            given = min((one.given for one in self._inside.values()), default=math.inf)
            # A job may be with it for longer while it answers those before, as fast as this machine can.
            silent = asyncio.get_running_loop().time() - max(given, self._heard)
            if silent > self._limits.seconds and self._process is not None:
                self._process.kill()

    def _report(self, what: str) -> None:
        """To who runs the server."""
        print(f"{self.name}: {what}", file=sys.stderr, flush=True)

    def _spawn(self, work) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # or nobody would hold it
        task.add_done_callback(self._tasks.discard)
