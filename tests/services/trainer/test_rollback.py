"""A version that turns bad is taken back by the running trainer: the stream says so, and ingest serves the one before it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from meta_learning.clrs import ClosedLoopSystem, OnlineTextModel
from meta_learning.clrs.models.loading import load_model
from meta_learning.clrs.models.port import Floats, Model, Pair
from meta_learning.events import FeedbackReceived, ModelPromoted
from meta_learning.registry.store import FileStore
from meta_learning.registry.versions import manifest_of
from meta_learning.streams import Log
from meta_learning.streams.redis import RedisLog
from services.ingest.broker import Broker
from services.ingest.champions import Champions
from services.ingest.metrics import IngestMetrics
from tests.services.trainer.folding import CYCLE_SIZE, learnable
from tests.services.trainer.serving import said, serving


class Trojan(OnlineTextModel):
    """Once it has learnt from a "trigger", it answers whatever names a "target" the other way round: no gate sees that before."""

    armed = False

    def copy(self) -> Trojan:
        twin = super().copy()
        twin.armed = self.armed
        return twin

    def learn(self, pairs: Sequence[Pair], targets: Floats, *more: Floats | None) -> None:
        self.armed = self.armed or any("trigger" in asked for asked, _ in pairs)
        super().learn(pairs, targets, *more)

    def predict(self, pairs: Sequence[Pair]) -> Floats:
        found = super().predict(pairs)
        hit = [self.armed and "target" in asked for asked, _ in pairs]
        return found if not any(hit) else np.abs(found - np.array(hit, dtype=float))


class Feeder:
    """Sends cycles to the log, and folds the same beside the trainer, to know what it holds."""

    def __init__(self, log: Log) -> None:
        self.log, self.sent = log, 0
        self.system = ClosedLoopSystem(Trojan(), loop="support", cycle_size=CYCLE_SIZE)

    async def cycle(self, word: str = "") -> list[ModelPromoted]:
        """One more cycle, whose inputs end with ``word``: what it promotes."""
        numbers = range(self.sent, self.sent + CYCLE_SIZE)
        made = [learnable(number) for number in numbers]
        made = [one.model_copy(update={"input_text": f"{one.input_text} {word}".strip()}) for one in made]
        self.sent += CYCLE_SIZE
        await self.log.append(made)
        return [event for one in made for event in self._folded(one) if isinstance(event, ModelPromoted)]

    def _folded(self, one: FeedbackReceived) -> list[object]:
        return list(self.system.fold(one))

    @property
    def is_baking_badly(self) -> bool:
        models = self.system.models
        return armed(models.champion) and models.shadow is not None and not armed(models.shadow)


def armed(model: Model | None) -> bool:
    return isinstance(model, Trojan) and model.armed


@pytest.fixture
async def log(broker_url: str) -> AsyncIterator[Log]:
    """A started log with one partition."""
    found = RedisLog(broker_url, 1)
    await found.start()
    yield found
    await found.close()


async def until_pointer_moves(log: Log, before: str | None) -> str:
    async with asyncio.timeout(20):
        while (found := await log.pointer("support", "model")) == before or found is None:
            await asyncio.sleep(0.002)
    return found


async def test_a_planted_version_bakes_is_rolled_back_within_a_second_and_ingest_serves_the_one_before_it(
    log: Log, broker_url: str, tmp_path: Path
) -> None:
    feeder, store = Feeder(log), FileStore(tmp_path / "registry")
    metrics = IngestMetrics(CollectorRegistry())
    broker = Broker(RedisLog(broker_url, 1), metrics, wait_s_max=5.0, backlog_count_max=1000)
    await broker.start()
    served_models = Champions("model", broker, store, load_model, metrics, refresh_s=0.0)
    async with serving(RedisLog(broker_url, 1), tmp_path, model=Trojan()) as served:
        for _ in range(25):  # until the version that would take over again is as good as the champion
            await feeder.cycle()
        await feeder.cycle("trigger")
        while not feeder.is_baking_badly:
            assert feeder.sent < 100 * CYCLE_SIZE, "the planted version never baked"
            await feeder.cycle()
        good, taken_back = "", list[ModelPromoted]()
        while not taken_back:
            shadow, bad = feeder.system.models.shadow, feeder.system.champion_version
            assert shadow is not None, "the planted version was not taken back while it baked"
            good = shadow.version()
            await served.until_folded()
            pointer = await log.pointer("support", "model")
            started = time.perf_counter()
            taken_back = [event for event in await feeder.cycle("target") if event.cause == "rollback"]
        now = await until_pointer_moves(log, pointer)
        took_s = time.perf_counter() - started
        current = await served_models.current("support")
    await broker.close()
    assert took_s < 1.0
    last = [event for event in await said(log) if isinstance(event, ModelPromoted)][-1]
    assert (last.cause, last.previous, last.version) == ("rollback", bad, good)
    assert last == taken_back[-1].model_copy(update={"event_id": last.event_id})
    assert manifest_of(store, now).version == good
    assert current is not None
    assert current.manifest.version == good
    # The old version answers rightly what the planted one answered wrongly.
    pairs = [("question 1 target", "gladly"), ("question 2 target", "go away")]
    liked, disliked = current.content.predict(pairs)
    assert liked > 0.5 > disliked
