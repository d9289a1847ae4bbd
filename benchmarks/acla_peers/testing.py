"""Held-out items, asked once a prompt and kind of answer, whichever arms came to it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.acla_peers.items import TASKS, Pair
from benchmarks.peers.acla_client import AT_ONCE, Client, label_of
from meta_learning.acla.calibration import Calibration
from meta_learning.llm import Message, Request
from meta_learning.llm.openai import OpenAILLM
from meta_learning.llm.retry import Retrying

TIMEOUT_S = 3600.0


class Tested:
    """What the model answers to the test items of one task and data seed, kept in ``folder``."""

    def __init__(self, folder: Path, task: str, seed: int, items: Sequence[Pair]) -> None:
        self._folder, self._task, self._seed, self.items = folder, TASKS[task], seed, items

    def answers(self, package: dict[str, Any], url: str | None = None, count: int | None = None) -> list[str | None]:
        """The package's answers to the first ``count`` items, asking what is missing.

        Raises:
            LookupError: some are missing, and there is no ``url`` to ask.
        """
        wanted = len(self.items) if count is None else min(count, len(self.items))
        known = self._known(package)
        if len(known) < wanted:
            if url is None:
                raise LookupError(f"no answers of {package['system'][:60]!r} for data seed {self._seed}")
            known = known + self._ask(package, url, self.items[len(known) : wanted])
            self._file(package).parent.mkdir(parents=True, exist_ok=True)
            self._file(package).write_text(json.dumps({"system": package["system"], "said": known}))
        return [self._read(package, one) for one in known[:wanted]]

    def _read(self, package: dict[str, Any], said: Any) -> str | None:
        if package["kind"] == "text" or isinstance(said, str):
            return label_of(said, self._task.labels)
        return Calibration(package["bias"]).decision(said)

    def _file(self, package: dict[str, Any]) -> Path:
        digest = hashlib.sha256(package["system"].encode()).hexdigest()[:16]
        return self._folder / "tests" / f"{self._task.name}-{self._seed}-{package['kind']}-{digest}.json"

    def _known(self, package: dict[str, Any]) -> list[Any]:
        file = self._file(package)
        known: list[Any] = json.loads(file.read_text())["said"] if file.exists() else []
        return known

    def _ask(self, package: dict[str, Any], url: str, items: Sequence[Pair]) -> list[Any]:
        tag, texts = f"test:{self._task.name}:{self._seed}:{package['kind']}", [text for text, _ in items]
        if package["kind"] == "text":
            with closing(Client(url, tag, self._task.labels)) as client:
                return client.replies([package["system"]] * len(texts), texts)
        return asyncio.run(self._label_logprobs(package["system"], url, tag, texts))

    async def _label_logprobs(self, system: str, url: str, tag: str, texts: Sequence[str]) -> list[Any]:
        llm, room = OpenAILLM("local", base_url=url, api_key=tag, timeout_s=TIMEOUT_S), asyncio.Semaphore(AT_ONCE)

        async def one(text: str) -> Any:
            said = (Message("system", system), Message("user", text))
            async with room:
                reply = await Retrying().run(
                    lambda: llm.complete(Request(said, max_tokens=1, labels=self._task.labels))
                )
            return dict(reply.label_logprobs) if reply.label_logprobs else reply.text

        try:
            return list(await asyncio.gather(*map(one, texts)))
        finally:
            await llm.close()
