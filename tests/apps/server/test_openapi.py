"""The server keeps to what its OpenAPI page says: schemathesis makes requests from it, and judges the answers."""

import importlib
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from locations import ROOT
from served import jpeg
from yolact.apps.server import uploads
from yolact.apps.server.app import Service, build
from yolact.apps.server.limits import Limits
from yolact.apps.server.metrics import Metrics

schemathesis = pytest.importorskip("schemathesis")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def schema() -> Any:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        model = importlib.import_module("fuzzed.requests").stand_in()
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uploads, "DRAINED_FOR", 0.0)
        app = build(Service({"small": model}, Limits(), Metrics()))
        yield schemathesis.openapi.from_asgi("/openapi.json", app)


def validate(case: Any) -> None:
    # No schema can say which bytes are a JPEG: a request may be right by it and refused all the same.
    case.call_and_validate(excluded_checks=[schemathesis.checks.positive_data_acceptance])


def test_answers_are_those_that_the_page_promises(schema: Any):
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))  # pyright: ignore[reportArgumentType]
        @given(case=operation.as_strategy())
        def go(case: Any) -> None:
            nonlocal tried
            tried += 1
            validate(case)

        go()
    assert tried > 80


@pytest.mark.parametrize("form", ["rle", "polygons", "png", "picture"])
def test_so_are_those_with_instances(schema: Any, form: str):
    operation = schema["/predict"]["POST"]
    case = operation.Case(query={"format": form}, body=jpeg(0), media_type="application/octet-stream")
    assert case.call().status_code == 200
    validate(case)
