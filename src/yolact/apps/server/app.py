"""The addresses of the server, and what they answer."""

import asyncio
import hmac
import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

import yolact
from yolact.apps.server.answers import BODY, Described, Options, Prediction, Refusal, RefusedError, as_json
from yolact.apps.server.dispatch import BusyError, Model
from yolact.apps.server.jobs import Answer, Wish
from yolact.apps.server.limits import Limits
from yolact.apps.server.metrics import Metrics
from yolact.apps.server.uploads import Drained, Upload, Uploads

MEDIA_TYPES = {"rle": "application/json", "polygons": "application/json", "png": "image/png", "picture": "image/jpeg"}

OPEN = ("/health", "/ready")
"""Need no token: what watches a server should not need its secrets."""

REFUSALS = {
    400: "an option, or the body, is not what it should be",
    401: "the token is missing or wrong",
    404: "there is no such model",
    408: "the request did not arrive in time",
    413: "the request, a photograph or their number is too large",
    415: "the body is packed (Content-Encoding)",
    422: "the photograph cannot be read",
    500: "the photograph cannot be computed",
    503: "the queue is full, or the server stops; Retry-After says when to come back",
    504: "the answer took too long",
}

STATUSES = {"unreadable": 422, "too_many_pixels": 413, "failed": 500}


class Service:
    """What the addresses share."""

    def __init__(self, models: Mapping[str, Model], limits: Limits, metrics: Metrics) -> None:
        self.models, self.limits, self.metrics = models, limits, metrics
        self.uploads = Uploads(limits)
        self.is_stopping = False
        self._running: set[asyncio.Timeout] = set()
        metrics.watch_held(lambda: self.uploads.held)
        for model in models.values():
            metrics.watch(model.name, lambda model=model: model.length)

    async def predict(self, name: str | None, request: Request, options: Options) -> Response:
        """Answer a request for a model, None being the first; and count it, whatever becomes of it."""
        began = time.monotonic()
        try:
            async with self._given_up():
                response = await self._predict(name, request, options)
        except RefusedError as refused:
            response = refused.response()
        # A client may invent names without end, and each would be kept.
        known = next(iter(self.models)) if name is None else name if name in self.models else "unknown"
        self.metrics.answered(known, response.status_code, time.monotonic() - began)
        return response

    def give_up(self) -> None:
        """Refuse what is not answered yet."""
        for one in self._running:
            if one.when() is None:
                one.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def _given_up(self) -> AsyncGenerator[None, None]:
        patience = asyncio.timeout(None)
        self._running.add(patience)
        try:
            async with patience:
                yield
        except TimeoutError:
            raise RefusedError(503, "stopping", "the server stops and waits no longer; ask another") from None
        finally:
            self._running.discard(patience)

    async def _predict(self, name: str | None, request: Request, options: Options) -> Response:
        if self.is_stopping:
            raise RefusedError(503, "stopping", "the server stops; ask another", Connection="close")
        model = self._model(name)
        wish = _wish(options, model, self.limits)
        with self.uploads.holding() as held:
            uploads = await self.uploads.read(request, held)
            if len(uploads) > 1 and options.format in ("png", "picture"):
                raise RefusedError(400, "bad_option", f"format {options.format} is for one image; send them one by one")
            answers = await self._ask(model, [upload.file for upload in uploads], wish, request)
        if len(answers) == 1 and answers[0].refusal is not None:
            refusal = answers[0].refusal
            raise RefusedError(STATUSES[refusal], refusal, answers[0].body.decode(errors="replace"))
        if options.format in ("png", "picture"):
            return Response(answers[0].body, media_type=MEDIA_TYPES[options.format])
        return Response(_joined(model.name, uploads, answers), media_type="application/json")

    def _model(self, name: str | None) -> Model:
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise RefusedError(404, "no_such_model", f"there is no model {name!r}; there are {', '.join(self.models)}")
        return self.models[name]

    async def _ask(self, model: Model, files: list[bytes], wish: Wish, request: Request) -> list[Answer]:
        gone = asyncio.ensure_future(request.receive())  # after the body, this is the client's going
        futures: list[asyncio.Future[Answer]] = []
        try:
            async with asyncio.timeout(self.limits.seconds):
                futures = model.ask(files, wish)
                # A plain gather would complain on stderr of each request that is given up.
                answers = asyncio.gather(*futures, return_exceptions=True)
                await asyncio.wait((answers, gone), return_when=asyncio.FIRST_COMPLETED)
                if not answers.done():
                    raise RefusedError(400, "gone", "the client went away")
                return [future.result() for future in futures]
        except BusyError as busy:
            message = f"{model.length} images wait already; come back in {busy.seconds} s"
            raise RefusedError(503, "busy", message, **{"Retry-After": str(busy.seconds)}) from None
        except TimeoutError:
            raise RefusedError(504, "timeout", f"no answer within {self.limits.seconds:g} s; try again later") from None
        finally:
            for future in (gone, *futures):  # which gives up their places in the queue
                future.cancel()


