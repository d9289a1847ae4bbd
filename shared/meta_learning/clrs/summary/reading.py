"""What the text and the notebook both say of a summary; every part may be missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SCORES = ("drift", "alignment", "coherence")
VERSION_CHARS = 8
ALARMS_SHOWN = 5


def headline(summary: Mapping[str, Any]) -> str:
    """Cycles, events and the champion in one line."""
    champion = summary.get("champion_version")
    since = next((v["cycle"] for v in reversed(summary.get("versions") or []) if v["version"] == champion), None)
    told = "no champion yet" if champion is None else f"champion {str(champion)[:VERSION_CHARS]}"
    if since is not None:
        told += f" since cycle {since}"
    return f"{counted(summary.get('cycles', 0), 'cycle')} · {counted(summary.get('events', 0), 'event')} · {told}"


def counted(count: int, word: str) -> str:
    """A number with its noun.

    >>> counted(1, "cycle"), counted(1200, "event")
    ('1 cycle', '1,200 events')
    """
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def state_of(name: str, score: Mapping[str, Any]) -> str:
    """One word on a score, and the threshold it stands against; empty where there is none."""
    word = score.get("state") or ""
    if name == "drift" and score.get("current") is not None:
        word = f"drifting by {score.get('set_by')}" if score.get("drifted") else "quiet"
    threshold = score.get("threshold")
    return f"{word} (threshold {threshold:.2f})" if word and threshold is not None else word


def interval_of(score: Mapping[str, Any]) -> str:
    """The interval of a score; empty while it is collecting."""
    if score.get("current") is None or score.get("low") is None:
        return ""
    return f"{score['low']:.2f} … {score['high']:.2f}"


def facts(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The lines below the scores, each with its name; only those that say something."""
    found = [
        ("cycles", _listed(summary.get("decisions") or {})),
        ("feedback", _listed(summary.get("counts") or {})),
        ("alignment", _alignment(summary.get("alignment") or {})),
        ("coherence", _coherence(summary.get("coherence") or {})),
    ]
    return [(name, said) for name, said in found if said]


def findings(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The active patterns: name and since when, and the sentence."""
    active = (summary.get("patterns") or {}).get("active") or []
    return [
        (f"{found['name'].replace('_', ' ')} since cycle {found['since_cycle']}", found["sentence"]) for found in active
    ]


def alarms(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The last alarms, newest first."""
    last = (summary.get("alarms") or [])[-ALARMS_SHOWN:]
    return [(f"cycle {alarm['cycle']}", str(alarm["sentence"])) for alarm in reversed(last)]


def history(summary: Mapping[str, Any], name: str) -> list[float | None]:
    """One score over the last cycles."""
    return [line.get(name) for line in summary.get("history") or []]


def _listed(counts: Mapping[str, int]) -> str:
    return " · ".join(f"{count:,} {name}" for name, count in counts.items())


def _alignment(score: Mapping[str, Any]) -> str:
    if score.get("concordance") is None:
        return ""
    pairs = "pairs of one user" if score.get("basis") == "within_users" else "all pairs"
    parts = [f"{score['concordance']:.0%} of {pairs} in the users' order"]
    if score.get("ceiling_source") != "unknown":
        parts.append(f"humans {score['ceiling']:.0%} ({score['ceiling_source']})")
    if worst := score.get("worst_segment"):
        parts.append(f"worst segment {worst['segment']} {worst['current']:.2f}, at least {worst['low']:.2f}")
    if score.get("calibration_error") is not None:
        parts.append(f"calibration error {score['calibration_error']:.2f}")
    return " · ".join(parts)


def _coherence(score: Mapping[str, Any]) -> str:
    named = {"neighbours": "neighbours", "perturbations": "perturbations"}
    parts = [f"{word} {score[key]:.2f}" for key, word in named.items() if score.get(key) is not None]
    if score.get("negative_flip_rate") is not None:
        parts.append(f"negative flips {score['negative_flip_rate']:.1%}")
    varied = {name: value for name, value in (score.get("diversity") or {}).items() if value is not None}
    if varied:
        parts.append("diversity " + ", ".join(f"{name} {value:.2f}" for name, value in varied.items()))
    return " · ".join(parts)
