"""The command; see `benchmarks.llm_server`."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import closing

import uvicorn

from benchmarks.llm_server.application import application
from benchmarks.llm_server.records import Records
from meta_learning.llm import LLM


def model(provider: str, path: str | None, threads_count: int, batch_max: int) -> LLM:
    """A model in this process."""
    if provider == "local":
        from meta_learning.llm.local import LocalLLM

        return LocalLLM(path, threads_count)
    from meta_learning.llm.batched.provider import TransformersLLM

    # Over HTTP the requests of one client arrive a millisecond or two apart.
    return TransformersLLM(path, threads_count, batch_max=batch_max, wait_ms=15.0)


def main() -> None:
    """Serve until told to stop."""
    said = argparse.ArgumentParser(prog="python -m benchmarks.llm_server", description="One model for all arms.")
    said.add_argument("--port", type=int, default=8765)
    said.add_argument("--record", required=True, help="the SQLite file of calls and recordings")
    said.add_argument("--replay-only", action="store_true", help="answer from the recordings alone")
    said.add_argument("--provider", choices=("transformers", "local"), default="transformers")
    said.add_argument("--model", help="a GGUF file or a folder (default: the packaged one)")
    said.add_argument("--threads", type=int, default=1)
    said.add_argument("--batch", type=int, default=32)
    said.add_argument("--temperature", type=float, default=1.0, help="of requests that name none")
    order = said.parse_args()
    llm = None if order.replay_only else model(order.provider, order.model, order.threads, order.batch)
    with closing(Records(order.record, None if llm is None else llm.model)) as records:
        app = application(llm, records, order.temperature)
        try:
            uvicorn.run(app, host="127.0.0.1", port=order.port, log_level="warning")
        finally:
            if llm is not None:
                asyncio.run(llm.close())


if __name__ == "__main__":
    main()
