"""One adapter with its optimiser: what it says about pairs, and how it learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from meta_learning.clrs.models.extras import needed
from meta_learning.clrs.models.language import kto, low_rank
from meta_learning.clrs.models.language.base_weights import BaseWeights
from meta_learning.clrs.models.language.low_rank import AdapterShape, Tensor
from meta_learning.clrs.models.language.replicas import Alone, Replicas
from meta_learning.clrs.models.port import Floats

Tokens = tuple[list[int], list[int]]  # (prompt, answer)


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """``rate``: Adam's. ``beta``: how sharply KTO values a log-ratio. ``mismatched_count``: rows a step that estimate KTO's KL."""

    shape: AdapterShape = field(default_factory=AdapterShape)
    rate: float = 1e-3
    beta: float = 0.1
    batch_count: int = 8
    mismatched_count: int = 2
    passes_count: int = 1
    ask_count: int = 16  # rows of one forward pass when nothing is learnt


class AdapterTrainer:
    """Flat adapter and moments on the base's device; ``mass`` is the desirable and the undesirable weight seen so far."""

    def __init__(self, base: BaseWeights, settings: TrainingSettings, seed: int, replicas: Replicas | None) -> None:
        torch = needed("torch", "torch")
        self.base, self.settings, self.replicas = base, settings, replicas or Alone()
        self.slots = base.slots(settings.shape)
        numbers = low_rank.fresh(self.slots, settings.shape.rank, seed)
        self.flat = torch.from_numpy(numbers).to(base.device)
        self.moments = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        self.step, self.mass = 0, np.zeros(2)

    def views(self, flat: Tensor | None = None) -> Any:
        """The adapter as `low_rank.active` wants it."""
        return low_rank.views(self.flat if flat is None else flat, self.slots, self.settings.shape.rank)

    def ask(self, rows: Sequence[Tokens], adapter: Any) -> Floats:
        """Log-probabilities of the answers; rows of like length share a pass, and each replica does its share of passes."""
        torch = needed("torch", "torch")
        order = sorted(range(len(rows)), key=lambda index: (len(rows[index][0]) + len(rows[index][1]), index))
        groups = [order[at : at + self.settings.ask_count] for at in range(0, len(order), self.settings.ask_count)]
        found = torch.zeros(len(rows), dtype=torch.float64, device=self.base.device)
        with torch.no_grad():
            for group in groups[self.replicas.rank :: self.replicas.count]:
                found[group] = self._forward([rows[index] for index in group], adapter).double()
        return np.asarray(self.replicas.total(found).cpu().numpy(), dtype=np.float64)

    def learn(self, rows: Sequence[Tokens], references: Floats, scores: Floats, weights: Floats) -> None:
        """One step for every ``batch_count`` rows; ``references`` are the log-probabilities under the bare base."""
        self.mass = self.mass + np.array([(scores * weights).sum(), ((1.0 - scores) * weights).sum()])
        size = self.settings.batch_count
        for _ in range(self.settings.passes_count):  # none: a frozen model, whose calibration alone learns
            for at in range(0, len(rows), size):
                part = slice(at, at + size)
                self._step(rows[part], references[part], scores[part], weights[part])

    def _step(self, rows: Sequence[Tokens], references: Floats, scores: Floats, weights: Floats) -> None:
        torch = needed("torch", "torch")
        reference = self._reference_point(rows)
        flat = self.flat.detach().clone().requires_grad_(True)
        gradient, mine = torch.zeros_like(flat), slice(self.replicas.rank, None, self.replicas.count)
        if len(rows[mine]):
            tensors = [torch.tensor(array[mine], dtype=torch.float32, device=flat.device)
                       for array in (references, scores, weights)]  # fmt: skip
            ratios = self._forward(rows[mine], self.views(flat)) - tensors[0]
            found = kto.losses(ratios, reference, tensors[1], kto.lambdas_of(self.mass), self.settings.beta)
            (found * tensors[2]).sum().div(len(rows)).backward()
            gradient = flat.grad
        self.step += 1
        kto.descend(self.flat, self.replicas.total(gradient), self.moments, self.step, self.settings.rate)

    def _reference_point(self, rows: Sequence[Tokens]) -> float:
        """KTO's z: the mean log-ratio of answers to *other* inputs of the batch, not below 0; an estimate of the KL."""
        count = min(self.settings.mismatched_count, len(rows) - 1)
        if count < 1 or self.step == 0:
            return 0.0  # an adapter that has not learnt yet differs from the base by nothing
        mixed = [(rows[index][0], rows[index + 1][1]) for index in range(count)]
        return max(0.0, float((self.ask(mixed, self.views()) - self.ask(mixed, None)).mean()))

    def _forward(self, rows: Sequence[Tokens], adapter: Any) -> Tensor:
        prompts, answers = zip(*rows, strict=True)
        return self.base.log_probabilities(prompts, answers, adapter)

    def copy(self) -> AdapterTrainer:
        """A twin on the same base weights: only the adapter and its moments are copied."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.flat, twin.mass = self.flat.clone(), self.mass.copy()
        twin.moments = self.moments[0].clone(), self.moments[1].clone()
        return twin
