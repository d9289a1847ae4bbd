"""A language model small enough for a test: two blocks with random weights and a tokenizer of bytes, made in memory."""

from __future__ import annotations

from typing import Any

import pytest

from meta_learning.clrs.models.language.base_weights import BaseWeights

NEEDED = "needs the extra torch: pip install 'meta-learning-loop[torch]'"


def tokenizer() -> Any:
    """One token a byte, and two special ones."""
    tokenizers = pytest.importorskip("tokenizers", reason=NEEDED)
    transformers = pytest.importorskip("transformers", reason=NEEDED)
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate(["<end>", "<start>", *letters])}
    bytewise = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    bytewise.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = tokenizers.decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=bytewise, eos_token="<end>", bos_token="<start>")


def tiny_base(seed: int = 0) -> BaseWeights:
    """A Llama of 2 blocks and width 32 with weights drawn from ``seed``."""
    torch = pytest.importorskip("torch", reason=NEEDED)
    transformers = pytest.importorskip("transformers", reason=NEEDED)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.LlamaConfig(
        vocab_size=258, max_position_embeddings=512, eos_token_id=0, bos_token_id=1, pad_token_id=0, **shape
    )
    # On a busy machine, two threads of so little work mostly wait for each other (46 s instead of 2).
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return BaseWeights(transformers.LlamaForCausalLM(config), tokenizer())
