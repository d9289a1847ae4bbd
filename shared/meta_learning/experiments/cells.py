"""One cell of a grid from its settings to its result: plain JSON, the same wherever and however often it runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from meta_learning.acla import STRATEGIES, AdaptiveCurriculumAgent, CurriculumConfig, RunStore
from meta_learning.experiments.asking import Package
from meta_learning.experiments.config import THRESHOLDS, TUNED, Cell
from meta_learning.experiments.drawing_items import Items
from meta_learning.experiments.evaluator import evaluate
from meta_learning.experiments.fine_tuning import fine_tuned, learner_of, segmented
from meta_learning.experiments.judging import asker_of, items_of
from meta_learning.experiments.predictions import Prediction, labels_of
from meta_learning.llm import LLM
from meta_learning.utils.provenance import data_digest

# What a run says of itself that a study keeps; its log has the rest.
KEPT = (
    "outcome",
    "reason",
    "best_prompt",
    "best_package",
    "performance_history",
    "lineage",
    "calls",
    "spent",
    "items",
    "gate",
)


async def run_cell(cell: Cell, llm: LLM | None, store: RunStore | None = None) -> dict[str, Any]:
    """The cell's result; with a durable ``store`` a killed search goes on where it was, and nothing is paid twice.

    Raises:
        LLMUnavailable: the model does not answer; run the cell again.
        CallerError: the cell cannot be run: no such data, no closed set of labels, no test items.
    """
    sizes = cell.sizes
    drawn = await items_of(cell.dataset, sizes, cell.seed)
    # Which labels there are is known to all; how many items have one is what the curve is over.
    labels, items = labels_of(drawn.pool), drawn.labelled(cell.labels)
    answering_calls = 0
    if cell.strategy in TUNED:
        learner = learner_of(cell.strategy, labels, cell.dataset.initial_prompt)
        found = fine_tuned(items.pool, items.test, labels, cell.seed, learner)
        found = segmented(found, items.test, cell.dataset.segment_by)
        made: dict[str, Any] = {"calls": 0}
        flips = None
    else:
        assert llm is not None, "every other strategy asks a model"
        made = await _searched(cell, items, labels, llm, store)
        bias = (made.get("best_package") or {}).get("label_bias") or {}
        package = Package(made.get("best_prompt") or _fixed_prompt(cell), bias)
        asker = asker_of(llm, labels, cell.dataset, sizes)
        found = await asker.predict(package, items.test)
        flips = await asker.flip_rate(package, items.test[: sizes.flip_samples], found)
        answering_calls = asker.calls_count
    result = _result(cell, items, found, labels, {**made, "flip_rate": flips.as_dict() if flips else None})
    return result | {"answering_calls": answering_calls}


def strategies_of(name: str) -> list[str]:
    """The evolution strategies that an arm of the grid allows.

    >>> strategies_of("only:ablation"), len(strategies_of("without:ablation")), len(strategies_of("meta"))
    (['ablation'], 4, 5)
    """
    kind, _, chosen = name.partition(":")
    if kind == "only":
        return [chosen]
    return [one for one in STRATEGIES if kind != "without" or one != chosen]


async def _searched(
    cell: Cell, items: Items, labels: Sequence[str], llm: LLM, store: RunStore | None
) -> dict[str, Any]:
    if cell.strategy in ("static", "hand_written"):
        return {"calls": 0, "best_prompt": _fixed_prompt(cell)}
    sizes, (search_count, gate_count) = cell.sizes, cell.searched_counts
    said: dict[str, Any] = dict(cell.search)
    config = CurriculumConfig(
        initial_prompt=cell.dataset.initial_prompt,
        dataset_name=cell.dataset.name,
        max_iterations=0 if cell.strategy == THRESHOLDS else sizes.num_iterations,
        evolution_strategies=strategies_of(cell.strategy),
        llm_provider=llm.provider,
        model_name=llm.model,
        seed=cell.seed,
        gate_samples=gate_count,
        calls_max=cell.budget,
        answer_tokens=sizes.answer_tokens,
        proposal_tokens=sizes.proposal_tokens,
        reasoning_tokens=sizes.reasoning_tokens,
        labels=list(labels),
        **said,
    )
    agent = AdaptiveCurriculumAgent(config, llm, store=store, run_id=cell.id)
    results = await agent.run_curriculum(items.load, num_samples=min(search_count, len(items.pool)))
    return {name: results[name] for name in KEPT}


def _fixed_prompt(cell: Cell) -> str:
    written = cell.dataset.hand_written_prompt if cell.strategy == "hand_written" else None
    return written or cell.dataset.initial_prompt


def _result(
    cell: Cell, items: Items, found: Sequence[Prediction], labels: Sequence[str], made: dict[str, Any]
) -> dict[str, Any]:
    result = {
        "format": 1,
        "id": cell.id,
        "cell": cell.model_dump(mode="json"),
        "data": {"pool": data_digest(items.pool), "test": data_digest(items.test), "groups": items.groups_counts},
        "made": made,
        "evaluation": evaluate(found, labels, cell.seed),
        "predictions": [asdict(one) for one in found],
    }
    plain: dict[str, Any] = json.loads(json.dumps(result))
    return plain


def model_store(folder: Path) -> RunStore:
    """Logs of the searches of a study, under its folder."""
    from meta_learning.registry.runs import FileRunStore

    return FileRunStore(folder / "searches")
