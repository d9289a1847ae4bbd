"""Ways to ask one prompt, under one ledger: each is asked the same items, and answers are never paid for twice."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from meta_learning.acla import Prompt
from meta_learning.acla.asking import Asking, stream
from meta_learning.acla.parsing import is_right, parse_answer
from meta_learning.acla.prompt import Exemplar
from meta_learning.acla.splits import Item
from meta_learning.acla.store import RunLog
from meta_learning.errors import BudgetExhausted, ConfigurationError
from meta_learning.experiments.config import Value
from meta_learning.experiments.tuning.asking_config import AskingConfig
from meta_learning.llm import LLM, Reply, Request
from meta_learning.llm.ledger import Caps, Ledger
from meta_learning.llm.metered import metered
from meta_learning.llm.retry import Retrying

Settings = Mapping[str, Value]


class Asked:
    """Puts ``config``'s prompt to its models in the ways that trials say; all calls are counted together.

    ``examples`` are labelled items that are never asked; the first of them, the answers in turn, are shown.
    """

    def __init__(
        self,
        config: AskingConfig,
        connect: Callable[[str | None], LLM],
        log: RunLog,
        examples: Sequence[Item],
        labels: Sequence[str],
        retry: Retrying,
    ) -> None:
        caps = config.caps
        self.ledger = Ledger(Caps(caps.calls, caps.tokens, caps.money_usd, caps.seconds))
        self.ledger.restore(log.paid, log.seconds)
        self._config, self._connect, self._log, self._retry = config, connect, log, retry
        self._labels = labels
        self._shown = _in_turn(examples)
        self._prompt = Prompt.parse(config.dataset.initial_prompt)
        self._models: dict[str | None, Asking] = {}
        self.tokens: dict[str, float] = {}

    async def scores(self, settings: Settings, items: Sequence[Item], kept_calls: int) -> list[float | None]:
        """Right (1), wrong (0), or None where the model refused an item.

        Raises:
            BudgetExhausted: the calls would touch the ``kept_calls``.
            ConfigurationError: the model takes no temperature.
            LLMUnavailable: no answer; what was paid for is kept.
        """
        if not self._affords(len(items), kept_calls):
            raise BudgetExhausted(
                f"the next {len(items)} calls would exceed the cap of {self._config.caps.calls} calls"
            )
        asking = self._model(settings)
        replies = await asking.ask_all([self._request(settings, item) for item in items])
        known = [reply for reply in replies if isinstance(reply, Reply)]
        if settings.get("temperature") and any(reply.sampling == "not_accepted" for reply in known):
            raise ConfigurationError(f"{asking.llm.model} takes no temperature: leave it out of the space")
        if known:
            self.tokens[named(settings)] = fmean(one.prompt_tokens + one.completion_tokens for one in known)
        return [
            float(is_right(parse_answer(reply.text, self._labels), item.expected)) if isinstance(reply, Reply) else None
            for reply, item in zip(replies, items, strict=True)
        ]

    @property
    def calls_count(self) -> int:
        """Distinct questions so far, with retries: the same in every life of a search."""
        return sum(one.calls_count + one.retries_count for one in self._models.values())

    @property
    def concurrency_max(self) -> int:
        """How many calls may be on their way at once."""
        return min((one.llm.capabilities.concurrency_max for one in self._models.values()), default=1)

    async def close(self) -> None:
        """Close all models."""
        for one in self._models.values():
            await one.llm.close()

    def _affords(self, count: int, kept: int) -> bool:
        retries = sum(one.retries_count for one in self._models.values())
        kept_with_retries = math.ceil(kept * (1.0 + retries / max(1, self.calls_count)))
        return self.calls_count + count <= self._config.caps.calls - kept_with_retries

    def _model(self, settings: Settings) -> Asking:
        name = settings.get("model_name", self._config.model.model_name)
        key = None if name is None else str(name)
        if key not in self._models:
            llm = metered(self._connect(key), self.ledger, self._log, self._retry)
            self._models[key] = Asking(llm, self._log, None, lambda: False)
        return self._models[key]

    def _request(self, settings: Settings, item: Item) -> Request:
        shown = self._shown[: int(settings.get("shots", 0))]
        prompt = self._prompt.edit(exemplars=tuple(shown)) if shown else self._prompt
        temperature = float(settings.get("temperature", 0.0))
        return Request(prompt.messages(item.input), max_tokens=self._config.answer_tokens, temperature=temperature)


def named(settings: Settings) -> str:
    """A name for settings.

    >>> named({"temperature": 0.5, "shots": 2})
    'temperature 0.5, shots 2'
    """
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def examples_count(config: AskingConfig) -> int:
    """So many items are set aside for examples: enough to take the answers in turn."""
    return 3 * config.shots_max


def drawn(config: AskingConfig, purpose: str) -> int:
    """A number for this purpose, the same for the same search."""
    return stream(config.seed, purpose).getrandbits(32)


def _in_turn(items: Sequence[Item]) -> list[Exemplar]:
    by_answer: dict[str, list[Item]] = {}
    for item in items:
        by_answer.setdefault(item.expected, []).append(item)
    turns: list[Any] = [queue[turn] for turn in range(len(items)) for queue in by_answer.values() if turn < len(queue)]
    return [Exemplar(item.input, item.expected, item.id) for item in turns]
