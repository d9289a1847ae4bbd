"""A cell as work for another process or host: JSON in, JSON out. A process keeps its model between cells."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from meta_learning.errors import MetaLearningError
from meta_learning.experiments.cells import model_store, run_cell
from meta_learning.experiments.config import Cell, ModelSpec
from meta_learning.experiments.grid import GridCell
from meta_learning.experiments.judging import JudgingCell, run_judging
from meta_learning.experiments.kinds import read_cell
from meta_learning.experiments.loops.cell import run_loop_cell, run_served_cell
from meta_learning.experiments.loops.config import LoopCell
from meta_learning.experiments.loops.system import doors_of
from meta_learning.experiments.sharing import ReadAsText, SharedReplies
from meta_learning.llm import LLM, connect
from meta_learning.llm.cache import FileCache
from meta_learning.llm.ledger import Ledger
from meta_learning.llm.metered import metered
from meta_learning.llm.retry import Retrying

IN_PROCESS = ("local", "transformers")
BATCHED = "transformers"
_kept: dict[ModelSpec, LLM] = {}


def run_encoded(cell: str, searches_folder: str | None = None) -> str:
    """Run the cell; called by name, in a worker.

    An error that belongs to the cell comes back as ``{"error": …}``: raising it here would end the worker of other cells.
    """
    asked = read_cell(cell)
    folder = None if searches_folder is None else Path(searches_folder)
    if not isinstance(asked, LoopCell):
        return asyncio.run(run_here(asked, folder))
    try:
        served = asked.services
        return json.dumps(run_served_cell(asked, doors_of(folder)) if served else run_loop_cell(asked))
    except MetaLearningError as error:
        return _refusal(asked, error)


async def run_here(cell: GridCell, folder: Path | None) -> str:
    """Run a cell that asks a model beside whatever else this event loop does; the same JSON."""
    assert isinstance(cell, Cell | JudgingCell)
    try:
        return json.dumps(await _run(cell, folder))
    except MetaLearningError as error:
        return _refusal(cell, error)


def _refusal(cell: GridCell, error: MetaLearningError) -> str:
    return json.dumps({"id": cell.id, "error": f"{type(error).__name__}: {error}"})


def asks_in_batches(cell: GridCell) -> bool:
    """Whether the cell spends its time on a model of this process that answers several questions as fast as one."""
    return isinstance(cell, Cell | JudgingCell) and cell.model is not None and cell.model.provider == BATCHED


async def _run(cell: Cell | JudgingCell, folder: Path | None) -> dict[str, Any]:
    if cell.model is None:
        assert isinstance(cell, Cell)
        return await run_cell(cell, None)
    llm = _model(cell.model)
    try:
        # A ledger for its retries alone: what a cell may cost is its budget.
        kept = None if folder is None else model_store(folder)
        asked: LLM = (
            llm if folder is None else SharedReplies(llm, FileCache(folder / "replies" / cell.model.digest[:16]))
        )
        read = asked if cell.model.label_logprobs else ReadAsText(asked)
        counted = metered(read, Ledger(), None, Retrying())
        if isinstance(cell, JudgingCell):
            return await run_judging(cell, counted)
        return await run_cell(cell, counted, kept)
    finally:
        if cell.model.provider not in IN_PROCESS:
            # A client's connections belong to the event loop that ends now; the weights of a local model do not.
            await llm.close()


def _model(spec: ModelSpec) -> LLM:
    if spec.provider not in IN_PROCESS:
        return connect(spec.provider, spec.model_name, spec.base_url)
    weights = spec.model_copy(update={"label_logprobs": True})
    if weights not in _kept:
        _kept[weights] = connect(spec.provider, spec.model_name)
    return _kept[weights]
