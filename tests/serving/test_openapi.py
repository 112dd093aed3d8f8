"""The OpenAPI description holds: what schemathesis generates from it never breaks the service."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

pytestmark = pytest.mark.slow

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
EXAMPLES = 8


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_route(live: httpx.Client, mode: GenerationMode) -> None:
    """No 5xx; statuses, types and bodies are as described; anything else is rejected."""
    described = schemathesis.openapi.from_url(f"{live.base_url}/openapi.json")
    tried = 0
    for result in described.get_all_operations():
        operation = result.ok()

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
        )
        def check(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)

        try:
            check()
        except Unsatisfiable:
            continue  # a route without parameters has no invalid request
        tried += 1
    assert tried >= 4


def test_description(live: httpx.Client) -> None:
    """Every route is documented, has errors of one shape, and no 422."""
    description = live.get("/openapi.json").json()
    for path, operations in description["paths"].items():
        for operation in operations.values():
            assert operation["description"], path
            assert "422" not in operation["responses"], path
            for status in ("400", "401", "503"):
                content = operation["responses"][status]["content"]
                assert {"application/json", "text/plain"} >= set(content), path
