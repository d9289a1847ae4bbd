"""Sentence embeddings as a model of the loop: a frozen encoder, and a small head that learns one row at a time."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from meta_learning.clrs.models.embedding.encoder import PACKAGED, Encoder, SentenceEncoder, WordHashEncoder
from meta_learning.clrs.models.embedding.pair_vectors import PairRows, PairVectors
from meta_learning.clrs.models.port import Floats, Pair, digest_of_arrays
from meta_learning.clrs.models.recent_logistic import RecentLogistic
from meta_learning.errors import ConfigurationError, MalformedState

HEADER = b"MLEM1\n"


@dataclass(frozen=True, slots=True)
class EmbeddingSettings:
    """``rate``: AdaGrad's learning rate."""

    rate: float = 0.1


class EmbeddingModel:
    """AdaGrad logistic (Duchi et al. 2011) with soft labels on `PairVectors`, calibrated on the last rows.

    Memory: 2 arrays of ``20 * width + 1`` float32 (61 KB with MiniLM's 384) beside the encoder, which all copies share.

    >>> model = EmbeddingModel(WordHashEncoder())
    >>> for _ in range(3): model.learn([("fine day", "ok"), ("bad day", "ok")], np.array([1.0, 0.0]))
    >>> good, bad = model.predict([("fine day", "ok"), ("bad day", "ok")])
    >>> bool(good > 0.5 > bad)
    True

    Raises:
        ConfigurationError: the encoder cannot be read, or the extra ``embeddings`` is missing.
    """

    def __init__(self, encoder: Encoder | str | Path = PACKAGED, settings: EmbeddingSettings | None = None) -> None:
        self.settings = settings or EmbeddingSettings()
        self.encoder = SentenceEncoder.open(encoder) if isinstance(encoder, str | Path) else encoder
        self._vectors = PairVectors(self.encoder)
        self.weights: NDArray[np.float32] = np.zeros(self._vectors.width, dtype=np.float32)
        self.squares: NDArray[np.float32] = np.zeros(self._vectors.width, dtype=np.float32)
        self.calibration = RecentLogistic.empty(width=1)
        self._version: str | None = None

    def predict(self, pairs: Sequence[Pair]) -> Floats:
        """Expected scores; 0.5 for everything before anything is learnt."""
        if not pairs:
            return np.zeros(0)
        return self.calibration.scores(self._logits(self._vectors.rows(pairs))[:, None])

    def learn(self, pairs: Sequence[Pair], targets: Floats, weights: Floats | None = None) -> None:
        """One pass over ``pairs``, one update a pair."""
        if not pairs:
            return
        costs = np.ones(len(pairs)) if weights is None else np.asarray(weights, dtype=np.float64)
        rows = self._vectors.rows(pairs)
        before = self._logits(rows)[:, None]
        for row, (target, cost) in enumerate(zip(targets.tolist(), costs.tolist(), strict=True)):
            self._update(rows, row, target, cost)
        self.calibration.add(before, targets, costs)
        self._version = None

    def _update(self, rows: PairRows, row: int, target: float, cost: float) -> None:
        parts = [(slice(0, self._vectors.dense_width), rows.dense[row])]
        if rows.slots[row] >= 0:
            parts.append((self._slot(int(rows.slots[row])), rows.inputs[row]))
        logit = sum(float(self.weights[place] @ values) for place, values in parts)
        error = cost * (1.0 / (1.0 + float(np.exp(-np.clip(logit, -30.0, 30.0)))) - target)
        for place, values in parts:
            gradient = values * np.float32(error)
            self.squares[place] += gradient * gradient
            self.weights[place] -= np.float32(self.settings.rate) * gradient / np.sqrt(self.squares[place] + 1e-8)

    def _logits(self, rows: PairRows) -> Floats:
        found = rows.dense.astype(np.float64) @ self.weights[: self._vectors.dense_width]
        for slot in np.unique(rows.slots[rows.slots >= 0]):
            here = rows.slots == slot
            found[here] += rows.inputs[here].astype(np.float64) @ self.weights[self._slot(int(slot))]
        return np.asarray(found, dtype=np.float64)

    def _slot(self, slot: int) -> slice:
        start = self._vectors.dense_width + slot * self.encoder.width
        return slice(start, start + self.encoder.width)

    def copy(self) -> Self:
        """A twin that shares the encoder and its memo."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.weights, twin.squares = self.weights.copy(), self.squares.copy()
        twin.calibration = self.calibration.copy()
        return twin

    def version(self) -> str:
        """Digest of settings, encoder and arrays; computed once between two batches."""
        if self._version is None:
            kind = HEADER.decode() + json.dumps(asdict(self.settings), sort_keys=True) + self.encoder.digest
            self._version = digest_of_arrays(kind, self.weights, self.squares, self.calibration.rows)
        return self._version

    def dump(self) -> bytes:
        """Header, settings and the encoder's digest as JSON, then the arrays, little-endian; never the encoder."""
        about = {
            "settings": asdict(self.settings),
            "encoder": self.encoder.digest,
            "source": self.encoder.source,
            "calibrated": len(self.calibration.rows),
        }
        head = json.dumps(about, sort_keys=True).encode()
        body = np.concatenate([self.weights, self.squares]).astype("<f4").tobytes()
        return HEADER + struct.pack("<I", len(head)) + head + body + self.calibration.rows.astype("<f8").tobytes()

    @classmethod
    def load(cls, blob: bytes, encoder: Encoder | None = None) -> Self:
        """Read `dump` back, with ``encoder`` or (without one) with the encoder that it was trained on, from where it was then.

        Raises:
            MalformedState: damaged, or trained on another encoder than this.
            ConfigurationError: the encoder is not here any more.
        """
        try:
            about, body = _parted(blob)
            settings, count = EmbeddingSettings(**about["settings"]), int(about["calibrated"])
            digest, source = str(about["encoder"]), str(about["source"])
        except (ValueError, KeyError, TypeError, struct.error) as error:
            raise MalformedState(f"not an embedding model: {error!r}") from error
        model = cls(encoder or _encoder(source), settings)
        if model.encoder.digest != digest:
            raise MalformedState(f"trained on the encoder {digest[:12]}; this is {model.encoder.digest[:12]}")
        width = model._vectors.width
        if len(body) != 8 * width + 24 * count:
            raise MalformedState("not an embedding model: the arrays do not fit the settings")
        model.weights, model.squares = np.frombuffer(body[: 8 * width], dtype="<f4").reshape(2, width).copy()
        model.calibration.rows = np.frombuffer(body[8 * width :], dtype="<f8").reshape(count, 3).copy()
        return model


def _encoder(source: str) -> Encoder:
    if source.startswith("words-") and source[6:].isdigit():
        return WordHashEncoder(int(source[6:]))
    if not source:
        raise ConfigurationError("this encoder came from no file: load with encoder=")
    return SentenceEncoder.open(source)


def _parted(blob: bytes) -> tuple[dict[str, Any], bytes]:
    if not blob.startswith(HEADER):
        raise ValueError("the header is missing")
    start = len(HEADER) + 4
    (length,) = struct.unpack("<I", blob[len(HEADER) : start])
    return dict(json.loads(blob[start : start + length])), blob[start + length :]
