"""One life of a run: asked to stop by Ctrl-C or SIGTERM, it lets the calls on their way come home first."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from meta_learning.acla import AdaptiveCurriculumAgent
from meta_learning.acla.model_judge import CALLS_EACH
from meta_learning.cli.evolve.budget import Budget
from meta_learning.cli.evolve.folder import RunFolder
from meta_learning.cli.evolve.order import Order
from meta_learning.cli.evolve.screen import Screen
from meta_learning.datasets import BaseDatasetLoader
from meta_learning.errors import Cancelled
from meta_learning.llm import LLM
from meta_learning.llm.batch_book import BatchBook
from meta_learning.llm.batching import BatchingLLM, Terms
from meta_learning.llm.cache import FileCache, remembering
from meta_learning.llm.retry import Retrying, RetryPolicy

REPLIES = "replies"
# What a call on its way gets once the run is to stop; after that, or at a second Ctrl-C, it is given up.
GRACE_S = 10.0


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C break off a question at the terminal: the loop's own handler notes it, and goes on waiting for the answer."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if earlier is not None:
            signal.signal(signal.SIGINT, earlier)


class Stop:
    """Whether somebody asked the run to stop."""

    def __init__(self) -> None:
        self.asked = False
        self._task: asyncio.Task[Any] | None = None

    @contextmanager
    def heard(self, task: asyncio.Task[Any]) -> Iterator[None]:
        """Listen to the signals while the block runs; elsewhere than in the main thread nobody can."""
        self._task, loop = task, asyncio.get_running_loop()
        kinds = (signal.SIGINT, signal.SIGTERM)
        with suppress(NotImplementedError, RuntimeError, ValueError):
            for kind in kinds:
                loop.add_signal_handler(kind, self.ask)
        try:
            yield
        finally:
            with suppress(NotImplementedError, RuntimeError, ValueError):
                for kind in kinds:
                    loop.remove_signal_handler(kind)

    def ask(self) -> None:
        """Stop before the next call; asked twice, at once."""
        if self._task is None:
            return
        if self.asked:
            self._task.cancel()
        self.asked = True
        asyncio.get_running_loop().call_later(GRACE_S, self._task.cancel)


async def run(
    order: Order, budget: Budget, llm: LLM, folder: RunFolder, screen: Screen, patience_s: float
) -> dict[str, Any]:
    """The results.

    Raises:
        Cancelled: somebody asked the run to stop.
        LLMUnavailable: the model does not answer.
    """
    stop, loader = Stop(), order.loader()
    cache = FileCache(replies(folder.root.parent, order))
    asking = batched(llm, folder, order) if order.batch else llm
    agent = AdaptiveCurriculumAgent(
        budget.config,
        remembering(asking, cache) if order.cache else asking,
        store=folder.store,
        run_id=folder.run_id,
        retry=Retrying(RetryPolicy.within(patience_s)),
        on_progress=screen.iteration,
        should_stop=lambda: stop.asked,
    )
    task = asyncio.create_task(_curriculum(agent, loader, order), name="evolve")
    try:
        with stop.heard(task):
            async with screen.live(agent.snapshot):
                results = await task
    except asyncio.CancelledError:
        if not stop.asked:
            raise
        raise Cancelled("stopped in the middle of a call") from None
    if results["outcome"] == "cancelled":
        raise Cancelled(results["reason"])
    return results


def batched(llm: LLM, folder: RunFolder, order: Order) -> LLM:
    """``llm`` with its batch endpoint; what is on its way is written down in the run's folder."""
    from meta_learning.llm.batches import batches_of

    return BatchingLLM(llm, batches_of(llm), BatchBook(folder.path / "batches.jsonl"), terms_of(order))


def terms_of(order: Order) -> Terms:
    """How long a batch of this order is waited for."""
    return Terms.within(order.seconds, calls_each=1 if order.judge is None else CALLS_EACH)


def replies(data_folder: Path, order: Order) -> Path:
    """Where the answers of this order's server are kept for other runs."""
    return data_folder / REPLIES / order.server


async def _curriculum(agent: AdaptiveCurriculumAgent, loader: BaseDatasetLoader, order: Order) -> dict[str, Any]:
    return await agent.run_curriculum(lambda n: loader.get_samples(n, order.seed), num_samples=order.samples or 1)
