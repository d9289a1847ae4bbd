"""Tasks end for sure, also those that lose a cancellation."""

from __future__ import annotations

import asyncio

import pytest

from meta_learning.serving import ending


async def test_a_task_that_loses_one_cancellation_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "AGAIN_S", 0.01)

    async def deaf_once() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)

    task = asyncio.create_task(deaf_once())
    await asyncio.sleep(0)
    await ending.end(task)
    assert task.cancelled()


async def test_what_a_task_raised_is_kept_and_not_raised() -> None:
    async def fails() -> None:
        raise ValueError("broken")

    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    await ending.end(task)
    assert isinstance(task.exception(), ValueError)
