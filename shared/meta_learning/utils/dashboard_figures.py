"""Which figures can be drawn of a set of results: told by the keys that runs, comparisons, studies and loops use.

>>> [name for name, draw in figures_of({"performance_history": [0.5, 0.6], "note": "nothing to draw"})]
['best prompt by iteration']
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from meta_learning.utils.figures import curves, gains, labels, lineage, loop, pareto, quality, strategies
from meta_learning.utils.figures.histories import History, read_history

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Drawn = tuple[str, Callable[[], "Figure"]]


def figures_of(facts: Mapping[str, Any]) -> Iterator[Drawn]:
    """Names of figures, and how each is drawn."""
    yield from _of_a_run(facts)
    yield from _of_a_loop(facts)
    yield from _of_an_evaluation(facts)
    if isinstance(facts.get("pareto"), Sequence):
        yield "score against cost", partial(pareto.front, facts["pareto"], str(facts.get("cost_unit", "calls")))
    if isinstance(facts.get("comparisons"), list):
        yield "gains, paired by item", partial(gains.forest, facts["comparisons"])
    if isinstance(facts.get("by_labels"), Mapping):
        for name, found in facts["by_labels"].items():
            yield f"score by the number of labels: {name}", partial(labels.curve, found["arms"])
    # One point would be no curve.
    if isinstance(facts.get("minimal_feedback"), Sequence) and len(facts["minimal_feedback"]) > 1:
        yield (
            "what fewer labels cost",
            partial(pareto.front, facts["minimal_feedback"], "labels, % of the interactions"),
        )


def _of_a_run(facts: Mapping[str, Any]) -> Iterator[Drawn]:
    if facts.get("meta_prompting_history") and facts.get("baseline_history"):
        meta, baseline = (read_history(facts[f"{name}_history"]) for name in ("meta_prompting", "baseline"))
        yield "meta-prompting and the static prompt", partial(curves.comparison, meta, baseline)
    if facts.get("performance_history"):
        yield "best prompt by iteration", partial(curves.curriculum, read_history(facts["performance_history"]))
    if facts.get("anytime"):
        histories = {str(name): read_history(points) for name, points in facts["anytime"].items()}
        yield "best score by calls", partial(curves.anytime, histories)
    if facts.get("lineage"):
        yield "gain by strategy", partial(strategies.effectiveness, facts["lineage"])
        yield "lineage of the prompts", partial(lineage.tree, facts["lineage"])


def _of_a_loop(facts: Mapping[str, Any]) -> Iterator[Drawn]:
    history = facts.get("history")
    if isinstance(history, list) and history and {"cycle", "drift", "alignment", "coherence"} <= history[0].keys():
        yield "drift, alignment and coherence by cycle", partial(loop.clrs_metrics, _scores_by_cycle(history))
    elif all(isinstance(facts.get(f"{name}_scores"), list) for name, _, _ in loop.SCORES):
        scores = {name: read_history(facts[f"{name}_scores"], first=1) for name, _, _ in loop.SCORES}
        yield "drift, alignment and coherence by cycle", partial(loop.clrs_metrics, scores)
    if isinstance(facts.get("satisfaction"), Mapping):
        worlds = {str(name): read_history(points, first=1) for name, points in facts["satisfaction"].items()}
        yield "satisfied users by cycle", partial(loop.satisfaction, worlds)
    if isinstance(facts.get("drift_kinds"), Mapping):
        kinds = {str(name): read_history(points, first=1) for name, points in facts["drift_kinds"].items()}
        yield "drift by kind", partial(loop.drift, kinds, facts.get("alarms", ()))


def _scores_by_cycle(history: Sequence[Mapping[str, Any]]) -> dict[str, History]:
    return {
        name: read_history([{"iteration": line["cycle"], "score": line[name]} for line in history])
        for name, _, _ in loop.SCORES
    }


def _of_an_evaluation(facts: Mapping[str, Any]) -> Iterator[Drawn]:
    found = facts.get("confusion")
    if isinstance(found, Mapping) and found.get("matrix"):
        yield (
            "answers given and expected",
            partial(quality.confusion, found["matrix"], found["labels"], found["answers"]),
        )
    found = facts.get("calibration")
    if isinstance(found, Mapping) and found.get("bins"):
        yield "reliability", partial(quality.reliability, found["bins"], found.get("error"))
