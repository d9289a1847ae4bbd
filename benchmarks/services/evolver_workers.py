"""How much faster is one evolution when several workers ask its model? The whole evolver, a real broker, a model that takes 50 ms.

    python -m benchmarks.services.evolver_workers [latency_ms] [calls at once of a worker]

The same run with 1, 2 and 4 workers, each with one call on its way at a time, as an in-process model has it. Seconds are from
the request to the end said on the log; ideal is one worker's seconds divided by the workers.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from meta_learning.events import EvolutionCompleted, EvolutionRequested, FeedbackReceived, decode
from meta_learning.streams import Log
from meta_learning.streams.opening import open_log
from tests.brokers import running as running_broker
from tests.services.evolver.loopback import Model, serving
from tests.services.evolver.process import evolver

LOOP = "support"
RUN = {"num_samples": 100, "gate_samples": 120, "max_iterations": 4, "promote": False, "provider": "openai"}
WORKERS = (1, 2, 4)


async def feed(log: Log, model: Model) -> None:
    said = [
        FeedbackReceived(
            event_id=f"f{number}",
            occurred_at=datetime.now(UTC),
            loop=LOOP,
            input_text=text,
            output_text=answer,
            feedback_score=1.0,
        )
        for number, (text, answer) in enumerate(model.answers.items())
    ]
    await log.append(said)


async def timed(log: Log, name: str, workers: int) -> tuple[float, EvolutionCompleted]:
    run_id, started = f"{name}-{workers}", time.monotonic()
    relay = log.relay(f"{name}-{workers}", "bench")
    settings = {**RUN, "workers": workers}
    event = EvolutionRequested(
        event_id=run_id, occurred_at=datetime.now(UTC), loop=LOOP, run_id=run_id, settings=settings
    )
    await log.publish(LOOP, [event])
    while True:
        for _, entry in await relay.take(wait_ms_max=500):
            said = decode(entry.body)
            if isinstance(said, EvolutionCompleted) and said.run_id == run_id:
                return time.monotonic() - started, said


async def measured(folder: Path, latency_s: float, at_once: int) -> None:
    model = Model({f"Message {n:03d} about a parcel": ("complaint", "praise")[n % 2] for n in range(240)}, latency_s)
    model.logprobs = True
    limits = {"META_LEARNING_EVOLVER_WORKERS_COUNT": "4", "META_LEARNING_LLM_CONCURRENCY_MAX": str(at_once)}
    with running_broker(folder / "broker") as broker, serving(model) as url:
        log = open_log(broker.url)
        await log.start()
        await feed(log, model)
        with evolver(broker.url, url, folder / "data", **limits):
            await timed(log, "warm", 1)  # workers import what they need
            print("| workers | seconds | speed-up | calls | calls/s | outcome |\n" + "|---" * 6 + "|", flush=True)
            alone_s = 0.0
            for workers in WORKERS:
                before = len(model.asked)
                took_s, end = await timed(log, "timed", workers)
                alone_s = alone_s or took_s
                calls = len(model.asked) - before
                print(
                    f"| {workers} | {took_s:.1f} | {alone_s / took_s:.2f} | {calls} | {calls / took_s:.1f} | {end.outcome} "
                    f"{end.best_score} |",
                    flush=True,
                )
        await log.close()


def main() -> None:
    latency_ms, at_once = (int(one) for one in (sys.argv[1:] + ["50", "1"][len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measured(Path(folder), latency_ms / 1000.0, at_once))


if __name__ == "__main__":
    main()
