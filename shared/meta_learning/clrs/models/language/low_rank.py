"""Low-rank adapters (LoRA, Hu et al. 2021, arXiv 2106.09685) on frozen linear layers: one flat vector of numbers a model.

Many adapters share one base. Which of them acts is told through a context variable, so that two threads may ask two
adapters (or the bare base) at the same time, and nothing is ever merged into the base weights.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from meta_learning.errors import ConfigurationError

Tensor: TypeAlias = Any  # torch is an extra: its types are not known everywhere
Numbers: TypeAlias = NDArray[np.float32]

_ACTIVE: ContextVar[Mapping[str, tuple[Tensor, Tensor]] | None] = ContextVar("adapter", default=None)


@dataclass(frozen=True, slots=True)
class AdapterShape:
    """Where an adapter acts. ``targets``: ends of layer names; ``layers_count``: only in the last so many blocks (0: in all).

    ``scale`` is LoRA's alpha / rank.
    """

    rank: int = 8
    scale: float = 2.0
    targets: tuple[str, ...] = ("q_proj", "v_proj")
    layers_count: int = 0


@dataclass(frozen=True, slots=True)
class Slot:
    """One adapted layer: its name, its inputs and its outputs."""

    name: str
    width_in: int
    width_out: int

    def size(self, rank: int) -> int:
        """How many numbers of the flat vector belong to this layer."""
        return rank * (self.width_in + self.width_out)


def slots_of(model: Any, shape: AdapterShape) -> tuple[Slot, ...]:
    """The layers of ``model`` that ``shape`` names, in the model's order.

    Raises:
        ConfigurationError: there are none.
    """
    found = []
    blocks = int(getattr(model.config, "num_hidden_layers", 0))
    first = max(blocks - shape.layers_count, 0) if shape.layers_count else 0
    for name, module in model.named_modules():
        if not name.endswith(shape.targets) or not hasattr(module, "in_features"):
            continue
        numbers = [int(part) for part in name.split(".") if part.isdigit()]
        if not numbers or numbers[0] >= first:
            found.append(Slot(name, int(module.in_features), int(module.out_features)))
    if not found:
        raise ConfigurationError(f"{type(model).__name__} has no linear layers named {', '.join(shape.targets)}")
    return tuple(found)


def fresh(slots: tuple[Slot, ...], rank: int, seed: int) -> Numbers:
    """An adapter that changes nothing yet: ``down`` drawn from ``seed``, ``up`` zero (as in the paper)."""
    draws = np.random.default_rng([seed, 2106])
    parts = []
    for slot in slots:
        bound = 1.0 / slot.width_in**0.5
        parts += [draws.uniform(-bound, bound, rank * slot.width_in), np.zeros(rank * slot.width_out)]
    return np.concatenate(parts).astype(np.float32)


def views(flat: Tensor, slots: tuple[Slot, ...], rank: int) -> dict[str, tuple[Tensor, Tensor]]:
    """(``down`` of shape (rank, in), ``up`` of shape (out, rank)) by layer, as views into ``flat``: gradients reach it."""
    result, start = {}, 0
    for slot in slots:
        middle, end = start + rank * slot.width_in, start + slot.size(rank)
        result[slot.name] = (
            flat[start:middle].reshape(rank, slot.width_in),
            flat[middle:end].reshape(slot.width_out, rank),
        )
        start = end
    return result


def attach(model: Any, slots: tuple[Slot, ...], scale: float) -> list[Any]:
    """Let the layers of ``slots`` add whatever adapter is active; the handles detach them again."""
    modules = dict(model.named_modules())
    return [
        modules[slot.name].register_forward_hook(functools.partial(_adapted, slot.name, scale), with_kwargs=False)
        for slot in slots
    ]


@contextlib.contextmanager
def active(adapter: Mapping[str, tuple[Tensor, Tensor]] | None) -> Iterator[None]:
    """Within, the layers add ``adapter`` (None: the bare base) in this thread and in no other."""
    token = _ACTIVE.set(adapter)
    try:
        yield
    finally:
        _ACTIVE.reset(token)


def _adapted(name: str, scale: float, _: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    adapter = _ACTIVE.get()
    if adapter is None or name not in adapter:
        return output
    down, up = adapter[name]
    given = inputs[0]
    # The adapter is float32 (a step of Adam would vanish in bfloat16), its products are in the numbers of the base.
    return output + (given @ down.to(given.dtype).T) @ up.to(given.dtype).T * scale
