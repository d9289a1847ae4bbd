"""In which floating-point numbers does this machine compute a language model faster? The packaged model, prompts and single tokens.

    OMP_NUM_THREADS=2 python -m benchmarks.models.llm_dtypes [threads] [model]

Both in one process, in turns, the best of each; random tokens, so that only the arithmetic is compared.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from typing import Any

from meta_learning.llm.batched.weights import Dtype, Weights, opened
from meta_learning.llm.local import packaged_weights

DTYPES: tuple[Dtype, ...] = ("float32", "bfloat16")
SHAPES = ((48, 60), (8, 60), (1, 200), (48, 1))
TURNS = 3


def seconds(torch: Any, weights: Weights, rows: int, tokens: int) -> float:
    """One pass over ``rows`` × ``tokens``."""
    asked = torch.randint(0, 1000, (rows, tokens), generator=torch.Generator().manual_seed(0)).to(weights.device)
    began = time.perf_counter()
    with torch.inference_mode():
        weights.model(asked, logits_to_keep=1)
    return time.perf_counter() - began


def main() -> None:
    """Print a table."""
    threads_count = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    source = Path(sys.argv[2]) if len(sys.argv) > 2 else packaged_weights()
    torch = importlib.import_module("torch")
    models = {dtype: opened(source, dtype, threads_count) for dtype in DTYPES}
    able = torch.cpu.get_capabilities()
    print(", ".join(f"{name} {able.get(name)}" for name in ("avx512_f", "avx512_bf16", "amx_bf16")))
    print("| rows × tokens | float32, s | bfloat16, s | bfloat16 / float32 |\n|---|---|---|---|")
    for shape in SHAPES:
        best = dict.fromkeys(DTYPES, float("inf"))
        for _ in range(TURNS):
            for dtype, weights in models.items():
                best[dtype] = min(best[dtype], seconds(torch, weights, *shape))
        ratio = best["bfloat16"] / best["float32"]
        print(f"| {shape[0]} × {shape[1]} | {best['float32']:.3f} | {best['bfloat16']:.3f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
