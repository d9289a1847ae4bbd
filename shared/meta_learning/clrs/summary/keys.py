"""What every key of a summary says; `docs/summary.md` is written from it, and a test holds it against a real summary.

``*`` stands for names that differ from loop to loop; ``[]`` for the items of a list; ``...`` for all that lies below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_ESTIMATE = {
    "current": "the score in [0, 1]; None until it means something",
    "n": "events (or answers) behind it",
    "low": "lower end of its interval",
    "high": "upper end of its interval",
}
_FINDING = {
    "name": "one of `watched`",
    "since_cycle": "the cycle in which it was first found, without a break",
    "last_cycle": "the last cycle with evidence; three without, and it is over",
    "numbers.*": "what was measured, by name",
    "sentence": "the same in plain words; may hold words of the inputs",
}
KEYS: dict[str, str] = {
    "loop": "which loop this is",
    "cycles": "completed training cycles",
    "events": "pieces of feedback in them",
    "decisions.*": "cycles by what the gates decided: promoted, held, rejected",
    **{f"drift.{key}": said for key, said in _ESTIMATE.items()},
    "drift.threshold": "above it, drift is an alarm",
    "drift.drifted": "whether the score exceeds the threshold",
    "drift.set_by": "the kind with the largest score, which is the drift score",
    "drift.kinds.*": "the score of each kind: input, output, behaviour, concept, performance",
    "drift...": "each kind's interval, p-values and alarms",
    **{f"alignment.{key}": said for key, said in _ESTIMATE.items()},
    "alignment.state": "`aligned` when the whole interval reaches the threshold, `misaligned` when none of it does, else `undecided`",
    "alignment.threshold": "what divides aligned from misaligned",
    "alignment.concordance": "share of pairs of events that the predictions, made before learning, order as users did",
    "alignment.concordance_low": "lower end of its confidence sequence: holds at all looks with 95 %",
    "alignment.concordance_high": "upper end of it",
    "alignment.inverted": "whether the concordance is surely below that of a coin",
    "alignment.basis": "`within_users`: only pairs of one user's events; `everyone`: all pairs",
    "alignment.effective_n": "events that as even a stream would need for as much evidence",
    "alignment.ceiling": "the concordance that counts as 1",
    "alignment.ceiling_source": "`given`, `measured` where users judged the same answers, or `unknown` (then 1)",
    "alignment.ceiling_n": "answers that two users judged",
    "alignment.worst_segment...": "the segment with the lowest lower bound: its name, n, concordance, alignment and bound; or None",
    "alignment.brier": "mean squared difference of prediction and score, last thousand events",
    "alignment.calibration_error": "root mean square gap of 15 bins of them, less what chance adds",
    "alignment.disagreement": "share of the residuals' variance that lies between users; None below five users",
    **{f"coherence.{key}": said for key, said in _ESTIMATE.items()},
    "coherence.neighbours": "how alike the scores of the nearest questions are: 0 chance, 1 equal",
    "coherence.perturbations": "share of answers that keep their side when the input is changed a little; None when not asked",
    "coherence.by_perturbation.*": "the same for each perturbation",
    "coherence.negative_flip_rate": "share of probe items that the previous champion had right and this one has not",
    "coherence.diversity.*": "of the last cycle's outputs: distinct_2, zlib_ratio, vendi; not part of the score",
    **{f"patterns.active[].{key}": said for key, said in _FINDING.items()},
    "patterns.last_seen.*...": "the last finding of each pattern that was ever seen, in the same form",
    "patterns.watched[]": "the names of all patterns that are looked for",
    "alarms[].cycle": "when something began to be wrong; the last 50, newest last",
    "alarms[].alarm": "`drift`, `alignment`, or `pattern:` and a name",
    "alarms[].sentence": "what it was, in plain words",
    "versions[].version": "a version that took charge; the last 50, newest last",
    "versions[].cycle": "the first cycle that it was in charge after",
    "versions[].cause": "`gate`, `rollback` or `operator`",
    "thresholds.*": "of the scores that have one",
    "samples.cycle": "pieces of feedback in a training cycle",
    "samples.probe": "items of the fixed probe, as scored by users",
    "samples.events": "events that the scores have seen",
    "history[].cycle": "one line for each of the last cycles, newest last",
    "history[].occurred_at": "the time of its last event",
    "history[].decision": "promoted, held or rejected",
    "history[].reasons[]": "why, in plain words",
    "history[].drift": "the score after the cycle",
    "history[].alignment": "the score after the cycle",
    "history[].coherence": "the score after the cycle",
    "history[].intervals.*": "lower and upper end of each score's interval after the cycle",
    "history[].brier": "the champion's mean squared error on the cycle, before learning it",
    "history[].brier_constant": "that of the best constant so far",
    "history[].champion_version": "in charge after the cycle",
    "champion_version": "in charge now; None before the first promotion",
    "candidate_version": "learning now",
    "counts.*": "accepted = trained + capped + distrusted + unlearnt + pending",
    "settings.*": "every setting of the loop (`LoopSettings`)",
}


def paths(value: Any, path: str = "") -> Iterator[str]:
    """The path of every leaf of a summary, list items as ``[]``.

    >>> sorted(paths({"n": 1, "alarms": [{"cycle": 2}, {"cycle": 3}]}))
    ['alarms[].cycle', 'n']
    """
    if isinstance(value, Mapping) and value:
        found = {below for key, part in value.items() for below in paths(part, f"{path}.{key}" if path else str(key))}
        yield from sorted(found)
    elif isinstance(value, list | tuple) and value:
        yield from sorted({below for part in value for below in paths(part, f"{path}[]")})
    else:
        yield path


def told(path: str) -> str | None:
    """The key that says what lies at ``path``; None when nothing does.

    >>> told("decisions.held"), told("drift.kinds.input"), told("nonsense")
    ('decisions.*', 'drift.kinds.*', None)
    """
    if path in KEYS:
        return path
    return next((key for key in KEYS if _matches(key, path)), None)


def _matches(key: str, path: str) -> bool:
    if key.endswith("..."):
        stem = key.removesuffix("...").removesuffix(".*")
        return path == stem or path.startswith(f"{stem}.")
    if key.endswith(".*"):
        stem = key.removesuffix("*")
        below = path.removeprefix(stem).removesuffix("[]")
        return path + "." == stem or (path.startswith(stem) and "." not in below)
    return path == key.removesuffix("[]")
