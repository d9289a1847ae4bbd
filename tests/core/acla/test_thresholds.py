"""The prompt in use with thresholds: a plan that is fixed before the search, and what its test may count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.acla.local import rightness
from benchmarks.acla.worlds import SEED_PROMPT, World
from benchmarks.peers.acla_client import read
from meta_learning.acla import AdaptiveCurriculumAgent, CurriculumConfig, Prompt
from meta_learning.acla.calibration import FOLDS_COUNT, UNCALIBRATED, Known, cross_fitted
from meta_learning.acla.gate import PairedScores, decide
from meta_learning.acla.outcomes import Answer, Candidate, OutcomeMatrix
from meta_learning.acla.parsing import parse_answer
from meta_learning.acla.racing.shrinkage import Gain
from meta_learning.acla.splits import Item, read_items
from meta_learning.acla.statistics import mcnemar_one_sided, power
from meta_learning.client.voting import Voter, vote
from meta_learning.experiments.asking import Package, PromptAsker
from meta_learning.llm import Capabilities, Reply
from meta_learning.llm.scripted import ScriptedLLM

LABELS = ("no", "yes")
SEED = Candidate(Prompt.parse("Say it. Answer with one word."))
LEANING = World(3, logprobs=True, leaning=1.5, base=1.0, drift=-0.3, effect=0.0)


async def test_a_leaning_prompt_is_beaten_by_its_own_thresholds_on_pairs_of_the_search_and_fresh_ones() -> None:
    settings = CurriculumConfig(SEED_PROMPT, "world", calls_max=300, gate_samples=60, max_iterations=10, seed=1)
    results = await AdaptiveCurriculumAgent(settings, LEANING.model()).run_curriculum(LEANING.samples, num_samples=100)
    assert results["outcome"] == "improved"
    fixed = next(one for one in results["gate"]["finalists"] if one["version"].startswith(results["best_version"][:8]))
    assert 0 < fixed["fresh_count"] <= 60
    assert fixed["pairs_count"] >= fixed["fresh_count"] + 48
    assert f"({fixed['fresh_count']} of them fresh" in results["reason"]
    assert results["best_prompt"] == Prompt.parse(SEED_PROMPT).render()


@pytest.mark.parametrize(("tokens_max", "calls_max"), [(3000, None), (2500, 1200), (5000, 1200)])
async def test_the_answers_that_thresholds_are_fitted_on_leave_the_tokens_of_the_decision(
    tokens_max: int, calls_max: int | None
) -> None:
    settings = CurriculumConfig(
        SEED_PROMPT, "world", tokens_max=tokens_max, calls_max=calls_max, gate_samples=40, max_iterations=10, seed=1
    )
    results = await AdaptiveCurriculumAgent(settings, LEANING.model()).run_curriculum(LEANING.samples, num_samples=250)
    assert results["spent"]["tokens"] <= tokens_max
    assert results["gate"] is not None, results["reason"]
    assert results["judged"]["fresh_count"] >= 20


def test_earlier_pairs_count_only_for_whoever_has_them_and_at_a_level_of_their_own() -> None:
    fresh, seed = [1.0] * 8 + [0.0] * 5, [0.0] * 8 + [1.0] * 5
    earlier = [(1.0, 0.0)] * 16 + [(0.0, 1.0)] * 5 + [(1.0, 1.0)] * 10
    fixed = PairedScores("fixed", fresh, seed, earlier=earlier, share=0.5)
    other = PairedScores("other", fresh, seed, share=0.5)
    report = decide([fixed, other], alpha=0.1, seed=0)
    first, second = report.finalists
    assert (first.pairs_count, first.fresh_count, second.pairs_count) == (44, 13, 13)
    assert first.gain == pytest.approx(14 / 44)
    assert first.p_adjusted == pytest.approx(2 * mcnemar_one_sided(24, 10))
    assert second.p_adjusted == pytest.approx(mcnemar_one_sided(8, 5))  # what was won is passed on
    assert report.winner is first
    alone = decide([fixed], alpha=0.1, seed=0)
    assert alone.finalists[0].p_adjusted == pytest.approx(
        2 * mcnemar_one_sided(24, 10)
    )  # the others' level stays theirs


def test_the_power_of_a_gate_is_that_of_the_finalist_with_the_most_pairs_at_its_own_level() -> None:
    fixed = PairedScores(
        "fixed", [1.0, 0.0] * 10, [0.0] * 20, earlier=[(1.0, 0.0)] * 10 + [(0.0, 0.0)] * 130, share=0.2
    )
    other = PairedScores("other", [1.0, 0.0] * 10, [0.0, 0.0] * 10, share=0.8)
    alone, beside = (decide(pairs, 0.1, seed=0).power_for_5_points for pairs in ([fixed], [fixed, other]))
    assert alone == beside == power(160, 0.05, 20 / 160, 0.02)
    [one], three = ([PairedScores("other", [1.0, 0.0] * 10, [0.0] * 20)] * count for count in (1, 3))
    assert decide(three, 0.1, seed=0).power_for_5_points == power(20, 0.05, 0.5, 0.1 / 3)
    assert decide([one], 0.1, seed=0).power_for_5_points == power(20, 0.05, 0.5, 0.1)
    assert decide([], 0.1, seed=0).power_for_5_points == 0.0


def test_of_two_that_pass_the_one_that_the_search_believed_in_wins_over_a_luckier_one() -> None:
    lucky = PairedScores("lucky", [1.0] * 21 + [0.0] * 79, [0.0] * 100, believed=Gain(0.0, 0.02, 0.0, 60))
    known = PairedScores("known", [1.0] * 20 + [0.0] * 80, [0.0] * 100, believed=Gain(0.15, 0.02, 0.2, 60))
    report = decide([lucky, known], alpha=0.1, seed=0)
    assert report.winner is not None
    assert report.winner.version == "known"


def out_of_sight(known: list[Known]) -> float:
    """The p-value of thresholds, each item judged by those that did not see its answer."""
    fits = cross_fitted(known)
    pairs = [
        (fits[index % FOLDS_COUNT].decision(said) == label, UNCALIBRATED.decision(said) == label)
        for index, (said, label) in enumerate(known)
    ]
    return mcnemar_one_sided(sum(one > other for one, other in pairs), sum(one < other for one, other in pairs))


def test_thresholds_that_bring_nothing_are_seldom_called_a_gain() -> None:
    def p_value(world: int, count: int = 150) -> float:
        rng = np.random.default_rng(world)
        right = rng.random(count) < 0.5
        towards_yes = rng.normal(0.0, 1.0, count) + np.where(right, 0.5, -0.5)
        return out_of_sight(
            [
                ({"no": -odds / 2, "yes": odds / 2}, LABELS[int(one)])
                for odds, one in zip(towards_yes, right, strict=True)
            ]
        )

    # No threshold helps here, so that the level of a tenth is an upper bound: 20 of 200, and two deviations more.
    assert sum(p_value(world) < 0.1 for world in range(200)) <= 28


def test_on_a_model_that_guesses_thresholds_are_called_a_gain_little_oftener_than_the_level() -> None:
    labels = ("a", "b", "c", "d", "e")

    def p_value(world: int, count: int = 150) -> float:
        rng = np.random.default_rng(world)
        said, right = rng.normal(0.0, 1.0, (count, 5)).tolist(), rng.integers(0, 5, count).tolist()
        return out_of_sight(
            [(dict(zip(labels, row, strict=True)), labels[one]) for row, one in zip(said, right, strict=True)]
        )

    # All folds lean towards the label that happens to be frequent, so that their pairs err together.
    assert sum(p_value(world) < 0.1 for world in range(200)) <= 30


def test_where_the_model_considers_no_label_weights_answer_and_nothing_else_does() -> None:
    items: list[Item] = read_items([{"input": f"text {n}", "expected": LABELS[n % 2]} for n in range(41)])
    matrix = OutcomeMatrix(items[:40])
    for number, item in enumerate(items[:40]):
        towards_yes = 3.0 + number % 5 + (2.0 if item.expected == "yes" else 0.0)
        matrix.record(SEED.prompt, item, Answer(label_logprobs={"no": -towards_yes, "yes": -0.1}))
    unread, weighed = items[40], replace(SEED, calibrated=True)
    matrix.record(SEED.prompt, unread, Answer(text=None))
    bias = matrix.bias(weighed)
    assert bias["no"] > bias["yes"]
    assert matrix.decision(weighed, unread) == "no"
    assert matrix.decision(SEED, unread) is None
    assert vote([Voter("Say it.", bias)], [None]) == "no"
    assert vote([Voter("Say it.")], [None]) is None
    matrix.record(SEED.prompt, unread, Answer(missing="refused"))
    assert matrix.score(weighed, unread) is None


@pytest.mark.parametrize(
    ("said", "logprobs", "wanted"),
    [
        ("no", {"no": -0.6, "yes": -0.8}, "yes"),
        ("Well", None, "yes"),
        ("no", None, "no"),
    ],
)
async def test_all_that_use_a_package_read_an_answer_as_the_run_does(
    said: str, logprobs: dict[str, float] | None, wanted: str
) -> None:
    bias = {"no": 0.0, "yes": 0.4}
    reply = Reply(said, "made", label_logprobs=logprobs)
    can = Capabilities(temperature=True, label_logprobs=True)
    llm = ScriptedLLM(lambda request: reply, provider="made", model="made", capabilities=can)
    [predicted] = await PromptAsker(llm, LABELS).predict(Package("Say it.", bias), [{"input": "a", "expected": wanted}])
    assert predicted.answer == wanted
    text = parse_answer(said, LABELS)
    assert vote([Voter("Say it.", bias)], [logprobs or text]) == wanted
    assert read({"text": said, "logprobs": logprobs}, LABELS, by_label=True, bias=bias) == wanted
    asked = [{"input": "a", "expected": wanted}]
    assert await rightness(llm, {"prompt": "Say it.", "label_bias": bias}, asked, LABELS) == [1.0]
