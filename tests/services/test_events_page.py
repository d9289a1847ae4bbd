"""`docs/asyncapi.yaml` and `docs/events.md` say what the event classes say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.generate.events import ROOT, ROUTES, STREAMS, event_types, files


def published() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text(encoding="utf-8"))
    return loaded


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolved(root: Any, reference: str) -> Any:
    """What a local reference points to; a reference may lead to another one."""
    node = root
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
        while isinstance(node, dict) and set(node) == {"$ref"}:
            node = resolved(root, node["$ref"])
    return node


@pytest.mark.parametrize("path", list(files()), ids=lambda path: path.name)
def test_the_generated_file_is_current(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == files()[path], "run `python -m docs.generate.events`"


def test_every_event_has_a_route() -> None:
    assert set(ROUTES) == set(event_types())


def test_every_reference_of_the_document_leads_somewhere() -> None:
    document = published()
    found = list(references(document))
    assert len(found) >= 3 * len(event_types())
    for reference in found:
        assert resolved(document, reference)


def test_each_message_describes_the_event_of_its_name() -> None:
    document = published()
    for kind in event_types():
        channel = document["channels"][ROUTES[kind][0]]
        schema = resolved(channel["messages"] | document, f"#/components/schemas/{kind.__name__}")
        assert kind.__name__ in channel["messages"]
        assert set(schema["properties"]) == set(kind.model_fields)
        assert schema["properties"]["type"]["const"] == kind.__name__
    assert set(document["channels"]) == set(STREAMS)
