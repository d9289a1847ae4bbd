"""A summary for notebooks: cards with the three scores, one self-contained piece of HTML in light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from meta_learning.clrs.summary import reading

STYLE = """
.mll{font:14px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif;font-variant-numeric:tabular-nums;max-width:60rem;
 padding-bottom:.8em;color:var(--ink);
 --ink:#22262a;--soft:#66707a;--rim:#dedbd3;--card:#fff;--good:#2f6f60;--bad:#a33a32;--warn:#9a5b12}
@media(prefers-color-scheme:dark){
 .mll{--ink:#e6e4df;--soft:#98a1a8;--rim:#3a4146;--card:#1d2124;--good:#74bda9;--bad:#e58a80;--warn:#e0aa62}}
.mll .head{margin:0 0 .6em;color:var(--soft)}.mll .head b{color:var(--ink)}
.mll .cards{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:.7em}
.mll .card{background:var(--card);border:1px solid var(--rim);border-radius:.6em;padding:.6em .8em .5em}
.mll .name{display:flex;justify-content:space-between;gap:.5em;color:var(--soft);font-size:.9em}
.mll .figure{font-size:1.8em;font-weight:600;line-height:1.3}
.mll .figure.none{font-size:1.1em;line-height:2.13;color:var(--soft);font-weight:500}
.mll .small{color:var(--soft);font-size:.85em}.mll svg{display:block;width:100%;height:3em;margin-top:.4em;overflow:visible}
.mll .good{color:var(--good)}.mll .bad{color:var(--bad)}.mll .warn{color:var(--warn)}
.mll dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.15em 1em;margin:.8em 0 0}
.mll dt{color:var(--soft);margin:0;font-weight:400}.mll dd{margin:0;overflow-wrap:anywhere}
"""
WORDS = {"aligned": "good", "misaligned": "bad", "undecided": "", "quiet": "good"}
WIDTH, HEIGHT = 100.0, 30.0


def html_of(summary: Mapping[str, Any]) -> str:
    """The whole piece; every text is escaped, nothing is loaded, nothing runs."""
    head = f'<p class="head"><b>{escape(str(summary.get("loop", "")))}</b> · {escape(reading.headline(summary))}</p>'
    cards = "".join(_card(name, summary) for name in reading.SCORES if summary.get(name))
    rows = [(name, said, "") for name, said in reading.facts(summary)]
    rows += [(f"pattern: {name}", said, "warn") for name, said in reading.findings(summary)]
    rows += [(f"alarm: {name}", said, "") for name, said in reading.alarms(summary)]
    listed = "".join(f'<dt>{escape(name)}</dt><dd class="{kind}">{escape(said)}</dd>' for name, said, kind in rows)
    return f'<style>{STYLE}</style><div class="mll">{head}<div class="cards">{cards}</div><dl>{listed}</dl></div>'


def _card(name: str, summary: Mapping[str, Any]) -> str:
    score = summary[name]
    is_known = score.get("current") is not None
    figure = f"{score['current']:.2f}" if is_known else "collecting"
    word = reading.state_of(name, score).split(" (")[0]
    kind = WORDS.get(word, "bad" if word else "")
    under = " · ".join(part for part in (reading.interval_of(score), f"n = {score.get('n', 0):,}") if part)
    drawn = _line(summary, name, score.get("threshold"))
    return (
        f'<div class="card"><div class="name"><span>{name}</span><span class="{kind}">{escape(word)}</span></div>'
        f'<div class="figure{"" if is_known else " none"}">{figure}</div><div class="small">{under}</div>{drawn}</div>'
    )


def _line(summary: Mapping[str, Any], name: str, threshold: float | None) -> str:
    """The history as a line over its intervals, the threshold dashed."""
    lines = summary.get("history") or []
    bounds = [(line.get("intervals") or {}).get(name) or [None, None] for line in lines]
    values = reading.history(summary, name)
    band = [_points(values, [high for _, high in bounds]), _points(values, [low for low, _ in bounds])[::-1]]
    parts = [
        f'<line x1="0" x2="{WIDTH}" y1="{HEIGHT}" y2="{HEIGHT}" stroke="var(--rim)" vector-effect="non-scaling-stroke"/>'
    ]
    if band[0]:
        parts.append(f'<polygon points="{" ".join(band[0] + band[1])}" fill="var(--good)" opacity=".16"/>')
    if threshold is not None:
        y = HEIGHT * (1 - threshold)
        dashes = 'stroke="var(--soft)" stroke-dasharray="3 4" vector-effect="non-scaling-stroke"'
        parts.append(f'<line x1="0" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}" {dashes}/>')
    if points := _points(values, values):
        stroke = 'fill="none" stroke="var(--good)" stroke-width="1.6" vector-effect="non-scaling-stroke"'
        parts.append(f'<polyline points="{" ".join(points)}" {stroke}/>')
    label = f'role="img" aria-label="{name} over the last {len(lines)} cycles"'
    return f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" preserveAspectRatio="none" {label}>{"".join(parts)}</svg>'


def _points(values: Sequence[float | None], heights: Sequence[float | None]) -> list[str]:
    step = WIDTH / max(len(values) - 1, 1)
    return [
        f"{index * step:.1f},{HEIGHT * (1 - height):.1f}"
        for index, (value, height) in enumerate(zip(values, heights, strict=True))
        if value is not None and height is not None
    ]
