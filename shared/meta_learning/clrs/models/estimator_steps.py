"""How an estimator learns online: alone, or as the last step of a pipeline whose other steps can follow a stream."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import is_classifier, is_regressor
from sklearn.pipeline import Pipeline

from meta_learning.errors import UnsupportedEstimator

# Their fit draws numbers for the width of the data and looks at nothing else: the first batch is as good as all of it.
DRAWN_ONCE = frozenset(
    {"RBFSampler", "SkewedChi2Sampler", "PolynomialCountSketch", "GaussianRandomProjection", "SparseRandomProjection"}
)


def final(estimator: Any) -> Any:
    """What learns the scores: the last step of a pipeline, or the estimator itself."""
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def check(estimator: Any) -> None:
    """Refuse what cannot learn scores from a stream.

    Raises:
        UnsupportedEstimator: the message says which part, and why.
    """
    last, name = final(estimator), type(final(estimator)).__name__
    if inspect.isclass(estimator):
        raise UnsupportedEstimator(f"{estimator.__name__} is a class: give an instance of it")
    if not callable(getattr(last, "partial_fit", None)):
        raise UnsupportedEstimator(f"{name} has no partial_fit: it cannot learn online")
    if not (is_classifier(last) or is_regressor(last)):
        raise UnsupportedEstimator(f"{name} is neither a regressor nor a classifier")
    for step in _transformers(estimator):
        if not (hasattr(step, "partial_fit") or _draws_once(step) or not step.__sklearn_tags__().requires_fit):
            raise UnsupportedEstimator(
                f"the step {type(step).__name__} must be fitted on all data at once: it cannot follow a stream"
            )


def learn(estimator: Any, rows: Any, targets: Any, **more: Any) -> None:
    """One ``partial_fit``, step by step; ``more`` goes to the last step."""
    for step in _transformers(estimator):
        if hasattr(step, "partial_fit"):
            step.partial_fit(rows)
        elif _draws_once(step) and not hasattr(step, "n_features_in_"):
            step.fit(rows)
        rows = step.transform(rows)
    final(estimator).partial_fit(rows, targets, **more)


def takes_weights(estimator: Any) -> bool:
    """Whether rows may weigh differently."""
    return "sample_weight" in inspect.signature(final(estimator).partial_fit).parameters


def is_fitted(estimator: Any) -> bool:
    """Whether it has learnt anything before."""
    return hasattr(final(estimator), "n_features_in_")


def seed(estimator: Any) -> Any:
    """With ``random_state=None`` scikit-learn would draw from the process-wide generator: no run could be repeated."""
    free = [
        name
        for name, value in estimator.get_params().items()
        if name.rpartition("__")[2] == "random_state" and value is None
    ]
    return estimator.set_params(**dict.fromkeys(free, 0)) if free else estimator


def classes_of(estimator: Any) -> dict[str, Any]:
    """What a classifier must be told with its first rows."""
    return {"classes": np.array([0, 1])} if is_classifier(final(estimator)) else {}


def example(width: int, dense: bool) -> Any:
    """Two rows that show what will come: non-negative, mostly zero."""
    rows = sparse.csr_matrix(np.eye(2, width) * 0.5)
    return rows.toarray() if dense else rows


def _transformers(estimator: Any) -> list[Any]:
    steps = estimator.steps[:-1] if isinstance(estimator, Pipeline) else []
    return [step for _, step in steps if step is not None and step != "passthrough"]


def _draws_once(step: Any) -> bool:
    return type(step).__name__ in DRAWN_ONCE and type(step).__module__.startswith("sklearn.")
