"""What the server says, as types: for the OpenAPI page, and for whoever reads answers."""

import json
from typing import Annotated, Any, Literal

from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from yolact.config import CropKind

BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"images": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            },
        },
    }
}


class RunLengths(BaseModel):
    """COCO's run-length code, which pycocotools and faster-coco-eval decode."""

    size: tuple[int, int] = Field(description="height and width")
    counts: str


class Instance(BaseModel):
    """One object."""

    category_id: int
    category_name: str
    score: float = Field(description="class probability, 0 to 1")
    mask_score: float = Field(description="the score times the predicted quality of the mask, where the model has one")
    bbox: tuple[float, float, float, float] = Field(description="x, y, width, height in pixels")
    area: int = Field(description="pixels of the mask")
    segmentation: RunLengths | list[list[float]] = Field(description="run lengths, or polygons as x, y, x, y, ...")


class Found(BaseModel):
    """What is in one photograph."""

    name: str | None = Field(description="of the uploaded file")
    width: int
    height: int
    instances: list[Instance] = Field(description="best first")


class Flaw(BaseModel):
    code: str = Field(description="for programs")
    message: str = Field(description="for people")


class Unread(BaseModel):
    """A photograph among several that could not be answered."""

    name: str | None
    error: Flaw


class Prediction(BaseModel):
    """One entry a photograph, in the order of the request."""

    model: str
    images: list[Found | Unread]


class Refusal(BaseModel):
    """A request that was not answered."""

    error: Flaw


class Described(BaseModel):
    """A model of this server."""

    name: str
    ready: bool
    class_names: list[str]
    category_ids: list[int]
    runtime: str


class Options(BaseModel):
    """What a request may ask for."""

    model_config = ConfigDict(extra="forbid")

    score_threshold: Annotated[float, Field(ge=0, le=1, description="keep what scores above this")] = 0.15
    top_k: Annotated[int, Field(ge=1, le=1000, description="keep at most so many a photograph")] = 100
    classes: Annotated[list[str] | None, Field(description="keep these classes only; may be repeated")] = None
    crop: Annotated[CropKind | None, Field(description="how masks are cut")] = None
    format: Annotated[
        Literal["rle", "polygons", "png", "picture"],
        Field(
            description="masks as run lengths or polygons in JSON; png: a label map, 0 background, i the i-th instance,"
            " which are described in its text chunk `yolact`; picture: a JPEG with the masks drawn in"
        ),
    ] = "rle"
    tolerance: Annotated[float, Field(ge=0, le=100, description="pixels by which polygons may deviate")] = 0.5


class RefusedError(Exception):
    """A request is answered with this status and message instead."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers

    def response(self) -> Response:
        return as_json({"error": {"code": self.code, "message": self.message}}, self.status, self.headers)


def as_json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(content), status, headers, media_type="application/json")
