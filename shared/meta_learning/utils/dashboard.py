"""The report of an experiment as one HTML page: styles and figures inside, no script, nothing fetched."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Iterator, Mapping
from string import Template
from typing import TYPE_CHECKING, Any

from meta_learning.utils.dashboard_figures import figures_of
from meta_learning.utils.figures import drawing
from meta_learning.utils.plain import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CARD_CHARS_MAX = 60
CELL_CHARS_MAX = 26
SENTENCE_CHARS_MAX = 400  # what has spaces can be folded
OPEN_ROWS_MAX = 12
PROSE = ("reason", "verdict", "conclusion")
PROMPTS = ("initial_prompt", "best_prompt", "hand_written_prompt")
_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title><style>
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1d2330; background: #f4f6f9; margin: 0; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 20px; margin: 36px 0 10px; }
p.prose { max-width: 80ch; margin: 6px 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(170px, 1fr)); gap: 10px; margin: 14px 0; }
.card { background: #fff; border: 1px solid #dfe3ea; border-radius: 8px; padding: 10px 12px; overflow-wrap: anywhere; }
.card b { display: block; font-size: 18px; } .card span { color: #5a6474; font-size: 13px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 500px), 1fr)); gap: 14px; align-items: start; }
figure:only-child { max-width: 640px; }
figure { margin: 0; background: #fff; border: 1px solid #dfe3ea; border-radius: 8px; padding: 10px; }
figure img { width: 100%; height: auto; display: block; }
pre { background: #fff; border: 1px solid #dfe3ea; border-radius: 8px; padding: 12px; white-space: pre-wrap; overflow-wrap: anywhere; }
table { border-collapse: collapse; background: #fff; font-variant-numeric: tabular-nums; }
th, td { border: 1px solid #dfe3ea; padding: 5px 10px; text-align: left; } td.number { text-align: right; }
.wide { overflow-x: auto; margin: 10px 0; } details { margin: 10px 0; } summary { cursor: pointer; color: #33507a; }
@media print { body { background: #fff; } figure { break-inside: avoid; } }
</style></head><body><main>
<h1>$title</h1>
$body
</main></body></html>
""")


def page(results: Mapping[str, Any]) -> str:
    """The page; draw inside `drawing.styled`."""
    said: dict[str, Any] = plain(results)
    loop = f"Loop {said['loop']}" if isinstance(said.get("loop"), str) else ""
    title = str(said.get("title") or said.get("experiment") or said.get("dataset_name") or loop or "Experiment")
    return _PAGE.substitute(title=html.escape(title), body="\n".join(_section(said)))


def _section(facts: Mapping[str, Any]) -> Iterator[str]:
    for name in PROSE:
        if isinstance(facts.get(name), str):
            yield f'<p class="prose">{html.escape(facts[name])}</p>'
    yield _cards(facts)
    drawn = [_figure(name, draw) for name, draw in figures_of(facts)]
    if drawn:
        yield f'<div class="figures">{"".join(drawn)}</div>'
    for name, value in facts.items():
        if name in PROMPTS and isinstance(value, str):
            yield f"<details><summary>{_words(name)}</summary><pre>{html.escape(value)}</pre></details>"
        elif _is_table(value):
            yield _table(name, value)
    for name, value in facts.items():
        if isinstance(value, Mapping) and _has_figures(value):
            yield f"<h2>{_words(name)}</h2>"
            yield from _section(value)
    raw = html.escape(json.dumps(facts, ensure_ascii=False, indent=1))
    yield f"<details><summary>all numbers</summary><pre>{raw}</pre></details>"


def _has_figures(facts: Mapping[str, Any]) -> bool:
    """Here, or one floor down: a study's groups have none of their own, each of them has."""
    floors = [facts, *(value for value in facts.values() if isinstance(value, Mapping))]
    return any(True for floor in floors for _ in figures_of(floor))


def _cards(facts: Mapping[str, Any]) -> str:
    short = {
        name: value for name, value in facts.items() if _is_short(value) and name not in (*PROSE, *PROMPTS, "title")
    }
    cards = "".join(
        f'<div class="card"><span>{_words(name)}</span><b>{_shown(value)}</b></div>' for name, value in short.items()
    )
    return f'<div class="cards">{cards}</div>' if cards else ""


def _figure(name: str, draw: Callable[[], Figure]) -> str:
    # As an image of its own: inlined, the ids inside two drawings would get in each other's way.
    drawing_bytes = base64.b64encode(drawing.encoded(draw(), "svg")).decode()
    return f'<figure><img alt="{html.escape(name)}" src="data:image/svg+xml;base64,{drawing_bytes}"></figure>'


def _is_table(value: Any) -> bool:
    rows = value if isinstance(value, list) else []
    return 0 < len(rows) <= 60 and all(isinstance(row, Mapping) for row in rows) and "iteration" not in rows[0]


def _table(name: str, rows: list[Mapping[str, Any]]) -> str:
    columns = [
        one for one in dict.fromkeys(key for row in rows for key in row) if any(_is_cell(row.get(one)) for row in rows)
    ]
    head = "".join(f"<th>{_words(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(_cell(row.get(column)) for column in columns) + "</tr>" for row in rows)
    table = f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
    if len(rows) > OPEN_ROWS_MAX:
        return f"<details><summary>{_words(name)}: {len(rows)} rows</summary>{table}</details>"
    return f"<h3>{_words(name)}</h3>{table}"


def _cell(value: Any) -> str:
    kind = ' class="number"' if isinstance(value, int | float) and not isinstance(value, bool) else ""
    if isinstance(value, str):
        chars_max = SENTENCE_CHARS_MAX if " " in value[:CELL_CHARS_MAX] else CELL_CHARS_MAX
        value = value[:chars_max] + "…" * (len(value) > chars_max)
    return f"<td{kind}>{_shown(value) if _is_cell(value) or value is None else '…'}</td>"


def _is_cell(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _is_short(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and len(value) <= CARD_CHARS_MAX)


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return html.escape(
        f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value
    )


def _words(name: str) -> str:
    return html.escape(name.replace("_", " "))
