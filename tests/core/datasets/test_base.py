"""Sampling, which every data set inherits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meta_learning.datasets import BaseDatasetLoader, CommonsenseQALoader, Sample, Sentiment140Loader, load
from meta_learning.errors import CallerError, NotFound


class Squares(BaseDatasetLoader):
    name = "squares"

    def __init__(self, count: int) -> None:
        self.count = count
        self.reads_count = 0

    def load_data(self) -> Sequence[int]:
        self.reads_count += 1
        return range(self.count)

    def format_sample(self, sample: int) -> Sample:
        return {"input": str(sample), "expected": str(sample**2), "metadata": {}}


def inputs(samples: list[dict[str, Any]]) -> list[str]:
    return [sample["input"] for sample in samples]


def test_nothing_is_read_before_the_first_draw_and_then_only_once() -> None:
    squares = Squares(10)
    assert squares.reads_count == 0
    squares.get_samples(3)
    squares.get_samples(10, seed=4)
    assert squares.reads_count == 1


@given(st.integers(1, 60), st.integers(1, 60), st.integers())
def test_a_longer_draw_starts_with_the_shorter_one(shorter: int, longer: int, seed: int) -> None:
    shorter, longer = sorted((shorter, longer))
    assert Squares(60).get_samples(longer, seed)[:shorter] == Squares(60).get_samples(shorter, seed)


@given(st.integers(1, 50), st.integers())
def test_a_full_draw_holds_every_item_once(count: int, seed: int) -> None:
    drawn = inputs(Squares(count).get_samples(count, seed))
    assert sorted(drawn, key=int) == [str(number) for number in range(count)]


def test_other_seeds_give_other_orders_and_items_do_not_stay_in_file_order() -> None:
    first, second = (inputs(Squares(100).get_samples(100, seed=seed)) for seed in (0, 1))
    assert first != second
    assert first != sorted(first, key=int)


def test_the_order_of_a_seed_is_the_same_on_every_machine() -> None:
    assert inputs(Squares(8).get_samples(8, seed=7)) == ["6", "3", "1", "0", "5", "7", "4", "2"]


def test_returning_to_a_seed_gives_its_samples_again() -> None:
    squares = Squares(30)
    before = squares.get_samples(5, seed=1)
    squares.get_samples(5, seed=2)
    assert squares.get_samples(5, seed=1) == before


@pytest.mark.parametrize("n", [0, -1, 2.0, True, "3"])
def test_a_number_that_is_no_count_is_the_callers_mistake(n: Any) -> None:
    with pytest.raises(CallerError, match="at least 1"):
        Squares(5).get_samples(n)


def test_asking_for_more_than_there_is_says_how_many_there_are() -> None:
    with pytest.raises(CallerError, match="asked for 6 samples, 5 are available"):
        Squares(5).get_samples(6)


def test_data_sets_are_had_by_name() -> None:
    assert isinstance(load("commonsense_qa"), CommonsenseQALoader)
    assert isinstance(load("sentiment140"), Sentiment140Loader)
    with pytest.raises(NotFound, match="commonsense_qa, sentiment140"):
        load("imagenet")


@pytest.mark.parametrize("name", ["commonsense_qa", "sentiment140"])
def test_every_sample_has_the_three_promised_fields(name: str) -> None:
    loader = load(name)
    for sample in loader.get_samples(len(loader)):
        assert set(sample) == {"input", "expected", "metadata"}
        assert isinstance(sample["input"], str)
        assert isinstance(sample["expected"], str)
        assert isinstance(sample["metadata"], dict)
