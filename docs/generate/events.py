"""Write `docs/asyncapi.yaml` and the field tables of `docs/events.md` from the event classes: `python -m docs.generate.events`.

The document follows AsyncAPI 3.0.0. The classes are the only place where an event is described; a test compares.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic.json_schema import models_json_schema

from meta_learning import events
from meta_learning.events import Event

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- fields: begin -->", "<!-- fields: end -->"
# Which stream an event travels on, who puts it there, who reads it.
ROUTES: dict[type[Event], tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    events.FeedbackReceived: ("feedback", ("ingest",), ("trainer", "monitor")),
    events.PromoteModel: ("feedback", ("monitor",), ("trainer",)),
    events.CycleCompleted: ("events", ("trainer",), ("monitor",)),
    events.ModelPromoted: ("events", ("trainer",), ("monitor",)),
    events.EvolutionRequested: ("events", ("monitor",), ("evolver", "monitor")),
    events.EvolutionCancelRequested: ("events", ("monitor",), ("evolver", "monitor")),
    events.EvolutionProgressed: ("events", ("evolver",), ("monitor",)),
    events.EvolutionCompleted: ("events", ("evolver",), ("monitor",)),
    events.PromptPromoted: ("events", ("evolver", "monitor"), ("monitor",)),
}
STREAMS = {
    "feedback": "What comes in: feedback, and the commands that must be folded in order with it.",
    "events": "What the system says: cycles, promotions, and the life of evolutions.",
}
DESCRIPTION = (
    "An event lies as JSON in the field `body` of a stream entry, beside `type` and (when there is one) `traceparent`. "
    "A reader ignores fields that it does not know. `partition` is `crc32(loop) % partitions`, written `{p0}`, `{p1}`, … "
    "with its braces: they are the hash tag that keeps a partition in one slot of a cluster. Texts hold at most 32 KiB "
    "of UTF-8, metadata at most 4 KiB of JSON. Most programs never read the streams: feedback comes in through the HTTP "
    "door of ingest, and what happened is told by the monitor."
)


def event_types() -> list[type[Event]]:
    """Every event that `decode` knows, in the order of the module."""
    return list(get_args(get_args(events.AnyEvent)[0]))


def schemas() -> dict[str, Any]:
    """JSON schema of each event, by name."""
    _, found = models_json_schema(
        [(kind, "validation") for kind in event_types()], ref_template="#/components/schemas/{model}"
    )
    plain = {kind.__name__: _plain(found["$defs"][kind.__name__]) for kind in event_types()}
    for schema in plain.values():
        schema["required"].append("type")  # it has a default in Python, but a reader finds the class by it
    return plain


def _plain(node: Any, is_schema: bool = True) -> Any:
    """The schema without titles: they repeat the names. A *property* called title would stay."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _plain(value, is_schema=key != "properties")
        for key, value in node.items()
        if not (is_schema and key == "title")
    }


def document() -> dict[str, Any]:
    """The AsyncAPI document."""
    names = [kind.__name__ for kind in event_types()]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "The event log", "version": "1.0.0", "description": DESCRIPTION, "license": {"name": "MIT"}},
        "defaultContentType": "application/json",
        "channels": {stream: _channel(stream, sentence) for stream, sentence in STREAMS.items()},
        "operations": dict(_operations()),
        "components": {"messages": {name: _message(name) for name in names}, "schemas": schemas()},
    }


def _channel(stream: str, sentence: str) -> dict[str, Any]:
    travelling = [kind.__name__ for kind, (home, _, _) in ROUTES.items() if home == stream]
    return {
        "address": f"meta_learning:{{partition}}:{stream}",
        "description": sentence,
        "parameters": {"partition": {"description": "The partition with its braces, say {p3}."}},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in travelling},
    }


def _message(name: str) -> dict[str, Any]:
    summary = (getattr(events, name).__doc__ or "").strip().split("\n")[0]
    return {"name": name, "summary": summary, "payload": {"$ref": f"#/components/schemas/{name}"}}


def _operations() -> list[tuple[str, dict[str, Any]]]:
    services = sorted({service for _, senders, readers in ROUTES.values() for service in senders + readers})
    found = []
    for service in services:
        for stream in STREAMS:
            for action, place in (("send", 1), ("receive", 2)):
                names = [k.__name__ for k, route in ROUTES.items() if route[0] == stream and service in route[place]]
                if names:
                    found.append((f"{service}_{action}_{stream}", _operation(action, stream, names)))
    return found


def _operation(action: str, stream: str, names: list[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{stream}"},
        "messages": [{"$ref": f"#/channels/{stream}/messages/{name}"} for name in names],
    }


def asyncapi_yaml() -> str:
    """The text of `docs/asyncapi.yaml`."""
    head = "# Made by `python -m docs.generate.events` from shared/meta_learning/events.py; do not edit by hand.\n"
    return head + yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=120)


def field_tables() -> str:
    """The part of `docs/events.md` between the two marks."""
    return "\n".join(_table(name, schema) for name, schema in schemas().items())


def _table(name: str, schema: dict[str, Any]) -> str:
    kind = getattr(events, name)
    stream, senders, readers = ROUTES[kind]
    rows = [
        f"| `{field}` | {_type(rule)} | {'yes' if field in schema['required'] else 'no'} |"
        for field, rule in schema["properties"].items()
        if field not in {"event_id", "schema_version", "occurred_at", "type"}
    ]
    said = " ".join((kind.__doc__ or "").split()).replace("``", "`")
    route = f"Stream `{stream}`, from {' and '.join(senders)}, for {' and '.join(readers)}."
    return "\n".join(
        [f"### {name}", "", said, "", route, "", "| field | type | required |", "|---|---|---|", *rows, ""]
    )


def _type(rule: dict[str, Any]) -> str:
    if "anyOf" in rule:
        return _type(next(part for part in rule["anyOf"] if part.get("type") != "null"))
    if "enum" in rule:
        return str(" · ".join(f"`{value}`" for value in rule["enum"]))
    if rule["type"] == "array":
        return f"list of {_type(rule['items'])}"
    signs = (("minimum", "≥ "), ("exclusiveMinimum", "> "), ("maximum", "≤ "), ("minLength", "length ≥ "))
    bounds = [f"{sign}{rule[key]:g}" for key, sign in (*signs, ("maxLength", "length ≤ ")) if key in rule]
    bounds += [f"`{rule['pattern']}`"] if "pattern" in rule else []
    return ", ".join([str(rule["type"]), *bounds])


def events_page() -> str:
    """The text of `docs/events.md` with fresh tables between its marks."""
    page = (ROOT / "docs/events.md").read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{field_tables()}\n{END}{rest.partition(END)[2]}"


def files() -> dict[Path, str]:
    """What this program writes."""
    return {ROOT / "docs/asyncapi.yaml": asyncapi_yaml(), ROOT / "docs/events.md": events_page()}


def main() -> None:
    """Write both files."""
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "shared")]
    main()
