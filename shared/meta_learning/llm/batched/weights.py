"""A causal language model of `transformers` with its tokenizer, read from this machine only, never from a hub."""

from __future__ import annotations

import copy
import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from meta_learning.errors import ConfigurationError
from meta_learning.llm.labels import beginnings

Dtype = Literal["auto", "bfloat16", "float32"]
# Ends of an answer that some tokenizers do not declare as their end of sequence.
_ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<end_of_turn>")


@dataclass(frozen=True, eq=False)
class Weights:
    """A model in evaluation mode; ``ends``: the tokens after which an answer is over; ``vocabulary``: each token's text."""

    model: Any
    tokenizer: Any
    device: str
    ends: frozenset[int]
    context_tokens: int
    vocabulary: tuple[str, ...]
    _beginnings: dict[tuple[str, ...], dict[str, list[int]]] = field(default_factory=dict)

    @property
    def shares_prefixes(self) -> bool:
        """Whether a beginning that was computed once may serve many rows: not where layers forget what lies far back."""
        config = self.model.config
        kinds = getattr(config, "layer_types", None) or ["full_attention"]
        return set(kinds) == {"full_attention"} and not getattr(config, "sliding_window", None)

    def beginnings(self, labels: tuple[str, ...]) -> dict[str, list[int]]:
        """The tokens that begin each label and no other."""
        if labels not in self._beginnings:
            self._beginnings[labels] = beginnings(self.vocabulary, labels)
        return self._beginnings[labels]


def opened(source: Path, dtype: Dtype, threads_count: int) -> Weights:
    """The model at ``source``: a GGUF file (its weights are unpacked) or a folder in the Hugging Face layout (safetensors).

    Raises:
        ConfigurationError: nothing can be read there, or torch and transformers are missing.
    """
    torch, transformers = _needed("torch"), _needed("transformers")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(threads_count)
    try:
        tokenizer, model = _read(transformers, source, _dtype(torch, dtype, device))
    except (OSError, ValueError, ImportError, RuntimeError, KeyError, IndexError) as error:
        raise ConfigurationError(f"{source} cannot be loaded as a model: {error}") from error
    _sharpen(torch, model)
    model = model.to(device).eval().requires_grad_(False)
    count = model.get_input_embeddings().num_embeddings
    return Weights(
        model=model,
        tokenizer=tokenizer,
        device=device,
        ends=_ends(model, tokenizer),
        context_tokens=int(getattr(model.config, "max_position_embeddings", 0) or 4096),
        vocabulary=tuple(tokenizer.batch_decode([[number] for number in range(min(count, len(tokenizer)))])),
    )


def _read(transformers: Any, source: Path, dtype: Any) -> tuple[Any, Any]:
    plain: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    files = {"gguf_file": source.name} if source.is_file() else {}
    folder = source.parent if source.is_file() else source
    more: dict[str, Any] = dict(files) if files else {"use_safetensors": True}
    if files and hasattr(transformers, "GgufConfig"):
        # Left packed, every pass would unpack them again; and a kernel for them would be looked for on a hub.
        more["quantization_config"] = transformers.GgufConfig(dequantize=True)
    said = transformers.utils.logging
    shown = said.is_progress_bar_enabled()
    said.disable_progress_bar()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **plain, **files)
        return tokenizer, transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **plain, **more)
    finally:
        if shown:
            said.enable_progress_bar()


def _dtype(torch: Any, wish: Dtype, device: str) -> Any:
    """Bfloat16 where the machine multiplies in it by tiles: elsewhere it is slower than float32, and always coarser.

    AVX-512 alone is not enough: 140 against 210 GFLOP/s (`benchmarks.models.llm_dtypes`).
    """
    if wish == "auto":
        able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        fast = device == "cuda" or able.get("amx_bf16")
        wish = "bfloat16" if fast else "float32"
    return getattr(torch, wish)


def _sharpen(torch: Any, model: Any) -> None:
    """Compute the logits in float32: in bfloat16 those near 20 are an eighth apart, and every second answer would be a tie."""
    head = model.get_output_embeddings()
    if head is None or head.weight.dtype == torch.float32:
        return
    head = copy.deepcopy(head).float()
    head.register_forward_pre_hook(lambda module, arguments: (arguments[0].float(), *arguments[1:]))
    model.set_output_embeddings(head)


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    declared = getattr(model.generation_config, "eos_token_id", None)
    ends = set(declared if isinstance(declared, list) else [declared]) | {tokenizer.eos_token_id}
    known = tokenizer.get_vocab()
    return frozenset({end for end in ends if end is not None} | {known[name] for name in _ENDS if name in known})


def _needed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"the provider transformers needs {module}: install meta-learning-loop[torch] ({error})"
        ) from None
