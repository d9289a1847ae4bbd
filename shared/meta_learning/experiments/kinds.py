"""The kinds of study: what a file of settings is read as, how a cell is run, and what is said of the results.

A file without ``kind`` is a grid of prompts; ``kind = "feedback_loop"`` is one of closed loops,
``kind = "strategies"`` an analysis of the strategies that evolve prompts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from meta_learning.errors import ConfigurationError
from meta_learning.experiments.config import Cell, StudyConfig
from meta_learning.experiments.grid import Grid, GridCell, settings_of
from meta_learning.experiments.judging import KIND as JUDGING
from meta_learning.experiments.judging import JudgingCell
from meta_learning.experiments.loading import Named
from meta_learning.experiments.loops.config import KIND as FEEDBACK_LOOP
from meta_learning.experiments.loops.config import LoopCell, LoopStudyConfig
from meta_learning.experiments.loops.report import loops_report
from meta_learning.experiments.report import report_of
from meta_learning.experiments.strategy_report import strategy_report
from meta_learning.experiments.strategy_study import KIND as STRATEGIES
from meta_learning.experiments.strategy_study import StrategyStudyConfig
from meta_learning.experiments.tuning.config import TunedCell

PROMPTS = "prompts"
CONFIGS: dict[str, type[Grid]] = {PROMPTS: StudyConfig, FEEDBACK_LOOP: LoopStudyConfig, STRATEGIES: StrategyStudyConfig}


def read_study(said: Mapping[str, Any] | str | Path) -> Grid:
    """The checked settings of a study of any kind.

    >>> type(read_study({"kind": "feedback_loop", "name": "tweets", "texts": [{"name": "sentiment140"}]})).__name__
    'LoopStudyConfig'

    Raises:
        NotFound: there is no such file.
        ConfigurationError: a setting is unknown, of the wrong type or out of bounds; the message names it.
    """
    settings = settings_of(said)
    kind = settings.get("kind", PROMPTS)
    if kind not in CONFIGS:
        raise ConfigurationError(f"kind: {kind!r}; there are {', '.join(CONFIGS)}")
    return CONFIGS[kind].read({name: value for name, value in settings.items() if (name, value) != ("kind", PROMPTS)})


def read_cell(said: str) -> GridCell:
    """A cell out of its JSON."""
    kind = json.loads(said).get("kind", PROMPTS)
    cells: dict[str, type[GridCell]] = {
        PROMPTS: Cell,
        FEEDBACK_LOOP: LoopCell,
        JUDGING: JudgingCell,
        "tuned": TunedCell,
    }
    return cells[kind].model_validate_json(said)


def reported(config: Grid, results: Sequence[Mapping[str, Any]], errors: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The report of a study."""
    if isinstance(config, StrategyStudyConfig):
        return strategy_report(results, errors)
    return (loops_report if isinstance(config, LoopStudyConfig) else report_of)(results, errors)


def headline(result: Mapping[str, Any]) -> str:
    """A cell's result in one number, for people."""
    score = score_of(result)
    return f"satisfied {score:.3f} in the last quarter" if "numbers" in result else f"{score:.3f}"


def score_of(result: Mapping[str, Any]) -> float:
    """A cell's result in one number."""
    found = result["numbers"]["accuracy_end"] if "numbers" in result else result["evaluation"]["accuracy"]["value"]
    return float(found)


def scores_of(report: Mapping[str, Any]) -> dict[str, float | None]:
    """The number of each arm of a report, by group and arm.

    >>> scores_of({"groups": {"tweets": {"arms": [{"arm": "static", "score": 0.5}]}}})
    {'tweets · static': 0.5}
    """
    return {
        f"{group} · {arm['arm']}": arm["score"] if "score" in arm else arm["accuracy_end"]["mean"]
        for group, found in report["groups"].items()
        for arm in found["arms"]
    }


def data_of(config: Grid) -> list[Named]:
    """The data sets that a study names, each once."""
    named = [one for field in ("datasets", "transfer_datasets", "texts") for one in getattr(config, field, None) or ()]
    named += [one.foreign for one in named if getattr(one, "foreign", None) is not None]
    keys = [(one.name, one.path, one.input, one.expected, getattr(one, "group", None)) for one in named]
    return list(dict(zip(keys, named, strict=True)).values())
