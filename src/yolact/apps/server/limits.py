"""What a server puts up with."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Beyond these, a request is refused with a status and a message of its own."""

    body_mb: float = 32
    """Megabytes of one request, whole: 413."""

    megapixels: float = 50
    """Of one photograph, before it is decoded: 413. What a decoder takes grows with it: about 6 bytes a pixel."""

    images: int = 16
    """Photographs in one request: 413."""

    queue: int = 128
    """Photographs of a model that wait or are computed: 503, at once."""

    held_mb: float = 512
    """Megabytes of all requests together, while they arrive and wait: 503, at once."""

    upload_seconds: float = 30
    """For a request to arrive: 408."""

    seconds: float = 30
    """From the arrival of a request to its answer: 504. A process that has been silent for longer is replaced."""

    drain_seconds: float = 30
    """After SIGTERM, for what was accepted before."""

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"{name} is {value}; it must be above 0")
