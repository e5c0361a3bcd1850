"""What a server puts up with."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Beyond these, a request is refused with a status and a message of its own."""

    body_mb: float = 32
    """Megabytes of one request, whole: 413."""

    megapixels: float = 50
    """Of one photograph, before it is decoded: 413. What a decoder takes grows with it: about 6 bytes a pixel."""

    images: int = 16
    """Photographs in one request: 413. At most as many as the queue has places."""

    queue: int = 128
    """Photographs of a model that wait or are computed: 503, at once."""

    held_mb: float = 512
    """Megabytes of all requests together, while they arrive and wait: 503, at once."""

    upload_seconds: float = 30
    """For a request to arrive: 408."""

    seconds: float = 30
    """From the arrival of a request's last byte to its answer: 504. A process that has been silent for longer is
    replaced."""

    drain_seconds: float = 30
    """After SIGTERM, for what was accepted before; then 503."""

    def check(self) -> None:
        """Not when it is made: the command line would show the mistake in a frame, as one of its own.

        Raises:
            ValueError: a limit that nothing, or everything, would pass.
        """
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ValueError(f"{name.replace('_', '-')} is {value}; it must be above 0, and not infinite")

    @property
    def most_images(self) -> int:
        """Of one request: more than the queue has places for would be told to come back for ever."""
        return min(self.images, self.queue)

    @property
    def most_bytes(self) -> int:
        """Of one request."""
        return int(min(self.body_mb, self.held_mb) * 1e6)
