"""Two ways to score a prompt on items: ask the model ourselves, or call the user's evaluation function."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from meta_learning.acla.asking import Asking
from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.endpoint import Endpoint, joined, looked_at
from meta_learning.acla.outcomes import Answer
from meta_learning.acla.parsing import parse_answer
from meta_learning.acla.prompt import Prompt
from meta_learning.acla.splits import Item
from meta_learning.acla.store import RunLog
from meta_learning.errors import CallerError
from meta_learning.llm import Reply, Request
from meta_learning.llm.models import price_of

EvaluationFn = Callable[[str, list[dict[str, Any]]], Awaitable[Any] | Any]


class Evaluator(Protocol):
    """Scores prompts; all calls go through the run's `Asking`."""

    async def answers(self, prompt: Prompt, items: Sequence[Item]) -> list[Answer]:
        """One answer for each item, in their order."""


class ModelEvaluator:
    """Asks the model each item, at temperature 0.

    With ``labels`` and a model that gives log-probabilities, an answer is the label that the model finds most probable for
    its first token; one generated token is enough. A prompt that thinks aloud is always read as text.
    """

    def __init__(self, asking: Asking, config: CurriculumConfig, labels: Sequence[str]) -> None:
        self._asking = asking
        self._config = config
        self.labels = tuple(labels)
        self.scores_labels = False
        self.sampling_accepted = True
        self.endpoint: Endpoint | None = None

    @property
    def scoring(self) -> str:
        """By what answers are scored."""
        return "label_logprobs" if self.scores_labels else "text"

    async def probe(self, prompt: Prompt, item: Item) -> None:
        """Find out whether labels can be scored, by the first item's own call, so that nothing is wasted.

        A server of which nothing is known (``extras["label_logprobs"] == "ask"``) is asked once more, with the instructions twice:
        some drop them, some refuse them, and some generate on whatever is asked. A model that gives no log-probabilities is not asked.
        """
        can = self._asking.llm.capabilities
        unknown = can.extras.get("label_logprobs") == "ask"
        self.scores_labels = bool(self.labels) and (can.label_logprobs or unknown)
        looks = unknown and self._config.probe_items > 0
        if not self.scores_labels and not looks:
            return
        request = self._request(prompt, item)
        if looks:
            self.endpoint = await looked_at(self._ask, request)
            self.scores_labels = self.endpoint.label_logprobs
            return
        first = await self._ask(request)
        self.scores_labels = isinstance(first, Reply) and first.label_logprobs is not None

    async def repeated(self, prompt: Prompt, items: Sequence[Item]) -> list[Answer]:
        """The same questions as another sample: what a model that wavers answers now."""
        requests = [replace(self._request(prompt, item), purpose="probe", sample=1) for item in items]
        return [self._answer(prompt, reply) for reply in await self._asking.ask_all(requests)]

    async def _ask(self, request: Request) -> Reply | CallerError:
        return (await self._asking.ask_all([request]))[0]

    async def answers(self, prompt: Prompt, items: Sequence[Item]) -> list[Answer]:
        """Ask all items at once, as many at a time as the model stands."""
        replies = await self._asking.ask_all([self._request(prompt, item) for item in items])
        return [self._answer(prompt, reply) for reply in replies]

    def _request(self, prompt: Prompt, item: Item) -> Request:
        by_label = self.scores_labels and not prompt.thinks_aloud
        tokens = self._config.reasoning_tokens if prompt.thinks_aloud else self._config.answer_tokens
        messages = prompt.messages(item.input)
        unheard = self.endpoint is not None and self.endpoint.system_role is False
        return Request(
            messages=joined(messages) if unheard else messages,
            max_tokens=1 if by_label else tokens,
            labels=self.labels if by_label else (),
        )

    def _answer(self, prompt: Prompt, reply: Reply | CallerError) -> Answer:
        if isinstance(reply, CallerError):
            return Answer(missing=str(reply))
        self.sampling_accepted &= reply.sampling == "as_asked"
        price = price_of(self._asking.llm.provider, reply.model)
        return Answer(
            text=parse_answer(reply.text, self.labels),
            label_logprobs=None if prompt.thinks_aloud else reply.label_logprobs,
            tokens=reply.prompt_tokens + reply.completion_tokens,
            latency_s=reply.latency_s,
            price_usd=None if price is None else price.of(reply.prompt_tokens, reply.completion_tokens),
        )


class FunctionEvaluator:
    """Calls ``evaluation_fn(prompt_text, samples)``: a score a sample, or one mean (``gives_means``: weaker, unpaired)."""

    scoring = "evaluation_fn"

    def __init__(
        self, asking: Asking, log: RunLog, evaluation_fn: EvaluationFn, check_time: Callable[[], None]
    ) -> None:
        self._asking = asking
        self._log = log
        self._evaluate = evaluation_fn
        self._check_time = check_time
        self._kind: type | None = None

    @property
    def gives_means(self) -> bool:
        """Whether the function gives one mean a call, which hides its items."""
        return self._kind is float

    async def answers(self, prompt: Prompt, items: Sequence[Item]) -> list[Answer]:
        """Scores of items; a mean is entered for every item, and `gives_means` says so.

        Raises:
            CallerError: the function returned neither a score in [0, 1] nor one for each sample, or now this and now that.
            BudgetExhausted: the time for the run, or the cap on calls, is used up.
        """
        if not items:
            return []
        self._asking.spend(len(items))
        digest = hashlib.sha256("\x1f".join([prompt.version, *(item.id for item in items)]).encode()).hexdigest()
        said: float | list[float] | None = self._log.score(digest)
        if said is None:
            self._check_time()
            result = self._evaluate(prompt.render(), [item.as_sample() for item in items])
            said = _checked(await result if inspect.isawaitable(result) else result, len(items))
            self._log.put_score(digest, said)
        if isinstance(said, float) and len(items) == 1 and not self.gives_means:
            said = [said]
        if type(said) is not (self._kind or type(said)):
            raise CallerError("evaluation_fn returned one mean in one call and one score a sample in another")
        self._kind = type(said)
        scores: list[float] = said if isinstance(said, list) else [said] * len(items)
        return [Answer(score=score) for score in scores]


def _checked(result: Any, count: int) -> float | list[float]:
    """A mean as a float, or one score a sample as a list."""
    result = _plain(result)
    if isinstance(result, bool | int | float):
        return _unit(result)
    if not isinstance(result, list | tuple):
        raise CallerError(
            f"evaluation_fn returned a {type(result).__name__}; it must return a score or one score a sample"
        )
    if len(result) != count:
        raise CallerError(f"evaluation_fn returned {len(result)} scores for {count} samples")
    return [_unit(_plain(score)) for score in result]


def _plain(value: Any) -> Any:
    """Arrays, tensors and their scalars as Python's own."""
    return value.tolist() if hasattr(value, "tolist") else value


def _unit(score: Any) -> float:
    if not isinstance(score, bool | int | float) or not math.isfinite(score) or not 0.0 <= score <= 1.0:
        raise CallerError(f"evaluation_fn returned the score {score!r}; scores are finite numbers in [0, 1]")
    return float(score)