def build(service: Service, token: str | None = None) -> FastAPI:
    """The application; with a token, whoever asks must know it."""
    app = FastAPIOffline(title="YOLACT", version=yolact.__version__, description="Photographs in, instances out.")
    _add_predictions(app, service)
    _add_state(app, service)

    @app.exception_handler(RequestValidationError)
    async def refuse_options(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        option = ".".join(str(part) for part in first["loc"][1:]) or "request"
        given = f" is {str(first['input'])[:100]!r}" if not isinstance(first.get("input"), dict) else ""
        return RefusedError(400, "bad_option", f"{option}{given}: {first['msg']}").response()

    @app.exception_handler(HTTPException)
    async def refuse(_: Request, error: HTTPException) -> Response:
        code = {404: "no_such_address", 405: "no_such_method"}.get(error.status_code, "refused")
        return RefusedError(error.status_code, code, str(error.detail), **(error.headers or {})).response()

    if token is not None:
        app.add_middleware(Guard, token=token)
    app.add_middleware(Drained)  # around all others
    return app


def _add_predictions(app: FastAPI, service: Service) -> None:
    documented: dict[str, Any] = {
        "response_class": JSONResponse,
        "response_model": Prediction,
        "responses": {
            200: {"content": {"image/png": {}, "image/jpeg": {}}},
            **{status: {"model": Refusal, "description": text} for status, text in REFUSALS.items()},
        },
        "openapi_extra": BODY,
    }

    @app.post("/predict", summary="Ask the first model", **documented)
    async def predict(request: Request, options: Annotated[Options, Query()]) -> Response:
        return await service.predict(None, request, options)

    @app.post("/models/{name}/predict", summary="Ask a model by name", **documented)
    async def predict_by_name(name: str, request: Request, options: Annotated[Options, Query()]) -> Response:
        return await service.predict(name, request, options)


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/models", summary="What can be asked", response_model=list[Described])
    async def models() -> Any:
        return [
            Described(
                name=model.name,
                ready=model.ready is not None,
                class_names=list(model.facts.class_names),
                category_ids=list(model.facts.coco_ids),
                runtime=model.facts.runtime,
            )
            for model in service.models.values()
            if model.facts is not None
        ]

    @app.head("/health", include_in_schema=False)
    @app.get("/health", summary="Whether the server runs")
    async def health() -> dict[str, str]:
        return {"status": "up"}

    @app.head("/ready", include_in_schema=False)
    @app.get("/ready", summary="Whether all models answer", responses={503: {"description": "not now"}})
    async def ready() -> Response:
        missing = [model.name for model in service.models.values() if model.ready is None]
        if service.is_stopping or missing:
            return as_json({"status": "stopping" if service.is_stopping else "starting", "missing": missing}, 503)
        return as_json({"status": "ready", "missing": []})

    @app.head("/metrics", include_in_schema=False)
    @app.get("/metrics", summary="Figures for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


class Guard:
    """Lets requests pass that know the token, before anything of their bodies is read."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        is_known = hmac.compare_digest(given, self._expected)  # takes as long for any wrong one
        if scope["type"] != "http" or scope["path"] in OPEN or is_known:
            await self._app(scope, receive, send)
            return
        message = "the token is missing or wrong; send the header Authorization: Bearer TOKEN"
        refused = RefusedError(401, "no_token", message, **{"WWW-Authenticate": "Bearer", "Connection": "close"})
        await refused.response()(scope, receive, send)


def _wish(options: Options, model: Model, limits: Limits) -> Wish:
    known = model.facts.class_names if model.facts is not None else ()
    unknown = [name for name in options.classes or () if name not in known]
    if unknown:
        raise RefusedError(400, "bad_option", f"classes: {unknown[0][:100]!r} is no class of {model.name}")
    return Wish(
        score_threshold=options.score_threshold,
        top_k=options.top_k,
        classes=None if options.classes is None else tuple(options.classes),
        crop=options.crop,
        form=options.format,
        tolerance=options.tolerance,
        most_pixels=int(limits.megapixels * 1e6),
    )


def _joined(model: str, uploads: list[Upload], answers: list[Answer]) -> bytes:
    """One JSON object of the objects that the process wrote, which are not read again."""
    entries = []
    for upload, answer in zip(uploads, answers, strict=True):
        name = json.dumps(upload.name).encode()
        if answer.refusal is None:
            entries.append(b'{"name":' + name + b"," + answer.body[1:])
        else:
            flaw = {"code": answer.refusal, "message": answer.body.decode(errors="replace")}
            entries.append(b'{"name":' + name + b',"error":' + json.dumps(flaw).encode() + b"}")
    return b'{"model":' + json.dumps(model).encode() + b',"images":[' + b",".join(entries) + b"]}"
