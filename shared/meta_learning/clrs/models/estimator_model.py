"""Any scikit-learn estimator that learns online (``partial_fit``) as a model of the loop."""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import clone, is_classifier, is_regressor

from meta_learning.clrs.models import skops_archive
from meta_learning.clrs.models.features import FeatureSettings, PairFeatures
from meta_learning.clrs.models.port import Floats, Pair
from meta_learning.errors import MalformedState, UnsupportedEstimator

HEADER = b"MLSK1\n"


class EstimatorModel:
    """Wraps an estimator with ``partial_fit``; the features are those of the default text model.

    A regressor learns the score itself, and what it predicts is cut to [0, 1]. A classifier learns every pair twice, as
    true with weight y and as false with weight 1 - y (as 0 or 1 by y >= 0.5 where it takes no weights); its score is the
    probability of true, or 0 or 1 where it has none. Saved with skops, never pickled.

    >>> from sklearn.linear_model import SGDRegressor
    >>> model = EstimatorModel(SGDRegressor(random_state=0))
    >>> model.learn([("fine day", "ok"), ("bad day", "ok")], np.array([1.0, 0.0]))
    >>> good, bad = model.predict([("fine day", "ok"), ("bad day", "ok")])
    >>> bool(good > bad)
    True

    Raises:
        UnsupportedEstimator: no ``partial_fit``, neither regressor nor classifier, or it cannot be saved without pickle.
    """

    def __init__(self, estimator: Any, features: PairFeatures | None = None) -> None:
        if not callable(getattr(estimator, "partial_fit", None)):
            raise UnsupportedEstimator(f"{type(estimator).__name__} has no partial_fit: it cannot learn online")
        if not (is_classifier(estimator) or is_regressor(estimator)):
            raise UnsupportedEstimator(f"{type(estimator).__name__} is neither a regressor nor a classifier")
        _rehearse(estimator)
        self.estimator = _seeded(copy.deepcopy(estimator))
        self.features = features or PairFeatures(FeatureSettings())
        self._learnt = 1 if _is_fitted(estimator) else 0
        self._version: str | None = None
        skops_archive.pack(self.estimator)

    def predict(self, pairs: Sequence[Pair]) -> Floats:
        """Expected scores; 0.5 for everything before anything is learnt."""
        if not pairs or not self._learnt:
            return np.full(len(pairs), 0.5)
        matrix = self._matrix(pairs)
        if is_classifier(self.estimator) and hasattr(self.estimator, "predict_proba"):
            scores = self.estimator.predict_proba(matrix)[:, 1]
        else:
            scores = self.estimator.predict(matrix)
        return np.clip(np.asarray(scores, dtype=np.float64), 0.0, 1.0)

    def learn(self, pairs: Sequence[Pair], targets: Floats, weights: Floats | None = None) -> None:
        """One ``partial_fit`` over ``pairs``."""
        if not pairs:
            return
        matrix = self._matrix(pairs)
        costs = np.ones(len(pairs)) if weights is None else weights
        if is_classifier(self.estimator):
            self._learn_classes(matrix, targets, costs)
        else:
            self._fit(matrix, targets, costs)
        self._learnt += len(pairs)
        self._version = None

    def _learn_classes(self, matrix: sparse.csr_matrix, targets: Floats, costs: Floats) -> None:
        if not _takes_weights(self.estimator):
            self.estimator.partial_fit(matrix, (targets >= 0.5).astype(int), classes=np.array([0, 1]))
            return
        both = sparse.vstack([matrix, matrix], format="csr")
        labels = np.repeat([1, 0], len(targets))
        shares = np.concatenate([targets * costs, (1.0 - targets) * costs])
        order = np.argsort(np.tile(np.arange(len(targets)), 2), kind="stable")  # each pair's two rows side by side
        kept = order[shares[order] > 0.0]
        self._fit(both[kept], labels[kept], shares[kept], classes=np.array([0, 1]))

    def _fit(self, matrix: Any, targets: Any, costs: Floats, **more: Any) -> None:
        if _takes_weights(self.estimator):
            more["sample_weight"] = costs
        self.estimator.partial_fit(matrix, targets, **more)

    def _matrix(self, pairs: Sequence[Pair]) -> sparse.csr_matrix:
        rows = self.features.rows(pairs)
        # 32-bit indices: some estimators refuse wider ones.
        parts = rows.values.astype(np.float64), rows.indices.astype(np.int32), rows.starts.astype(np.int32)
        return sparse.csr_matrix(parts, shape=(len(pairs), self.features.width))

    def copy(self) -> Self:
        """A twin; the features are shared."""
        twin = copy.copy(self)
        twin.estimator = copy.deepcopy(self.estimator)
        return twin

    def version(self) -> str:
        """Digest of the estimator's canonical archive: its type, parameters and arrays; computed once between two batches."""
        if self._version is None:
            self._version = hashlib.sha256(HEADER + skops_archive.pack(self.estimator)).hexdigest()
        return self._version

    def dump(self) -> bytes:
        """Header, settings, then the canonical archive, compressed."""
        about = {"learnt": self._learnt, "features": asdict(self.features.settings)}
        head = json.dumps(about, sort_keys=True).encode()
        packed = zlib.compress(skops_archive.pack(self.estimator), 1)
        return HEADER + struct.pack("<I", len(head)) + head + packed

    @classmethod
    def load(cls, blob: bytes, features: PairFeatures | None = None) -> Self:
        """Read `dump` back; ``features`` of another model with the same settings may be shared.

        Raises:
            MalformedState: damaged, or it names types outside the trusted list.
        """
        try:
            start = len(HEADER) + 4
            (length,) = struct.unpack("<I", blob[len(HEADER) : start])
            about = json.loads(blob[start : start + length])
            archive = zlib.decompress(blob[start + length :])
            settings, learnt = FeatureSettings(**about["features"]), int(about["learnt"])
        except (ValueError, KeyError, TypeError, struct.error, zlib.error) as error:
            raise MalformedState(f"not an estimator model: {error}") from error
        model = cls.__new__(cls)
        model.estimator = skops_archive.unpack(archive)
        shared = features is not None and features.settings == settings
        model.features = features if shared and features is not None else PairFeatures(settings)
        model._learnt, model._version = learnt, None
        return model


def _rehearse(estimator: Any) -> None:
    """Let an unfitted clone learn two rows and be saved: what it will refuse later, it refuses now."""
    trial = _seeded(clone(estimator))
    more = {"classes": np.array([0, 1])} if is_classifier(estimator) else {}
    try:
        trial.partial_fit(sparse.csr_matrix(np.eye(2, 8)), np.array([0, 1]), **more)
    except Exception as error:
        raise UnsupportedEstimator(f"{type(estimator).__name__} cannot learn from sparse rows: {error}") from error
    skops_archive.pack(trial)


def _seeded(estimator: Any) -> Any:
    """With ``random_state=None`` scikit-learn would draw from the process-wide generator: no run could be repeated."""
    parameters = estimator.get_params()
    if "random_state" in parameters and parameters["random_state"] is None:
        estimator.set_params(random_state=0)
    return estimator


def _takes_weights(estimator: Any) -> bool:
    return "sample_weight" in inspect.signature(estimator.partial_fit).parameters


def _is_fitted(estimator: Any) -> bool:
    return hasattr(estimator, "n_features_in_")
