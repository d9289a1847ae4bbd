"""Which strategy has the next turn: what its children so far promise, for a call."""

from __future__ import annotations

import random
from collections import Counter

from meta_learning.acla import AdaptiveCurriculumAgent
from meta_learning.acla.racing.shrinkage import NOTHING_KNOWN, Gain, shrunken_gain
from meta_learning.acla.strategies.bandit import StrategyBandit, Tried
from tests.core.acla.simulated import config, model, samples, shows_examples, with_examples


def tried(*gains: float, age: int = 0, asked: int = 48) -> list[Tried]:
    """Children with such gains over the leader on so many items."""
    return [Tried(Gain(gain, 0.03, gain, asked), age) for gain in gains]


def choices(bandit: StrategyBandit, so_far: dict[str, list[Tried]]) -> Counter[str]:
    """How often each strategy is chosen in 300 draws."""
    return Counter(bandit.choose(sorted(so_far), so_far, random.Random(number)) for number in range(300))


def bandit_with_turns(calls: dict[str, int]) -> StrategyBandit:
    """All strategies had a turn of three children, which took so many calls."""
    bandit = StrategyBandit(list(calls))
    for name, count in calls.items():
        bandit.paid(name, 3, count)
    return bandit


def test_every_strategy_has_a_turn_before_any_has_two() -> None:
    bandit, names = StrategyBandit(["a", "b", "c"]), []
    for number in range(3):
        names.append(bandit.choose(["a", "b", "c"], {"a": tried(0.2)}, random.Random(number)))
        bandit.paid(names[-1], 3, 30)
    assert names == ["a", "b", "c"]


def test_a_dear_strategy_is_chosen_less_often_than_a_cheap_one_of_equal_success() -> None:
    bandit = bandit_with_turns({"cheap": 30, "dear": 300})
    chosen = choices(bandit, {"cheap": tried(0.0, -0.02), "dear": tried(0.0, -0.02)})
    assert chosen["cheap"] > 2 * chosen["dear"]


def test_a_strategy_whose_children_are_near_the_leader_is_chosen_more_often_than_one_whose_children_are_far_behind() -> (
    None
):
    bandit = bandit_with_turns({"near": 30, "far": 30})
    chosen = choices(bandit, {"near": tried(*[-0.01] * 6), "far": tried(*[-0.12] * 6)})
    assert chosen["near"] > 4 * chosen["far"]


def test_of_two_strategies_with_equal_means_the_one_whose_children_differ_more_is_chosen_more_often() -> None:
    bandit = bandit_with_turns({"wide": 30, "narrow": 30})
    chosen = choices(bandit, {"wide": tried(*[0.1, -0.16] * 4), "narrow": tried(*[-0.03] * 8)})
    assert chosen["wide"] > 2 * chosen["narrow"]


def test_what_a_strategy_did_long_ago_counts_for_less() -> None:
    fresh, old = ({"a": tried(*[-0.12] * 6, age=age)} for age in (0, 30))
    bandit = bandit_with_turns({"a": 30})
    assert bandit.promises(fresh)["a"] < 0.3 * bandit.promises(old)["a"]


def test_a_strategy_that_finds_nothing_new_any_more_has_fewer_turns() -> None:
    bandit = bandit_with_turns({"empty": 30, "full": 30})
    for _ in range(6):
        bandit.paid("empty", 0, 0)
    chosen = choices(bandit, {"empty": tried(-0.02), "full": tried(-0.02)})
    assert chosen["full"] > 2 * chosen["empty"]


def test_children_that_were_asked_nothing_in_common_with_the_leader_say_nothing() -> None:
    bandit = bandit_with_turns({"a": 30})
    unknown = [Tried(NOTHING_KNOWN, 0)] * 5
    assert bandit.promises({"a": unknown}) == bandit.promises({})


def test_children_that_tied_on_a_few_items_do_not_outweigh_those_that_lost() -> None:
    tie, loss = shrunken_gain([0.0] * 8), shrunken_gain([-1.0, -1.0] + [0.0] * 6)
    bandit = bandit_with_turns({"a": 30})
    mixed, one_of_all = (bandit.promises({"a": some})["a"] for some in (
        [Tried(gain, 0) for gain in [tie, loss] * 15], [Tried(shrunken_gain([-1.0] * 30 + [0.0] * 210), 0)],
    ))  # fmt: skip
    assert mixed < 1.5 * one_of_all


async def test_sets_of_examples_have_the_first_turn_and_twice_as_many_children_in_it() -> None:
    agent = AdaptiveCurriculumAgent(config(calls_max=600, children_count=4), model(with_examples))
    results = await agent.run_curriculum(samples, num_samples=60)
    births = Counter((one["iteration"], one["strategy"]) for one in results["lineage"])
    assert births[1, "few_shot_optimization"] == 8
    assert all(count <= 4 for (iteration, _), count in births.items() if iteration > 1)


async def test_a_strategy_that_found_nothing_new_for_a_prompt_has_no_further_turn_on_it() -> None:
    wanted = config(calls_max=600, max_iterations=12, evolution_strategies=["ablation", "few_shot_optimization"])
    agent = AdaptiveCurriculumAgent(wanted, model(lambda prompt: 0.2 if shows_examples(prompt) else 0.6))
    results = await agent.run_curriculum(samples, num_samples=60)
    turns = Counter(one["decision"] for one in results["decisions"] if one["decision"].startswith("ablation on"))
    born = Counter(one["iteration"] for one in results["lineage"] if one["strategy"] == "ablation")
    assert turns
    assert max(turns.values()) <= len(born) + 1
