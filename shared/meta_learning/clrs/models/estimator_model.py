"""Any scikit-learn estimator that learns online (``partial_fit``) as a model of the loop."""

from __future__ import annotations

import copy
import hashlib
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import is_classifier

from meta_learning.clrs.models import estimator_rehearsal, estimator_steps, skops_archive
from meta_learning.clrs.models.features import FeatureSettings, PairFeatures
from meta_learning.clrs.models.port import Floats, Pair
from meta_learning.clrs.models.recent_logistic import RecentLogistic
from meta_learning.errors import MalformedState, UnsupportedEstimator

HEADER = b"MLSK1\n"
LARGE_COUNT = 256  # numbers from which an array is worth compressing


class EstimatorModel:
    """Wraps an estimator with ``partial_fit``, or a pipeline that ends in one; the features are those of the text model.

    A regressor learns the score itself, and what it predicts is cut to [0, 1]. A classifier learns every pair twice, as
    true with weight y and as false with weight 1 - y (as 0 or 1 by y >= 0.5 where it takes no weights); its score is the
    probability of true, or where it has none its decision function, calibrated on what it said before it learnt.
    Estimators that keep much for each feature (networks) or need dense rows get a narrower hashed space, so that a version
    stays below about 16 MB, unless ``features`` are given. Saved with skops, never pickled.

    A pipeline's other steps must have ``partial_fit`` themselves, need no fit, or be random projections.

    >>> from sklearn.linear_model import SGDRegressor
    >>> model = EstimatorModel(SGDRegressor(random_state=0))
    >>> model.learn([("fine day", "ok"), ("bad day", "ok")], np.array([1.0, 0.0]))
    >>> good, bad = model.predict([("fine day", "ok"), ("bad day", "ok")])
    >>> bool(good > bad)
    True

    Raises:
        UnsupportedEstimator: no ``partial_fit``, neither regressor nor classifier, a step that must see all data at once,
            fitted on other features, or it cannot be saved without pickle.
    """

    def __init__(self, estimator: Any, features: PairFeatures | None = None) -> None:
        estimator_steps.check(estimator)
        self._dense, feature_bytes = estimator_rehearsal.rehearse(estimator)
        self.estimator = estimator_steps.seed(copy.deepcopy(estimator))
        fitted = estimator_steps.is_fitted(estimator)
        wanted = FeatureSettings() if fitted else estimator_rehearsal.fitting_features(self._dense, feature_bytes)
        self.features = features or PairFeatures(wanted)
        known = getattr(estimator, "n_features_in_", None) if fitted else None
        if known is not None and known != self.features.width:
            raise UnsupportedEstimator(
                f"{type(estimator).__name__} was fitted on {known} features; these are {self.features.width}"
            )
        self._learnt = 1 if fitted else 0
        self.calibration = RecentLogistic.empty(width=1)
        self._version: str | None = None
        skops_archive.pack(self.estimator)

    def predict(self, pairs: Sequence[Pair]) -> Floats:
        """Expected scores; 0.5 for everything before anything is learnt."""
        if not pairs or not self._learnt:
            return np.full(len(pairs), 0.5)
        rows = self._rows(pairs)
        if self._decides:
            return self._calibrated(self._decisions(rows))
        if is_classifier(self.estimator) and hasattr(self.estimator, "predict_proba"):
            scores = self.estimator.predict_proba(rows)[:, 1]
        else:
            scores = self.estimator.predict(rows)
        return np.clip(np.asarray(scores, dtype=np.float64), 0.0, 1.0)

    @property
    def _decides(self) -> bool:
        """A classifier without probabilities whose decision function can be calibrated."""
        last = estimator_steps.final(self.estimator)
        return is_classifier(last) and not hasattr(last, "predict_proba") and hasattr(last, "decision_function")

    def _decisions(self, rows: Any) -> Floats:
        return np.asarray(self.estimator.decision_function(rows), dtype=np.float64).reshape(-1)

    def _calibrated(self, decisions: Floats) -> Floats:
        if len(self.calibration.rows):
            return self.calibration.scores(decisions[:, None])
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(decisions, -30.0, 30.0))))

    def learn(self, pairs: Sequence[Pair], targets: Floats, weights: Floats | None = None) -> None:
        """One ``partial_fit`` over ``pairs``."""
        if not pairs:
            return
        rows = self._rows(pairs)
        costs = np.ones(len(pairs)) if weights is None else np.asarray(weights, dtype=np.float64)
        if self._decides and self._learnt:
            self.calibration.add(self._decisions(rows)[:, None], targets, costs)
        if is_classifier(self.estimator):
            self._learn_classes(rows, targets, costs)
        else:
            self._fit(rows, targets, costs)
        self._learnt += len(pairs)
        self._version = None

    def _learn_classes(self, rows: Any, targets: Floats, costs: Floats) -> None:
        if not estimator_steps.takes_weights(self.estimator):
            kept = np.flatnonzero(costs > 0.0)
            if len(kept):
                self._fit(rows[kept], (targets[kept] >= 0.5).astype(int), costs[kept])
            return
        order = np.repeat(np.arange(len(targets)), 2)  # each pair's two rows side by side
        labels = np.tile([1, 0], len(targets))
        shares = np.where(labels == 1, targets[order], 1.0 - targets[order]) * costs[order]
        kept = np.flatnonzero(shares > 0.0)
        if len(kept):
            self._fit(rows[order[kept]], labels[kept], shares[kept])

    def _fit(self, rows: Any, targets: Any, costs: Floats) -> None:
        more = estimator_steps.classes_of(self.estimator)
        if estimator_steps.takes_weights(self.estimator):
            more["sample_weight"] = costs
        estimator_steps.learn(self.estimator, rows, targets, **more)

    def _rows(self, pairs: Sequence[Pair]) -> Any:
        rows = self.features.rows(pairs)
        # 32-bit indices: some estimators refuse wider ones.
        parts = rows.values.astype(np.float64), rows.indices.astype(np.int32), rows.starts.astype(np.int32)
        matrix = sparse.csr_matrix(parts, shape=(len(pairs), self.features.width))
        return matrix.toarray() if self._dense else matrix

    def copy(self) -> Self:
        """A twin; the features are shared."""
        twin = copy.copy(self)
        twin.estimator, twin.calibration = copy.deepcopy(self.estimator), self.calibration.copy()
        return twin

    def large_arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """What may be compressed: the arrays of the saved estimator that hold fractions."""
        return skops_archive.arrays(skops_archive.pack(self.estimator), LARGE_COUNT)

    def with_arrays(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Self:
        """A twin with these arrays in place of its own."""
        twin = self.copy()
        twin.estimator = skops_archive.unpack(skops_archive.with_arrays(skops_archive.pack(self.estimator), arrays))
        twin._version = None
        return twin

    def version(self) -> str:
        """Digest of the estimator's canonical archive: its type, parameters and arrays; computed once between two batches."""
        if self._version is None:
            self._version = hashlib.sha256(
                HEADER + skops_archive.pack(self.estimator) + self._calibration_bytes()
            ).hexdigest()
        return self._version

    def dump(self) -> bytes:
        """Header, settings, the calibration, then the canonical archive, compressed."""
        about = {
            "learnt": self._learnt,
            "features": asdict(self.features.settings),
            "dense": self._dense,
            "calibrated": len(self.calibration.rows),
        }
        head = json.dumps(about, sort_keys=True).encode()
        packed = zlib.compress(skops_archive.pack(self.estimator), 1)
        return HEADER + struct.pack("<I", len(head)) + head + self._calibration_bytes() + packed

    def _calibration_bytes(self) -> bytes:
        return self.calibration.rows.astype("<f8").tobytes()

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
            body = start + length + 24 * int(about["calibrated"])
            calibration = np.frombuffer(blob[start + length : body], dtype="<f8").reshape(-1, 3)
            archive = zlib.decompress(blob[body:])
            settings, learnt, dense = FeatureSettings(**about["features"]), int(about["learnt"]), bool(about["dense"])
        except (ValueError, KeyError, TypeError, struct.error, zlib.error) as error:
            raise MalformedState(f"not an estimator model: {error}") from error
        model = cls.__new__(cls)
        model.estimator = skops_archive.unpack(archive)
        shared = features is not None and features.settings == settings
        model.features = features if shared and features is not None else PairFeatures(settings)
        model.calibration = RecentLogistic(calibration.astype(np.float64))
        model._learnt, model._version, model._dense = learnt, None, dense
        return model
