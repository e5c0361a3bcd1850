"""`yolact serve`."""

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from yolact.apps.server.limits import Limits

if TYPE_CHECKING:
    from yolact.apps.server.inference import Recipe

SHIPPED = "yolact-people"


@dataclass(frozen=True, kw_only=True)
class Serve:
    """Answer requests over HTTP: photographs in, instances with their masks out."""

    weights: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="[NAME=]WEIGHTS ...")] = ()
    """One model or several: presets, .safetensors or .pth files, hub repositories, or graphs that `yolact export`
    wrote. Requests call them by NAME, or else by how the file is called; the first is asked where a request names none.
    None: the weights that come with the package."""

    host: str = "127.0.0.1"
    """Where to listen. 0.0.0.0 is everywhere: then set a token."""

    port: int = 8000
    """0 takes any that is free, and says which."""

    token: str | None = None
    """What requests must send as `Authorization: Bearer TOKEN`. None: the variable YOLACT_TOKEN, which other users of
    this machine cannot see; if there is none, whoever reaches the port may ask."""

    most_together: int | None = None
    """Photographs of different requests that go through the network together, at most. None: 8 on a GPU, 1 on a CPU,
    where several take as long as one after the other."""

    patience: float = 5.0
    """Milliseconds that a photograph waits at most for others to come along."""

    runtime: Literal["auto", "pytorch", "onnxruntime", "openvino", "tensorrt"] | None = None
    """What computes. `auto`: what is fastest on this machine. None: PyTorch, or what a graph was written for."""

    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the network, where the runtime has a choice."""

    compile: bool = False
    """Let PyTorch translate the network for this processor first: half a minute, then faster."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ... or mps."""

    log: bool = False
    """Print a line for each request."""

    limits: OmitArgPrefixes[Limits] = field(default_factory=Limits)

    def run(self) -> int:
        try:
            import fastapi_offline  # noqa: F401
            import prometheus_client  # noqa: F401
            import python_multipart  # noqa: F401
            import uvicorn  # noqa: F401
        except ImportError as error:
            raise ImportError(f"the server needs {error.name}; pip install 'yolact[serve]'") from error
        from yolact.apps.server.running import Settings, serve

        token = _checked(os.environ.get("YOLACT_TOKEN") if self.token is None else self.token)
        if token is None and self.host not in ("127.0.0.1", "::1", "localhost"):
            print(f"{self.host}: whoever reaches it may ask; --token keeps others out", file=sys.stderr)
        serve(
            Settings(
                recipes=self._recipes(), host=self.host, port=self.port, token=token, limits=self.limits, log=self.log
            )
        )
        return 0

    def _recipes(self) -> dict[str, "Recipe"]:
        from yolact.apps.server.inference import Recipe

        if self.most_together is not None and self.most_together < 1:
            raise ValueError(f"most-together is {self.most_together}; a batch has one photograph or more")
        if not self.patience >= 0:
            raise ValueError(f"patience is {self.patience}; it is in milliseconds, 0 or more")
        recipes: dict[str, Recipe] = {}
        for given in self.weights or (f"{SHIPPED}=",):
            name, weights = _named(given)
            if name in recipes:
                raise ValueError(f"two models are called {name}; name them, as in {name}-2={weights}")
            recipes[name] = Recipe(
                weights=weights or None,
                runtime=self.runtime,
                precision=self.precision,
                compile=self.compile,
                device=self.device,
                most_together=self.most_together or (8 if _is_gpu(self.device) else 1),
                patience=self.patience / 1000,
            )
        return recipes


def _checked(token: str | None) -> str | None:
    if token == "":  # of a variable that is not set, most likely; whoever wrote it wanted to keep others out
        raise ValueError("the token is empty; set it, or leave out --token and YOLACT_TOKEN to let everybody ask")
    if token is not None and not (token.isascii() and token.isprintable() and token == token.strip()):
        raise ValueError("the token has characters that no header can carry; choose ASCII letters and digits")
    return token


def _named(given: str) -> tuple[str, str]:
    """The name of a model, and its weights."""
    name, separator, weights = given.partition("=")
    if not separator or "/" in name:
        weights, path = given, Path(given)
        name = path.stem if path.suffix else path.name
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise ValueError(f"{name!r} cannot be a part of an address; name the model, as in NAME={weights}")
    return name, weights


def _is_gpu(device: str) -> bool:
    if device == "auto":
        import torch

        return torch.cuda.is_available()
    return device.startswith("cuda")
