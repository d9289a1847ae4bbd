"""What one user said is either searched or decided on, never both; where that cannot be, the caller hears why and what to do."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_learning.acla import CurriculumConfig
from meta_learning.acla.gate import PairedScores, decide
from meta_learning.acla.grouping import whole_groups
from meta_learning.acla.outcomes import Answer, Candidate, OutcomeMatrix
from meta_learning.acla.preparing import draw
from meta_learning.acla.prompt import Prompt
from meta_learning.acla.splits import group_or_self, read_items, split
from meta_learning.errors import CallerError


def samples(sizes: list[int], alone: int = 0) -> list[dict[str, Any]]:
    """So many items of each user, and some of nobody."""
    theirs = [(f"u{user}", f"text {user} {n}") for user, size in enumerate(sizes) for n in range(size)]
    found = [{"input": text, "expected": "ab"[len(text) % 2], "group": user} for user, text in theirs]
    return found + [{"input": f"nobody's {n}", "expected": "a"} for n in range(alone)]


def config(gate_samples: int) -> CurriculumConfig:
    return CurriculumConfig(initial_prompt="Judge.", dataset_name="texts", gate_samples=gate_samples)


@pytest.mark.parametrize("nothing", [None, "", " ", float("nan")])
def test_items_of_a_loader_of_ones_own_that_leave_the_group_empty_stand_for_themselves(nothing: Any) -> None:
    given = [{"input": text, "expected": "a", "group": nothing} for text in "xyz"]
    assert [item.group for item in read_items(given)] == [None] * 3


@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=30),
    alone=st.integers(0, 20),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
@settings(max_examples=80, deadline=None)
def test_no_group_is_on_both_sides_and_no_part_is_larger_than_wanted(
    sizes: list[int], alone: int, share: float, seed: int
) -> None:
    items = read_items(samples(sizes, alone))
    search_count = round(share * len(items))
    parts = split(items, search_count, random.Random(seed))
    sides = [{group_or_self(item) for item in part} for part in (parts.search, parts.gate)]
    assert not sides[0] & sides[1]
    assert len(parts.search) == search_count
    assert len(parts.gate) <= len(items) - search_count
    assert parts.groups_counts == (len(sides[0]), len(sides[1]))
    smallest_outside = min((sizes[int(name[7:])] for name in sides[0] if name[:6] == "group "), default=None)
    if smallest_outside is not None:  # nothing that still fits is left out
        assert len(parts.gate) + smallest_outside > len(items) - search_count


def test_items_without_groups_are_divided_as_ever() -> None:
    items = read_items(samples([], alone=50))
    parts = split(items, 30, random.Random(7))
    shuffled = sorted(items, key=lambda item: item.id)
    random.Random(7).shuffle(shuffled)
    assert (parts.search, parts.gate) == (tuple(shuffled[:30]), tuple(shuffled[30:]))
    assert parts.groups_counts is None


def test_large_groups_come_to_the_front_no_more_often_than_small_ones() -> None:
    items = read_items(samples([9, 1] * 20))
    first = [split(items, 100, random.Random(seed)).gate for seed in range(40)]
    large = sum(int((item.group or "")[1:]) % 2 == 0 for gate in first for item in gate)
    # By items nine of ten are a large user's; drawn by users, as many of both kinds come.
    assert large / sum(map(len, first)) == pytest.approx(0.9, abs=0.03)


def test_a_group_larger_than_the_part_is_not_cut() -> None:
    assert whole_groups("aaaaabb", str, 3, str) == (["b", "b"], ["a"] * 5)


def test_groups_that_cannot_be_divided_are_refused_with_what_to_do() -> None:
    one_speaks_most = samples([90, 5, 5])
    with pytest.raises(
        CallerError, match=r"no 20 items to decide on besides 60 to search on, of at least 6 groups"
    ) as told:
        asyncio.run(draw(lambda n: one_speaks_most[:n], 60, config(40)))
    assert "the largest has 90 of them" in str(told.value)
    assert "a column with more and smaller groups" in str(told.value)


def test_five_groups_decide_nothing_and_six_may() -> None:
    few, enough = samples([8] * 10), samples([5] * 16)
    with pytest.raises(CallerError, match="at least 6 groups"):
        asyncio.run(draw(lambda n: few[:n], 40, config(40)))
    parts = asyncio.run(draw(lambda n: enough[:n], 40, config(40)))
    assert parts.groups_counts == (8, 8)


def test_a_run_that_wants_no_gate_takes_any_groups() -> None:
    parts = asyncio.run(draw(lambda n: samples([30])[:n], 30, config(0)))
    assert (len(parts.search), parts.gate) == (30, ())


def alike(rng: random.Random, users: int, each: int) -> list[float]:
    """Differences without any gain on average, of which a user has either gains or losses, or none."""
    directions = [rng.choice((-1.0, 1.0)) for _ in range(users)]
    return [direction * rng.choice((1.0, 0.0)) for direction in directions for _ in range(each)]


def test_a_gate_whose_users_share_their_luck_keeps_its_level() -> None:
    rng, users = random.Random(3), [f"u{number}" for number in range(12) for _ in range(8)]
    drawn = [alike(rng, 12, 8) for _ in range(200)]

    def passed(groups: list[str]) -> int:
        reports = (decide([PairedScores("b", one, [0.0] * 96, groups=groups)], 0.1, seed=0) for one in drawn)
        return sum(report.winner is not None for report in reports)

    assert passed([]) > 40, "item by item the luck of a user counts eight times"
    assert passed(users) <= 32  # 20 expected; 3 standard errors above


def test_groups_make_a_decision_wider_and_items_alone_change_nothing() -> None:
    scores = [1.0] * 30 + [0.0] * 10
    alone, apart, together = (
        decide([PairedScores("b", scores, [0.0] * 40, groups=groups)], 0.1, seed=0)
        for groups in ((), [str(n) for n in range(40)], [str(n // 10) for n in range(40)])
    )
    assert alone == apart
    [one], [other] = alone.finalists, together.finalists
    assert other.p_value > one.p_value
    assert other.low < one.low < one.high <= other.high
    assert together.power_for_5_points < alone.power_for_5_points


def test_thresholds_judge_no_item_of_a_user_whose_answers_they_saw() -> None:
    items = read_items(samples([6] * 10))
    matrix, candidate = OutcomeMatrix(items), Candidate(Prompt.parse("Judge."), calibrated=True)
    rng = random.Random(0)
    for item in items:
        matrix.record(candidate.prompt, item, Answer(item.expected, {"a": rng.gauss(-1, 1), "b": rng.gauss(-1, 1)}))
    used = {item.group: set[int]() for item in items}
    for item in items:
        used[item.group].add(id(matrix.calibration(candidate, item)))
    assert all(len(one) == 1 for one in used.values())
    assert len(set.union(*used.values())) == 5


def test_an_item_of_which_no_label_was_said_is_judged_without_its_user_too() -> None:
    items = read_items(samples([6] * 10))
    matrix, candidate = OutcomeMatrix(items), Candidate(Prompt.parse("Judge."), calibrated=True)
    rng = random.Random(0)
    for item in items[1:]:
        matrix.record(candidate.prompt, item, Answer(item.expected, {"a": rng.gauss(-1, 1), "b": rng.gauss(-1, 1)}))
    matrix.record(candidate.prompt, items[0], Answer(None))
    assert matrix.calibration(candidate, items[0]) is matrix.calibration(candidate, items[1])
