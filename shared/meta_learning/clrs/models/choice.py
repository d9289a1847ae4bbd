"""The model that new loops begin with, by name: what an operator writes into a setting, read where a program starts."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from meta_learning.clrs.models.port import Model
from meta_learning.clrs.models.text_model import OnlineTextModel
from meta_learning.errors import ConfigurationError, UnsupportedEstimator

FORMS = "text, sgd, naive_bayes, network, estimator:sklearn.MODULE.CLASS, embedding, embedding:FOLDER, language, language:FOLDER"


def model_named(text: str) -> Model:
    """A model that has learnt nothing, of the kind that ``text`` names: one of `FORMS`.

    ``sgd``, ``naive_bayes`` and ``network`` are scikit-learn's with settings that suit text; ``estimator:`` takes any other of its
    estimators with ``partial_fit``, at its own defaults. ``embedding`` and ``language`` need an extra, and open the packaged
    weights or those of a folder.

    >>> type(model_named("text")).__name__, type(model_named("sgd")).__name__
    ('OnlineTextModel', 'EstimatorModel')

    Raises:
        ConfigurationError: no such kind, what it needs (an extra, weights) is not here, or an estimator that cannot learn online.
    """
    name, colon, source = text.strip().partition(":")
    make = _KINDS.get(name)
    takes, must = name in _SOURCED, name == "estimator"
    if make is None or (colon and not source) or (source and not takes) or (must and not source):
        raise ConfigurationError(f"no model {text!r}: it is one of {FORMS}")
    return make(source)


def _estimator(source: str) -> Model:
    module, _, name = source.rpartition(".")
    if not module.startswith("sklearn.") or name.startswith("_"):
        raise ConfigurationError(
            f"an estimator comes from scikit-learn, as sklearn.linear_model.SGDClassifier, not {source}"
        )
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise ConfigurationError(f"scikit-learn has no {source}") from None
    return _wrapped(_built(_class(found, source), source))


def _class(found: Any, source: str) -> Any:
    """``found``, if it is an estimator's class: its modules also hold functions, and to call one is to do what it does."""
    from sklearn.base import BaseEstimator

    if not (isinstance(found, type) and issubclass(found, BaseEstimator)):
        raise ConfigurationError(f"{source} is no class of estimators")
    return found


def _built(kind: Any, source: str) -> Any:
    try:
        return kind()
    except TypeError as error:
        raise ConfigurationError(f"{source} cannot be made without arguments: {error}") from None


def _wrapped(estimator: Any) -> Model:
    from meta_learning.clrs.models.estimator_model import EstimatorModel

    try:
        return EstimatorModel(estimator)
    except UnsupportedEstimator as error:
        raise ConfigurationError(str(error)) from error


def _sgd(_: str) -> Model:
    from sklearn.linear_model import SGDClassifier

    # The best of seventeen plain recipes on three streams of short texts.
    return _wrapped(SGDClassifier(loss="log_loss", alpha=1e-5, average=True, random_state=0))


def _naive_bayes(_: str) -> Model:
    from sklearn.naive_bayes import MultinomialNB

    return _wrapped(MultinomialNB())


def _network(_: str) -> Model:
    from sklearn.neural_network import MLPClassifier

    return _wrapped(MLPClassifier((16,), batch_size=10, random_state=0))


def _embedding(source: str) -> Model:
    from meta_learning.clrs.models.embedding.embedding_model import EmbeddingModel

    return EmbeddingModel(source) if source else EmbeddingModel()


def _language(source: str) -> Model:
    from meta_learning.clrs.models.language.language_model import LanguageModel

    return LanguageModel(source) if source else LanguageModel()


_SOURCED = frozenset({"estimator", "embedding", "language"})
_KINDS: dict[str, Callable[[str], Model]] = {
    "text": lambda _: OnlineTextModel(),
    "sgd": _sgd,
    "naive_bayes": _naive_bayes,
    "network": _network,
    "estimator": _estimator,
    "embedding": _embedding,
    "language": _language,
}
