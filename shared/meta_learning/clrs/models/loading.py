"""Reading any saved model back: the first line of its bytes says which kind it is."""

from __future__ import annotations

import json
import struct

from meta_learning.clrs.models import compression, estimator_model, text_dump
from meta_learning.clrs.models.compression import CompressedModel
from meta_learning.clrs.models.embedding import embedding_model
from meta_learning.clrs.models.embedding.embedding_model import EmbeddingModel
from meta_learning.clrs.models.estimator_model import EstimatorModel
from meta_learning.clrs.models.language import language_model
from meta_learning.clrs.models.language.language_model import LanguageModel
from meta_learning.clrs.models.port import Model
from meta_learning.clrs.models.text_model import OnlineTextModel
from meta_learning.errors import MalformedState


def load_model(blob: bytes, like: Model | None = None) -> Model:
    """The model that was dumped into ``blob``; it shares with ``like`` what both have in common: features, base weights.

    What was made on other base weights or another encoder than ``like`` opens its own: a setting may have changed since.

    >>> load_model(OnlineTextModel().dump()).version() == OnlineTextModel().version()
    True

    Raises:
        MalformedState: no model of a kind that this version knows.
        ConfigurationError: a kind that needs an extra, or base weights, which are not here.
    """
    if blob.startswith((text_dump.HEADER, text_dump.OLD_HEADER)):
        return OnlineTextModel.load(blob, like.features if isinstance(like, OnlineTextModel) else None)
    if blob.startswith(estimator_model.HEADER):
        return EstimatorModel.load(blob, like.features if isinstance(like, EstimatorModel) else None)
    if blob.startswith(language_model.HEADER):
        return LanguageModel.load(
            blob, like.base if isinstance(like, LanguageModel) and _made_on(blob, "base", like.base.digest) else None
        )
    if blob.startswith(embedding_model.HEADER):
        return EmbeddingModel.load(
            blob,
            like.encoder
            if isinstance(like, EmbeddingModel) and _made_on(blob, "encoder", like.encoder.digest)
            else None,
        )
    if blob.startswith(compression.HEADER):
        return CompressedModel.load(blob, lambda inner: load_model(inner, like))
    raise MalformedState("no model of a known kind: the header is missing")


def _made_on(blob: bytes, part: str, digest: str) -> bool:
    """Whether the head of ``blob`` says so; of a damaged one too, so that its own `load` says what is wrong."""
    start = blob.index(b"\n") + 5
    try:
        (length,) = struct.unpack("<I", blob[start - 4 : start])
        return bool(json.loads(blob[start : start + length]).get(part, digest) == digest)
    except (struct.error, ValueError, AttributeError):
        return True
