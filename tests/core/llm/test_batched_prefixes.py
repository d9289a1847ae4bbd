"""Which beginnings are kept, and who is put together with whom."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from meta_learning.llm.batched.prefixes import Prefixes, families
from meta_learning.llm.batched.queue import BatchQueue, Waiting


@dataclass(frozen=True)
class Numbers:
    """Keys or values of a layer, as far as a store of them looks: bytes, and a part of the tokens."""

    nbytes: int

    def __getitem__(self, part: tuple[Any, slice, slice]) -> Numbers:
        return Numbers(part[1].stop)


def layers(tokens: list[int]) -> list[tuple[Any, Any]]:
    return [(Numbers(len(tokens)), Numbers(len(tokens)))]


def test_what_is_kept_is_bounded_in_bytes_and_the_least_used_goes_first() -> None:
    prefixes = Prefixes(kept_bytes=20)
    for tokens in ([1, 1, 1, 1], [2, 2, 2, 2]):
        prefixes.keep(tokens, layers(tokens))
    assert prefixes.known([1, 1, 1, 1, 5])[0] == 4
    prefixes.keep([3, 3, 3, 3], layers([3, 3, 3, 3]))
    assert prefixes.bytes_count == 16
    assert [prefixes.known([number] * 4)[0] for number in (1, 2, 3)] == [4, 0, 4]


def test_a_beginning_that_is_larger_than_all_the_room_is_not_kept() -> None:
    prefixes = Prefixes(kept_bytes=10)
    prefixes.keep([1] * 6, layers([1] * 6))
    assert prefixes.bytes_count == 0
    assert prefixes.known([1] * 6) == (0, [])


def test_a_longer_beginning_takes_the_place_of_what_it_continues_and_serves_for_it() -> None:
    prefixes = Prefixes()
    prefixes.keep([1, 2], layers([1, 2]))
    prefixes.keep([1, 2, 3, 4], layers([1, 2, 3, 4]))
    assert prefixes.bytes_count == 8
    assert prefixes.known([1, 2, 9]) == (2, [(Numbers(2), Numbers(2))])


def test_where_nothing_may_be_shared_all_rows_are_strangers_by_length() -> None:
    assert families([[1, 2, 3], [1, 2], [1, 2, 3, 4]], shared_min=None) == [[1, 0, 2]]


@pytest.mark.parametrize("kinds", ["abababab", "aabbaabb"])
def test_where_more_wait_than_fit_each_batch_is_of_one_kind(kinds: str) -> None:
    batches, go = answered([f"{kind}{number}" for number, kind in enumerate(kinds)], batch_max=4)
    assert ["".join(one[0] for one in batch) for batch in batches] == ["aaaa", "bbbb"]
    assert all(int(one[1]) < int(other[1]) for batch in batches for one, other in pairwise(batch))
    assert go


def test_nobody_is_passed_over_for_ever_by_a_larger_kind() -> None:
    batches, _ = answered(["a0", "b1", *(f"a{number}" for number in range(2, 9))], batch_max=3)
    assert batches[0] == ["a0", "a2", "a3"]
    assert batches[1] == ["b1", "a4", "a5"]


def answered(questions: list[str], batch_max: int) -> tuple[list[list[str]], bool]:
    """The batches in which ``questions`` were answered that had all come while another was in work; their kind is the first letter."""
    batches: list[list[str]] = []
    busy, go = threading.Event(), threading.Event()

    def work(batch: list[Waiting[str, str]]) -> None:
        if not busy.is_set():
            busy.set()
            assert go.wait(5.0)
        else:
            batches.append([one.question for one in batch])
        for one in batch:
            one.answer(one.question)

    queue: BatchQueue[str, str] = BatchQueue(work, batch_max, wait_s=0.0, kin=lambda question: question[0])
    first = queue.put("first")
    assert busy.wait(5.0)
    futures = [queue.put(question) for question in questions]
    go.set()
    told = [future.result(5.0) for future in futures] == questions
    assert first.result(5.0) == "first"
    queue.close()
    return batches, told
