"""What makes the search worth its calls, each idea alone and against a truth that is known."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import pytest

from benchmarks.acla.worlds import LABELS, SEED_PROMPT, World
from meta_learning.acla import AdaptiveCurriculumAgent, CurriculumConfig, Prompt
from meta_learning.acla.asking import Asking
from meta_learning.acla.calibration import cross_fitted, fitted, levelled
from meta_learning.acla.ensembles import chosen, voted_score
from meta_learning.acla.outcomes import Answer, Candidate, OutcomeMatrix
from meta_learning.acla.planning import plan_gate
from meta_learning.acla.racing.convergence import chance_of_newcomers
from meta_learning.acla.racing.curriculum import Course, course, disagreement
from meta_learning.acla.racing.ladder import Ladder, Standing
from meta_learning.acla.racing.race import Race
from meta_learning.acla.racing.shrinkage import Gain, shrunken_gain, stratified_gain
from meta_learning.acla.splits import Item, read_items
from meta_learning.acla.store import MemoryRunStore, RunLog
from meta_learning.acla.strategies import Answered, Situation, by_name
from meta_learning.llm.scripted import ScriptedLLM

Known = list[tuple[dict[str, float], str]]


def leaning_model(count: int, seed: int, positive_share: float = 0.5) -> Known:
    """Log-probabilities in the right order, far on one side."""
    rng, known = random.Random(seed), []
    for _ in range(count):
        label = "positive" if rng.random() < positive_share else "negative"
        odds = rng.gauss(0.8 if label == "positive" else -0.8, 1.0) + 3.0
        known.append(({"positive": 0.0, "negative": -odds}, label))
    return known


def accuracy(known: Known, calibration: Any) -> float:
    return fmean(calibration.decision(logprobs) == label for logprobs, label in known)


def test_a_fitted_threshold_beats_a_levelled_one_where_labels_are_not_equally_frequent() -> None:
    fresh = leaning_model(2000, 1, positive_share=0.8)
    known = leaning_model(200, 2, positive_share=0.8)
    assert accuracy(fresh, levelled(known)) > accuracy(fresh, fitted([])) - 0.15
    assert accuracy(fresh, fitted(known)) > accuracy(fresh, levelled(known)) + 0.03


def test_no_item_is_judged_by_a_threshold_that_saw_its_answer() -> None:
    known = leaning_model(60, 3)
    flipped = [
        (logprobs, LABELS[label == "negative"]) if n == 7 else (logprobs, label)
        for n, (logprobs, label) in enumerate(known)
    ]
    assert cross_fitted(known)[7 % 5] == cross_fitted(flipped)[7 % 5]
    assert cross_fitted(known)[0] != cross_fitted(flipped)[0]


def test_with_few_items_nothing_is_fitted_to_answers() -> None:
    known = leaning_model(12, 4)
    wrong = [(logprobs, LABELS[label == "negative"]) for logprobs, label in known]
    assert fitted(known) == fitted(wrong)


def test_probabilities_on_fresh_items_are_about_as_often_right_as_they_say() -> None:
    package, fresh = fitted(leaning_model(300, 5)), leaning_model(3000, 6)
    said = [package.probability(logprobs, "positive") for logprobs, _ in fresh]
    sure = [label == "positive" for (_, label), chance in zip(fresh, said, strict=True) if 0.7 <= chance <= 0.9]
    assert 0.74 <= fmean(sure) <= 0.86


def items(count: int) -> list[Item]:
    return read_items([{"input": f"text number {index}", "expected": "a"} for index in range(count)])


def test_the_adaptive_order_leans_to_neither_side_and_errs_less_than_a_random_one() -> None:
    rng, asked = random.Random(0), items(120)
    hard = {item.id: rng.random() < 0.3 for item in asked}
    truth = {item.id: (rng.choice([1.0, 1.0, -1.0]) if hard[item.id] else float(rng.random() < 0.03)) for item in asked}
    mean = fmean(truth.values())
    ours, plain = [], []
    for number in range(600):
        along = course(asked, [], lambda item: 0.25 if hard[item.id] else 0.03, random.Random(number))
        ours.append(along.gain(truth, 24).raw - mean)
        plain.append(fmean(truth[item.id] for item in random.Random(number).sample(asked, 24)) - mean)
    assert abs(fmean(ours)) < 0.015
    assert fmean(error**2 for error in ours) < 0.85 * fmean(error**2 for error in plain)


def test_an_item_on_which_prompts_differ_is_worth_more_than_one_that_all_get_right() -> None:
    assert disagreement([1.0, 0.0, 1.0, 0.0], 0.25) > 2 * disagreement([1.0] * 4, 0.25)


def test_beyond_what_is_known_the_order_is_the_common_one() -> None:
    asked = items(60)
    along = course(asked[:30], asked[30:], lambda item: 0.2, random.Random(0))
    assert {item.id for item in along.items[:30]} == {item.id for item in asked[:30]}
    assert list(along.items[30:]) == asked[30:]


def test_strata_of_equal_weight_shrink_like_a_plain_mean_does() -> None:
    one, other = [1.0, 0.0, 0.0, 1.0], [0.0, 0.0, -1.0, 1.0]
    assert stratified_gain([(0.5, one), (0.5, other)]).raw == shrunken_gain([*one, *other]).raw


def candidate(name: str, **blocks: Any) -> Candidate:
    return Candidate(Prompt.parse(f"Prompt {name}. Answer with one word.").edit(**blocks))


def test_the_top_third_of_a_rung_climbs_and_the_others_wait_until_there_is_room() -> None:
    ladder = Ladder([8, 16, 48])
    ahead = Gain(0.01, 0.03, 0.02, 16)

    def stand(name: str, mean: float) -> None:
        ladder.stand(Standing(candidate(name), 1, Gain(mean, 0.03, mean, 16), ahead))

    stand("a", 0.02)
    stand("b", 0.01)
    stand("c", -0.02)
    first = ladder.next_up()
    assert first is not None
    assert first.candidate == candidate("a")
    ladder.stand(Standing(candidate("a"), 2, first.over_seed, ahead))
    for name in "def":
        assert ladder.next_up() is None
        stand(name, -0.03)
    waiting = ladder.next_up()
    assert waiting is not None
    assert waiting.candidate == candidate("b")


@pytest.mark.parametrize(
    ("rung", "over_best", "climbs"), [(0, -0.1, False), (0, 0.0, True), (1, 0.0, False), (1, 0.1, True)]
)
def test_who_is_as_good_as_the_best_goes_on_from_the_first_rung_only(rung: int, over_best: float, climbs: bool) -> None:
    ladder, over_seed = Ladder([8, 16, 48]), Gain(0.2, 0.03, 0.3, 16)
    ladder.stand(Standing(candidate("a"), rung, over_seed, Gain(over_best, 0.03, over_best, 16)))
    assert (ladder.next_up() is not None) is climbs


class Author:
    """Says one thing."""

    def __init__(self, text: str = "") -> None:
        self.text = text
        self.briefs: list[str] = []

    async def write(self, brief: str) -> str:
        self.briefs.append(brief)
        return self.text


def situation(**facts: Any) -> Situation:
    asked = items(12)
    wrong = [Answered(item, "b") for item in asked[:6]]
    settings: dict[str, Any] = {"parent": candidate("parent", rules=("One.",)), "failures": wrong, "solved": wrong[:3]}
    return Situation(**(settings | {"successes": [Answered(item, "a") for item in asked[6:]]} | facts))


async def test_reflection_shows_solvable_failures_and_keeps_the_hypothesis_that_the_author_named() -> None:
    author = Author("Failure: irony is taken at its word\nMind irony.")
    [strategy] = by_name(["error_analysis"])
    [first, *_] = await strategy.propose(situation(), author, random.Random(0))
    assert first.prompt.rules == ("One.", "Mind irony.")
    assert first.note == "against: irony is taken at its word"
    assert all(one.item.input in author.briefs[0] for one in situation().solved)


async def test_merge_takes_blocks_of_a_partner_that_is_right_where_the_parent_is_wrong() -> None:
    [strategy] = by_name(["merge"])
    partner = candidate("parent", rules=("Two.",), role="You are a judge.")
    found = [one.prompt for one in await strategy.propose(situation(partner=partner), Author(), random.Random(0))]
    assert any(one.rules == ("One.", "Two.") for one in found)
    assert any(one.role == "You are a judge." for one in found)
    assert await strategy.propose(situation(), Author(), random.Random(0)) == []


async def test_what_was_tried_before_makes_room_for_what_was_not() -> None:
    [strategy] = by_name(["performance_based"])
    first = await strategy.propose(situation(), Author(), random.Random(0))
    tried = {one.prompt.version for one in first}
    second = await strategy.propose(situation(tried=tried), Author(), random.Random(0))
    assert len(second) == 3
    assert not tried & {one.prompt.version for one in second}


async def test_a_written_chain_of_thought_comes_last_where_label_probabilities_are_read() -> None:
    [strategy] = by_name(["chain_of_thought"])
    for by_label in (True, False):
        found = await strategy.propose(situation(by_label=by_label, children_count=2), Author(), random.Random(0))
        assert any(one.prompt.thinks_aloud for one in found) is not by_label


def voters() -> tuple[OutcomeMatrix, list[Candidate], list[Item]]:
    """Three prompts, each wrong on a third of its own."""
    asked, names = items(60), [candidate(name) for name in "abc"]
    matrix = OutcomeMatrix(asked)
    for number, one in enumerate(names):
        for index, item in enumerate(asked):
            matrix.record(one.prompt, item, Answer("b" if index % 3 == number else "a"))
    return matrix, names, asked


def test_prompts_that_err_apart_are_right_together() -> None:
    matrix, (best, *others), asked = voters()
    assert fmean(matrix.scores(best, asked)) == pytest.approx(2 / 3)
    assert fmean(voted_score(matrix, [best, *others], item) or 0.0 for item in asked) == 1.0
    assert chosen(matrix, best, [best], asked, 3) is None


def test_the_power_of_the_gate_is_known_before_anything_is_spent() -> None:
    small, large = plan_gate(100, 300).report(0.1), plan_gate(1000, 6000).report(0.1)
    assert small["calls_kept"] <= 100
    assert large["calls_kept"] <= 2000
    assert small["power_for_5_points"] < 0.5 < large["power_for_5_points"]
    assert "5 points" in small["warning"]
    assert not large["warning"]


def test_after_many_children_without_a_lead_another_is_not_expected_to_lead() -> None:
    assert chance_of_newcomers(30, 0) < 0.02 < chance_of_newcomers(5, 0)


async def replayed(number: int, calls_max: int = 600, settings: dict[str, Any] | None = None, **world: Any) -> Any:
    truth = World(number, **world)
    config = CurriculumConfig(
        SEED_PROMPT, "world", calls_max=calls_max, gate_samples=calls_max // 6, seed=number, max_iterations=20, **(settings or {})
    )  # fmt: skip
    results = await AdaptiveCurriculumAgent(config, truth.model()).run_curriculum(truth.samples, num_samples=150)
    package = results["best_package"]
    before = truth.accuracy(Prompt.parse(SEED_PROMPT), {})
    return results, truth.accuracy(Prompt.parse(package["prompt"]), package["label_bias"]) - before


async def test_a_model_that_orders_well_and_decides_badly_gains_without_a_better_prompt() -> None:
    gains = []
    for number in range(2):
        results, gain = await replayed(number, 300, logprobs=True, leaning=2.0, effect=0.0, drift=0.0, base=0.8)
        assert results["outcome"] == "improved"
        gains.append(gain)
    assert min(gains) > 0.05


async def test_every_decision_of_a_run_is_explained_with_its_numbers() -> None:
    results, _ = await replayed(1)
    assert results["plan"]["calls_kept"] <= 200
    said = [one["decision"] for one in results["decisions"]]
    assert any("gate says" in one for one in said) or results["outcome"] != "improved"
    assert all(one["because"] and one["iteration"] >= 0 for one in results["decisions"])
    versions = {one["version"] for one in results["lineage"]}
    assert results["search_best"]["version"] in versions | {results["best_version"]}
    assert results["front"][0]["tokens"] == min(one["tokens"] for one in results["front"])


async def test_a_price_on_tokens_keeps_a_gain_that_costs_more_than_it_is_worth_from_winning() -> None:
    free, _ = await replayed(4, effect=0.5)
    assert free["outcome"] == "improved"
    dear, _ = await replayed(4, settings={"tokens_price": 1000.0}, effect=0.5)
    assert len(dear["best_prompt"]) <= len(SEED_PROMPT)


async def test_an_ensemble_goes_through_the_same_gate_and_says_its_price() -> None:
    for number in range(8, 14):
        results, _ = await replayed(number, 2400, {"ensemble_size": 3}, effect=0.3, drift=0.1, whim=1.2, base=0.4)
        if len(results["ensemble"]) == 3:
            break
    [together] = [one for one in results["gate"]["finalists"] if "+" in one["version"]]
    assert together["p_adjusted"] >= together["p_value"]
    assert results["outcome"] == "improved"
    assert len(results["ensemble"]) == 3
    assert "3 calls" in results["reason"]
    assert results["plan"]["finalists"] >= 3


def test_three_voters_are_found_although_two_only_make_ties() -> None:
    matrix, (best, *others), asked = voters()
    together = chosen(matrix, best, others, asked, 3)
    assert together is not None
    assert set(together.members) == {best, *others}
    assert chosen(matrix, best, others, asked, 2) is None


def test_nobody_votes_twice_not_even_as_another_package_of_the_same_prompt() -> None:
    asked, (best, silent) = items(60), [candidate(name) for name in "ab"]
    matrix = OutcomeMatrix(asked)
    for index, item in enumerate(asked):
        matrix.record(best.prompt, item, Answer("ab"[index % 2]))
        # It seldom says anything, and is right then: with two votes it would decide, and leave the rest to the other.
        matrix.record(silent.prompt, item, Answer("a" if index % 4 == 1 else None))
    for again in (silent, replace(silent, calibrated=True), replace(silent, note="another of the same version")):
        assert fmean(voted_score(matrix, [best, silent, again], item) or 0.0 for item in asked) == 0.75
        assert chosen(matrix, best, [silent, again], asked, 3) is None


async def test_a_leader_that_falls_behind_the_seed_on_more_items_leads_no_longer() -> None:
    asked = read_items([{"input": f"item {number}", "expected": "yes"} for number in range(200)])
    place = {item.id: number for number, item in enumerate(asked)}
    seed, lucky = candidate("seed"), candidate("lucky")

    class Judged:
        async def answers(self, prompt: Prompt, items: Sequence[Item]) -> list[Answer]:
            early = prompt.version == lucky.prompt.version
            return [Answer(score=float(place[item.id] < 48 if early else place[item.id] % 2)) for item in items]

    log = RunLog(MemoryRunStore(), "r", "scripted")
    asking = Asking(ScriptedLLM(lambda request: "yes"), log, None, lambda: False)
    race = Race(CurriculumConfig("Say yes.", "made", adaptive_order=False), Judged(), asking, seed, asked)
    await race.enter(lucky, Course(tuple(asked), {}), 1)
    assert await race.climb_on(1)
    assert await race.climb_on(1)
    assert race.best is lucky
    assert await race.climb_on(1)
    assert race.best is seed
    assert "behind the seed prompt on 200 items" in race.tracker.decisions[-1]["because"]


async def test_who_waits_is_compared_with_whoever_leads_now() -> None:
    asked = read_items([{"input": f"item {number}", "expected": "yes"} for number in range(48)])
    place = {item.id: number for number, item in enumerate(asked)}
    seed, waiting, better = candidate("seed"), candidate("waiting"), candidate("better")
    right = {seed.prompt.version: 8, waiting.prompt.version: 4, better.prompt.version: 2}

    class Judged:
        async def answers(self, prompt: Prompt, items: Sequence[Item]) -> list[Answer]:
            return [Answer(score=float(place[item.id] % right[prompt.version] == 0)) for item in items]

    log = RunLog(MemoryRunStore(), "r", "scripted")
    asking = Asking(ScriptedLLM(lambda request: "yes"), log, None, lambda: False)
    race = Race(CurriculumConfig("Say yes.", "made", adaptive_order=False), Judged(), asking, seed, asked)
    await race.enter(waiting, Course(tuple(asked), {}), 1)
    before = race.ladder.standings[waiting.version].over_best
    assert before.raw == 1 / 8
    await race.enter(better, Course(tuple(asked), {}), 1)
    while race.best is not better:
        assert await race.climb_on(1)
    assert race.ladder.standings[better.version].over_best.raw > 0.0
    assert race.ladder.standings[waiting.version].over_best.raw == -1 / 4
    assert not await race.climb_on(1)
