"""The switch that forbids real model calls, so that a test suite can never spend money by surprise.

>>> import asyncio
>>> from meta_learning.llm import Message, Request
>>> from meta_learning.llm.openai import OpenAILLM
>>> llm = OpenAILLM("any", base_url="http://127.0.0.1:9/v1")
>>> with forbid_model_calls():
...     asyncio.run(llm.complete(Request((Message("user", "hello"),))))
Traceback (most recent call last):
...
meta_learning.errors.ModelCallsForbidden: a call to any (openai) was about to be made while model calls are forbidden
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from meta_learning.errors import ModelCallsForbidden

_lock = threading.Lock()
_forbidding = 0


@contextmanager
def forbid_model_calls() -> Iterator[None]:
    """Forbid every real call, in all threads, while the block runs; blocks nest. The scripted fake goes on answering."""
    global _forbidding
    with _lock:
        _forbidding += 1
    try:
        yield
    finally:
        with _lock:
            _forbidding -= 1


def check_calls_allowed(provider: str, model: str) -> None:
    """What every real adapter asks before each call.

    Raises:
        ModelCallsForbidden: calls are switched off now.
    """
    if _forbidding:
        raise ModelCallsForbidden(
            f"a call to {model} ({provider}) was about to be made while model calls are forbidden"
        )
