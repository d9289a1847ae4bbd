"""The feedback doors in the OpenAPI document: they stand in front of the framework, so it cannot describe them itself."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from services.ingest.door import Bounds
from services.ingest.items import Offered

ANSWERS = """\
An answer of 2xx comes only after the broker has the event. `outcome` says what became of each item:

| outcome | status | what to do |
|---|---|---|
| `accepted` | 202 | nothing |
| `duplicate` | 200 | nothing: it was taken before, `entry_id` says where |
| `conflict` | 409 | choose another `event_id`: this one was used for other content |
| `too_many_loops` | 422 | use an existing loop, or ask the operator for more |
| `back_pressure` | 429 | send again after `Retry-After`: readers must catch up first |
| `invalid` | 4xx | mend the item: `field` and `detail` say where |
| `unknown` | 503 | send again with the same `event_id`: the broker broke off while taking it |
| `not_sent` | 503 | send again: the broker broke off before it |

A batch answers 200 when every item was accepted or is a duplicate, 207 when some were, 422 when none was (429 with
back-pressure among the causes), and 503 when the broker broke off.
"""
EXAMPLE = {
    "loop": "support",
    "input_text": "Where is my parcel?",
    "output_text": "It arrives tomorrow before noon.",
    "feedback_score": 1.0,
    "metadata": {"source": "user"},
}


def describe_feedback_doors(app: FastAPI, bounds: Bounds) -> None:
    """Make ``app``'s OpenAPI document name the two doors beside the framework's own routes."""
    routes_only = app.openapi

    def openapi() -> dict[str, Any]:
        document = routes_only()
        if "/v1/feedback" not in document["paths"]:
            document["paths"] = _paths(bounds) | document["paths"]
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas |= _schemas()
            document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _paths(bounds: Bounds) -> dict[str, Any]:
    ndjson = {"schema": {"type": "string"}, "example": '{"loop": "support", …}\n{"loop": "support", …}\n'}
    many = {"type": "array", "items": _ref("Feedback"), "minItems": 1, "maxItems": bounds.batch_items_max}
    return {
        "/v1/feedback": {
            "post": _operation(
                "Send one piece of feedback",
                {"application/json": {"schema": _ref("Feedback"), "example": EXAMPLE}},
                {"202": ("Accepted: the broker has it", "Taken"), "200": ("It was taken before", "Taken")}
                | _problems("400 401 403 408 409 413 415 422 429 503"),
            )
        },
        "/v1/feedback/batch": {
            "post": _operation(
                f"Send up to {bounds.batch_items_max} pieces of feedback, at most {bounds.batch_bytes_max} bytes",
                {"application/json": {"schema": many, "example": [EXAMPLE]}, "application/x-ndjson": ndjson},
                {
                    "200": ("Every item was accepted or is a duplicate", "BatchTaken"),
                    "207": ("Some items were not taken; each says why", "BatchTaken"),
                }
                | _problems("400 401 403 408 413 415 422 429 503"),
            )
        },
    }


def _operation(summary: str, content: dict[str, Any], answers: dict[str, tuple[str, str]]) -> dict[str, Any]:
    responses = {
        status: {
            "description": description,
            "content": {
                "application/problem+json" if schema == "Problem" else "application/json": {"schema": _ref(schema)}
            },
        }
        for status, (description, schema) in answers.items()
    }
    return {
        "tags": ["Feedback"],
        "summary": summary,
        "description": ANSWERS,
        "security": [{}, {"key": []}],
        "requestBody": {"required": True, "content": content},
        "responses": responses,
    }


def _problems(statuses: str) -> dict[str, tuple[str, str]]:
    return dict.fromkeys(statuses.split(), ("The problem names the field where there is one", "Problem"))


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas() -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string"}
    number: dict[str, Any] = {"type": "integer"}
    said = {"identity_window_s": number, "durability": {"enum": ["memory", "everysec", "fsync"]}}
    one = {"event_id": text, "outcome": text, "entry_id": text, "ignored": {"type": "array", "items": text}}
    item = one | {"index": number, "field": text, "detail": text}
    return {
        "Feedback": Offered.model_json_schema(ref_template="#/components/schemas/{model}"),
        "Taken": {"type": "object", "properties": one | said},
        "BatchTaken": {
            "type": "object",
            "properties": said
            | {
                "counts": {"type": "object", "additionalProperties": number},
                "items": {"type": "array", "items": {"type": "object", "properties": item}},
            },
        },
    }
