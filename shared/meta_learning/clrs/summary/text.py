"""A summary for the terminal: a line for each score with its interval and history, then what else is to be said."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from meta_learning.clrs.summary import reading

BLOCKS = "▁▂▃▄▅▆▇█"
CYCLES_SHOWN = 20
WIDTH = 108
INDENT = 11


def sparkline(values: Sequence[float | None]) -> str:
    """Numbers in [0, 1] as blocks of eight heights; a dot where there is none.

    >>> sparkline([None, 0.0, 0.5, 1.0])
    '·▁▅█'
    """
    return "".join("·" if value is None else BLOCKS[min(int(value * len(BLOCKS)), len(BLOCKS) - 1)] for value in values)


def text_of(summary: Mapping[str, Any]) -> str:
    """The whole text; no line is longer than 108 characters, and none holds a control character."""
    parts = [_clean(f"loop {summary.get('loop', '')} · {reading.headline(summary)}")]
    scores = [name for name in reading.SCORES if summary.get(name)]
    if scores:
        parts += ["", *(_score(name, summary) for name in scores), ""]
    parts += [line for name, said in reading.facts(summary) for line in _wrapped(name, said)]
    for title, found in (("patterns", reading.findings(summary)), ("alarms", reading.alarms(summary))):
        if found:
            parts += ["", *(line for told in found for line in _wrapped(title, f"{told[0]}: {told[1]}"))]
    return "\n".join(parts).rstrip()


def _score(name: str, summary: Mapping[str, Any]) -> str:
    score = summary[name]
    figure = "collecting" if score.get("current") is None else f"{score['current']:.2f}"
    line = sparkline(reading.history(summary, name)[-CYCLES_SHOWN:])
    said = (
        f"{name:<{INDENT}}{figure:<11}{reading.interval_of(score):<12} n {score.get('n', 0):<7,} {line:<{CYCLES_SHOWN}}"
    )
    return _clean(f"{said}  {reading.state_of(name, score)}").rstrip()


def _wrapped(name: str, said: str) -> list[str]:
    return textwrap.wrap(_clean(f"{name:<{INDENT}}{said}"), WIDTH, subsequent_indent=" " * INDENT) or [name]


def _clean(text: str) -> str:
    """Words of users must not move the cursor."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
