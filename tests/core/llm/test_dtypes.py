"""Which floating-point numbers a machine computes a language model in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from meta_learning.clrs.models.language.base_weights import _computes_in_bfloat16
from meta_learning.llm.batched.weights import _dtype


def machine(**able: bool) -> Any:
    return SimpleNamespace(cpu=SimpleNamespace(get_capabilities=lambda: able), bfloat16="bfloat16", float32="float32")


@pytest.mark.parametrize(
    ("able", "fast"), [({"amx_bf16": True, "avx512_bf16": True}, True), ({"avx512_bf16": True}, False), ({}, False)]
)
def test_bfloat16_only_where_it_is_multiplied_by_tiles(able: dict[str, bool], fast: bool) -> None:
    torch = machine(**able)
    assert _dtype(torch, "auto", "cpu") == ("bfloat16" if fast else "float32")
    assert _computes_in_bfloat16(torch, "cpu") is fast


def test_a_wish_and_a_gpu_decide_by_themselves() -> None:
    torch = machine()
    assert _dtype(torch, "bfloat16", "cpu") == _dtype(torch, "auto", "cuda") == "bfloat16"
    assert _dtype(torch, "float32", "cuda") == "float32"
