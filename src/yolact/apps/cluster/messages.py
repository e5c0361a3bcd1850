"""What a job's driver and its processes on Ray tell each other."""

import io
import os
import threading
from typing import Any, TextIO


class Messages:
    """An actor between the driver and the processes: what they say, and whether they are to stop."""

    def __init__(self) -> None:
        import asyncio

        self.stopping, self.said = asyncio.Event(), ""

    async def stop(self) -> None:
        self.stopping.set()

    async def wait_for_stop(self) -> None:
        await self.stopping.wait()

    async def say(self, text: str) -> None:
        self.said += text

    async def take(self) -> str:
        """What was said since the last time."""
        said, self.said = self.said, ""
        return said


class Voice(io.TextIOBase):
    """What a process prints goes to the driver, without the name that Ray puts before each line."""

    def __init__(self, messages: Any, otherwise: TextIO) -> None:
        self.messages, self.otherwise, self.process = messages, otherwise, os.getpid()

    def write(self, text: str) -> int:
        if os.getpid() == self.process:
            self.messages.say.remote(text)
        else:  # it reads images for this process, and must not speak to Ray
            self.otherwise.write(text)
        return len(text)


def set_when_asked(stop: threading.Event, messages: Any) -> None:
    """Wait for the driver's wish to stop, in a thread of its own."""
    import ray
    from ray.exceptions import RayError

    try:
        ray.get(messages.wait_for_stop.remote())
    except RayError:  # its machine is gone: nobody can ask to stop any more
        return
    stop.set()
