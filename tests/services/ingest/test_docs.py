"""`/docs` and the OpenAPI document: drawn without another host, readable, and true about errors."""

from __future__ import annotations

import re
from typing import Any

from meta_learning.streams import Taken
from services.ingest.contract import ANSWERS
from tests.services.ingest.serving import Door


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for methods in document["paths"].values() for operation in methods.values()]


def test_the_docs_page_and_all_it_loads_come_from_this_service(memory_door: Door) -> None:
    page = memory_door.http.get("/docs")
    assert page.status_code == 200
    assert "script-src 'self';" in page.headers["content-security-policy"]
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) >= 4
    for address in loaded:
        assert address.startswith("/")
        answer = memory_door.http.get(address)
        assert (answer.status_code, bool(answer.content)) == (200, True)
    assert "<script>" not in page.text


def test_the_root_leads_to_the_docs(memory_door: Door) -> None:
    answer = memory_door.http.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


def test_every_422_of_the_document_is_a_problem(memory_door: Door) -> None:
    document = memory_door.http.get("/openapi.json").json()
    declared = [found["responses"]["422"] for found in operations(document) if "422" in found["responses"]]
    assert len(declared) >= 4
    assert {name for answer in declared for name in answer["content"]} == {"application/problem+json"}
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_the_feedback_doors_are_described_in_prose_with_every_outcome(memory_door: Door) -> None:
    document = memory_door.http.get("/openapi.json").json()
    said = document["paths"]["/v1/feedback"]["post"]["description"]
    assert said == ANSWERS
    assert "```" not in said
    assert {name for name in [*Taken, "invalid", "unknown", "not_sent"] if f"`{name}`" not in said} == set()
