"""Compression as a step of publication: a version with pruned, quantised numbers, which must pass the gates of any other.

It is for sending and keeping: what is restored answers from full-width arrays, at the speed of the original.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from meta_learning.clrs.gating import gates
from meta_learning.clrs.gating.evidence import Evidence
from meta_learning.clrs.models.port import Floats, Model, Pair
from meta_learning.clrs.models.quantised import Numbers, Recipe, packed, unpacked
from meta_learning.clrs.settings import LoopSettings
from meta_learning.errors import CallerError, ConfigurationError, MalformedState

HEADER = b"MLCQ1\n"


@runtime_checkable
class Compressible(Model, Protocol):
    """A model whose large arrays can be taken out and put back."""

    def large_arrays(self) -> dict[str, Numbers]:
        """What may be kept in few bits, by name."""

    def with_arrays(self, arrays: Mapping[str, Numbers]) -> Self:
        """A twin with these in place of its own; what only serves learning faster may be forgotten."""


def compressed(model: Model, recipe: Recipe | None = None) -> CompressedModel:
    """``model`` in few bits.

    Raises:
        CallerError: a model of this kind cannot be compressed.
    """
    if not isinstance(model, Compressible):
        raise CallerError(f"{type(model).__name__} does not say which of its arrays may be compressed")
    return CompressedModel.of(model, recipe or Recipe())


def judged(
    original: Model, small: Model, pairs: Sequence[Pair], scores: Floats, settings: LoopSettings
) -> gates.Decision:
    """The gates' decision on ``small`` in place of ``original``, on held-out feedback that neither has learnt.

    The gates are those between any champion and its candidate: not inferior, behaviour, negative flips, finite numbers.
    """
    before, after = (np.round(model.predict(pairs), 6) for model in (original, small))
    finite = gates.finite_outputs(after, "compressed")
    if not finite.passed:
        return gates.decide([finite])
    evidence = Evidence.of(before, after, scores, {})
    return gates.decide(
        [
            gates.not_inferior(evidence, 0.0, settings),
            gates.behaviour_within(before, after, False, settings.behaviour_max),
            gates.few_negative_flips(evidence, settings),
        ]
    )


class CompressedModel:
    """Answers from what is left after ``recipe``. It may learn on, and is compressed again after each batch (a coarse learner)."""

    def __init__(self, shell: bytes, parts: dict[str, bytes], recipe: Recipe, inner: Compressible) -> None:
        self._shell, self._parts, self.recipe, self._inner = shell, parts, recipe, inner

    @classmethod
    def of(cls, model: Compressible, recipe: Recipe) -> CompressedModel:
        """Compress ``model``, which stays as it is."""
        arrays = model.large_arrays()
        parts = {name: packed(array, recipe) for name, array in sorted(arrays.items())}
        shell = model.with_arrays({name: np.zeros_like(array) for name, array in arrays.items()})
        rough = model.with_arrays({name: unpacked(part, arrays[name]) for name, part in parts.items()})
        return cls(zlib.compress(shell.dump(), 6), parts, recipe, rough)

    def predict(self, pairs: Sequence[Pair]) -> Floats:
        """Expected scores of the compressed version."""
        return self._inner.predict(pairs)

    def learn(self, pairs: Sequence[Pair], targets: Floats, weights: Floats | None = None) -> None:
        """Learn, and compress what came of it; steps smaller than the grid are lost."""
        pupil = self._inner.copy()
        pupil.learn(pairs, targets, weights)
        self.__dict__.update(CompressedModel.of(pupil, self.recipe).__dict__)

    def copy(self) -> Self:
        """A twin."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)  # nothing in it is changed in place
        return twin

    def version(self) -> str:
        """Digest of everything that is kept."""
        return hashlib.sha256(self.dump()).hexdigest()

    def dump(self) -> bytes:
        """Header, lengths as JSON, the model without its large arrays, then those arrays in few bits."""
        about = {
            "recipe": asdict(self.recipe),
            "shell": len(self._shell),
            "parts": {name: len(part) for name, part in self._parts.items()},
        }
        head = json.dumps(about).encode()
        return HEADER + struct.pack("<I", len(head)) + head + self._shell + b"".join(self._parts.values())

    @classmethod
    def load(cls, blob: bytes, load: Callable[[bytes], Model]) -> CompressedModel:
        """Read `dump` back; ``load`` reads the model that was compressed.

        Raises:
            MalformedState: damaged.
            ConfigurationError: what the model within needs (base weights, an extra) is not here.
        """
        try:
            start = len(HEADER) + 4
            (length,) = struct.unpack("<I", blob[len(HEADER) : start])
            about: dict[str, Any] = json.loads(blob[start : start + length])
            at = start + length + int(about["shell"])
            shell, recipe, parts = blob[start + length : at], Recipe(**about["recipe"]), {}
            for name, size in about["parts"].items():
                parts[str(name)], at = blob[at : at + size], at + size
            plain = zlib.decompress(shell)
        except (ValueError, KeyError, TypeError, AttributeError, struct.error, zlib.error, ConfigurationError) as error:
            raise MalformedState(f"not a compressed model: {error!r}") from error
        inner = load(plain)
        empty = inner.large_arrays() if isinstance(inner, Compressible) else {}
        if not isinstance(inner, Compressible) or empty.keys() != parts.keys():
            raise MalformedState("not a compressed model: its arrays are not those of the model within")
        rough = inner.with_arrays({name: unpacked(part, empty[name]) for name, part in parts.items()})
        return cls(shell, parts, recipe, rough)
