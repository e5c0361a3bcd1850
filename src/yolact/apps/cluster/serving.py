"""The predictor behind Ray Serve, for more requests than one machine can answer.

    serve run yolact.apps.cluster.serving:build weights=best.safetensors replicas=4

It answers as `yolact serve` does, one image a request: POST /predict with the bytes of an image, GET /health.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ray import serve
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from yolact.apps.server.answers import Options, RefusedError, as_json
from yolact.apps.server.encoding import encode
from yolact.apps.server.jobs import Wish
from yolact.images import TooManyPixelsError, decode_image
from yolact.instances import Instances
from yolact.predictor import load
from yolact.request import Request
from yolact.runtimes import Precision, RuntimeKind


class Arguments(BaseModel):
    """What may stand behind `serve run yolact.apps.cluster.serving:build`, as NAME=VALUE."""

    model_config = ConfigDict(extra="forbid")

    weights: Annotated[
        str | None, Field(description="as --weights of `yolact predict`; a file must be on all machines")
    ] = None
    runtime: RuntimeKind | None = None
    precision: Precision = "float32"
    replicas: Annotated[int, Field(ge=1)] = 1
    most_replicas: Annotated[
        int | None, Field(description="Ray adds replicas up to so many, when requests pile up")
    ] = None
    cpus: Annotated[int, Field(ge=1, description="cores, and threads, of each replica")] = 1
    gpus: Annotated[float, Field(ge=0, description="of each replica")] = 0
    batch_size: Annotated[int, Field(ge=1, description="images that go through the network together, at most")] = 8
    patience: Annotated[float, Field(ge=0, description="seconds that an image waits at most for others")] = 0.005
    queue: Annotated[int, Field(ge=1, description="requests that wait; more are answered with 503 at once")] = 128
    body_mb: Annotated[float, Field(gt=0)] = 32
    megapixels: Annotated[float, Field(gt=0)] = 50


@dataclass(frozen=True)
class Asked:
    """One image, and what is asked about it."""

    pixels: np.ndarray
    request: Request


class Replica:
    """One network, and the requests that Ray sends to it. No FastAPI: its applications cannot be sent to replicas."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        import torch

        given = self.arguments = Arguments(**arguments)
        torch.set_num_threads(given.cpus)
        device = "cuda" if given.gpus else "cpu"
        self.predictor = load(given.weights, device, runtime=given.runtime, precision=given.precision)
        batching: Any = self._together
        batching.set_max_batch_size(given.batch_size)
        batching.set_batch_wait_timeout_s(given.patience)

    async def __call__(self, request: HttpRequest) -> Response:
        try:
            if (request.method, request.url.path) == ("GET", "/health"):
                return as_json({"status": "up"})
            if request.url.path != "/predict":
                raise RefusedError(404, "no_such_address", f"there is no {request.url.path}; POST to /predict")
            if request.method != "POST":
                raise RefusedError(405, "no_such_method", f"/predict takes POST, not {request.method}")
            options = _options(request)
            return await self._answer(await self._body(request), options)
        except RefusedError as refused:
            return refused.response()

    async def _answer(self, body: bytes, options: Options) -> Response:
        if options.format in ("png", "picture"):
            raise RefusedError(
                400, "bad_option", f"format {options.format} is for `yolact serve`; take rle or polygons"
            )
        wish = Wish(
            score_threshold=options.score_threshold,
            top_k=options.top_k,
            classes=tuple(options.classes) if options.classes is not None else None,
            crop=options.crop,
            form=options.format,
            tolerance=options.tolerance,
            most_pixels=int(self.arguments.megapixels * 1e6),
        )
        wanted = (wish.score_threshold, wish.top_k, "fast", wish.classes, None, "rgb", wish.crop)
        try:
            request = Request.of(self.predictor.config, *wanted)
        except ValueError as error:
            raise RefusedError(400, "bad_option", str(error)) from None
        try:
            pixels = await asyncio.to_thread(decode_image, body, wish.most_pixels)
        except TooManyPixelsError as error:
            raise RefusedError(413, "too_many_pixels", str(error)) from None
        except ValueError as error:
            raise RefusedError(422, "unreadable", str(error)) from None
        found: Instances | Exception = await self._together(Asked(pixels, request))  # type: ignore[arg-type]
        if isinstance(found, Exception):
            raise RefusedError(500, "failed", f"{type(found).__name__}: {found}")
        encoded = await asyncio.to_thread(encode, found, wish)
        model = json.dumps(self.predictor.config.name).encode()
        content = b'{"model":' + model + b',"images":[{"name":null,' + encoded[1:] + b"]}"
        return Response(content, media_type="application/json")

    async def _body(self, request: HttpRequest) -> bytes:
        body, most = bytearray(), self.arguments.body_mb * 1e6
        async for piece in request.stream():
            body += piece
            if len(body) > most:
                raise RefusedError(413, "too_large", f"the request has more than {self.arguments.body_mb:g} MB")
        if not body:
            raise RefusedError(400, "no_image", "there is no image; send one as the body")
        return bytes(body)

    @serve.batch
    async def _together(self, asked: list[Asked]) -> list[Instances | Exception]:
        return await asyncio.to_thread(self._predict, asked)

    def _predict(self, asked: list[Asked]) -> list[Instances | Exception]:
        """Those that ask for the same go through the network together; none costs another its answer."""
        answers: dict[int, Instances | Exception] = {}
        while missing := [i for i in range(len(asked)) if i not in answers]:
            detect = asked[missing[0]].request.detect
            alike = [i for i in missing if asked[i].request.detect == detect]
            try:
                together = [asked[i].pixels for i in alike], [asked[i].request for i in alike]
                answers |= dict(zip(alike, self.predictor.predict_together(*together), strict=True))
            except Exception as error:
                alone = [self._predict([asked[i]])[0] for i in alike] if len(alike) > 1 else [error]
                answers |= dict(zip(alike, alone, strict=True))
        return [answers[i] for i in range(len(asked))]


def _options(request: HttpRequest) -> Options:
    query = request.query_params
    given: dict[str, Any] = {name: query.getlist(name) if name == "classes" else query[name] for name in query}
    try:
        return Options(**given)
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(map(str, first["loc"])) or "request"
        raise RefusedError(400, "bad_option", f"{option}: {first['msg']}") from None


def build(arguments: Arguments) -> serve.Application:
    """What `serve run` runs."""
    scaling: dict[str, Any] = {"num_replicas": arguments.replicas}
    if arguments.most_replicas is not None:
        bounds = {"min_replicas": arguments.replicas, "max_replicas": arguments.most_replicas}
        scaling = {"autoscaling_config": {**bounds, "target_ongoing_requests": 2 * arguments.batch_size}}
    deployment: Any = serve.deployment(
        Replica,
        **scaling,
        ray_actor_options={"num_cpus": arguments.cpus, "num_gpus": arguments.gpus},
        max_ongoing_requests=4 * arguments.batch_size,
        max_queued_requests=arguments.queue,
    )
    return deployment.bind(arguments.model_dump())
