"""One adapter with its optimiser: what it says about pairs, and how it learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from meta_learning.clrs.models.extras import needed
from meta_learning.clrs.models.language import kto, low_rank
from meta_learning.clrs.models.language.base_weights import ABSENT, BaseWeights
from meta_learning.clrs.models.language.low_rank import AdapterShape, Tensor
from meta_learning.clrs.models.language.prompting import Question
from meta_learning.clrs.models.language.replicas import Alone, Replicas
from meta_learning.clrs.models.port import Floats


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """``rate``: Adam's. ``beta``: how sharply KTO values a log-ratio. ``mismatched_count``: rows a step that estimate KTO's KL
    where answers are free text (among labels it is computed)."""

    shape: AdapterShape = field(default_factory=AdapterShape)
    rate: float = 1e-3
    beta: float = 0.5
    batch_count: int = 16
    mismatched_count: int = 2
    passes_count: int = 1
    ask_count: int = 32  # rows of one forward pass when nothing is learnt


class AdapterTrainer:
    """Flat adapter and moments on the base's device; ``mass`` is the desirable and the undesirable weight seen so far."""

    def __init__(self, base: BaseWeights, settings: TrainingSettings, seed: int, replicas: Replicas | None) -> None:
        torch = needed("torch", "torch")
        self.base, self.settings, self.seed, self.replicas = base, settings, seed, replicas or Alone()
        self.slots = base.slots(settings.shape)
        numbers = low_rank.fresh(self.slots, settings.shape.rank, seed)
        self.flat = torch.from_numpy(numbers).to(base.device)
        self.moments = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        self.step, self.mass = 0, np.zeros(2)

    def views(self, flat: Tensor | None = None) -> Any:
        """The adapter as `low_rank.active` wants it."""
        return low_rank.views(self.flat if flat is None else flat, self.slots, self.settings.shape.rank)

    def ask(self, questions: Sequence[Question], adapter: Any) -> Floats:
        """Log-probabilities of the answers, shape (n, most answers).

        Questions of like length share a pass, and each replica does its share of the passes.
        """
        torch = needed("torch", "torch")
        order, size = _by_length(questions), self.settings.ask_count
        groups = [order[at : at + size] for at in range(0, len(order), size)]
        width = max((len(answers) for _, answers in questions), default=1)
        found = torch.zeros((len(questions), width), dtype=torch.float64, device=self.base.device)
        with torch.no_grad():
            for group in groups[self.replicas.rank :: self.replicas.count]:
                said = self.base.log_probabilities([questions[index] for index in group], adapter).double()
                found[group] = torch.nn.functional.pad(said, (0, width - said.shape[1]), value=ABSENT)
        return np.asarray(self.replicas.total(found).cpu().numpy(), dtype=np.float64)

    def learn(self, questions: Sequence[Question], references: Floats, scores: Floats, weights: Floats) -> None:
        """One step for every ``batch_count`` rows; ``references`` is what `ask` found under the bare base.

        Rows of like length make a batch, so that little of it is padding; the batches come in a drawn order.
        """
        self.mass = self.mass + np.array([(scores * weights).sum(), ((1.0 - scores) * weights).sum()])
        batches = np.array_split(_by_length(questions), -(-len(questions) // self.settings.batch_count))
        for _ in range(self.settings.passes_count):  # none: a frozen model, whose calibration alone learns
            for number in np.random.default_rng([self.seed, self.step, 402]).permutation(len(batches)):
                part = batches[number]
                self._step([questions[at] for at in part], references[part], scores[part], weights[part])

    def _step(self, questions: list[Question], references: Floats, scores: Floats, weights: Floats) -> None:
        torch = needed("torch", "torch")
        flat = self.flat.detach().clone().requires_grad_(True)
        gradient, mine = torch.zeros_like(flat), slice(self.replicas.rank, None, self.replicas.count)
        policy = reference = None
        if len(questions[mine]):
            said = self.base.log_probabilities(questions[mine], self.views(flat))
            told = torch.tensor(references[mine, : said.shape[1]], dtype=torch.float32, device=flat.device)
            policy, reference = kto.among(said), kto.among(told)
        point = self._reference_point(questions, policy, reference)
        if policy is not None and reference is not None:
            wanted, costs = (torch.tensor(array[mine], dtype=torch.float32, device=flat.device)
                             for array in (scores, weights))  # fmt: skip
            ratios = policy[:, 0] - reference[:, 0]
            found = kto.losses(ratios, point, wanted, kto.lambdas_of(self.mass), self.settings.beta)
            (found * costs).sum().div(len(questions)).backward()
            gradient = flat.grad
        self.step += 1
        kto.descend(self.flat, self.replicas.total(gradient), self.moments, self.step, self.settings.rate)

    def _reference_point(self, questions: list[Question], policy: Tensor | None, reference: Tensor | None) -> float:
        """KTO's z. Among labels: the batch's mean KL. Else, as in the paper, the mean log-ratio of answers to *other* inputs.

        The latter is not below 0.
        """
        torch = needed("torch", "torch")
        if self.step == 0:
            return 0.0  # an adapter that has not learnt yet differs from the base by nothing
        if len(questions[0][1]) > 1:
            local = torch.zeros(1, dtype=torch.float32, device=self.base.device)
            if policy is not None:
                local = kto.divergences(policy.detach(), reference).sum().reshape(1)
            return float(self.replicas.total(local)) / len(questions)
        count = min(self.settings.mismatched_count, len(questions) - 1)
        if count < 1:
            return 0.0
        mixed = [(questions[at][0], questions[at + 1][1]) for at in range(count)]
        return max(0.0, float((self.ask(mixed, self.views()) - self.ask(mixed, None)).mean()))

    def copy(self) -> AdapterTrainer:
        """A twin on the same base weights: only the adapter and its moments are copied."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.flat, twin.mass = self.flat.clone(), self.mass.copy()
        twin.moments = self.moments[0].clone(), self.moments[1].clone()
        return twin


def _by_length(questions: Sequence[Question]) -> list[int]:
    lengths = [len(prompt) + max(map(len, answers)) for prompt, answers in questions]
    return sorted(range(len(questions)), key=lambda at: (lengths[at], at))
