"""Items of the search that nobody was asked in it, answers that are compared on equal terms, and how many of them thresholds get."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from benchmarks.acla.worlds import SEED_PROMPT, World
from meta_learning.acla import AdaptiveCurriculumAgent, CurriculumConfig, Prompt
from meta_learning.acla.calibration import leans
from meta_learning.acla.outcomes import Answer, Candidate, OutcomeMatrix
from meta_learning.acla.racing.ladder import Ladder, Standing
from meta_learning.acla.racing.shrinkage import NOTHING_KNOWN, shrunken_gain
from meta_learning.acla.splits import Item, read_items
from meta_learning.errors import LLMUnavailable
from meta_learning.llm import Reply, Request
from meta_learning.llm.retry import Retrying, RetryPolicy

LEANING = World(3, logprobs=True, leaning=1.5, base=1.0, drift=-0.3, effect=0.0)
LEVEL = World(5, logprobs=True, leaning=0.0, drift=-0.05, effect=0.1)
SEED, OTHER = (Candidate(Prompt.parse(text), calibrated=True) for text in ("Say it.", "Say it well."))


async def found(world: World, calls: int, samples_count: int = 200, **settings: Any) -> dict[str, Any]:
    config = CurriculumConfig(SEED_PROMPT, "world", calls_max=calls, gate_samples=60, seed=1, **settings)
    agent = AdaptiveCurriculumAgent(config, world.model())
    results = await agent.run_curriculum(world.samples, num_samples=samples_count)
    assert results["calls"] <= calls
    return results


def weighed(results: dict[str, Any]) -> dict[str, float]:
    return next(one["numbers"] for one in results["decisions"] if one["decision"] == "labels are weighed")


async def test_where_the_model_leans_to_a_label_more_items_are_asked_for_thresholds_before_anything_else() -> None:
    leaning, level = weighed(await found(LEANING, 300)), weighed(await found(LEVEL, 300))
    assert leaning["items"] > 2 * level["items"] >= 96
    assert leaning["calls_kept_for_more"] == level["calls_kept_for_more"] == 0


async def test_where_it_does_not_what_is_not_asked_at_first_is_kept_until_the_search_is_over() -> None:
    results = await found(LEVEL, 1000, max_iterations=60)
    numbers = weighed(results)
    assert numbers["items"] == 100
    assert numbers["calls_kept_for_more"] > 50
    assert all(one["fresh_count"] > results["items"]["gate"] == 60 for one in results["gate"]["finalists"])


@pytest.mark.parametrize("gate_samples", [20, 60])
async def test_retries_that_come_with_the_decision_do_not_cost_it(gate_samples: int) -> None:
    llm = LEVEL.model()
    reply, refused, failing = llm.answer, random.Random(0), [False]

    def answer(request: Request) -> Reply | str | Exception:
        if failing[0] and request.purpose != "proposer" and refused.random() < 0.3:
            return LLMUnavailable("busy")
        return reply(request)

    llm.answer = answer
    config = CurriculumConfig(SEED_PROMPT, "world", calls_max=600, gate_samples=gate_samples, seed=1, max_iterations=4)

    def on_progress(iteration: int, best: float, calls: int, message: str) -> None:
        failing[0] = iteration == config.max_iterations

    patient = Retrying(RetryPolicy(attempts_max=12, wait_s_first=0.0, wait_s_max=0.0))
    agent = AdaptiveCurriculumAgent(config, llm, retry=patient, on_progress=on_progress)
    results = await agent.run_curriculum(LEVEL.samples, num_samples=200)
    assert results["gate"] is not None, results["reason"]
    assert results["spent"]["calls"] == 600


async def test_without_a_decision_to_come_no_calls_are_kept_for_it() -> None:
    config = CurriculumConfig(SEED_PROMPT, "world", calls_max=1000, gate_samples=0, seed=1, max_iterations=60)
    results = await AdaptiveCurriculumAgent(config, LEVEL.model()).run_curriculum(LEVEL.samples, num_samples=200)
    assert results["outcome"] == "search_only"
    assert weighed(results)["items"] == 200
    assert results["calls"] > 950


async def test_no_item_of_the_search_speaks_at_the_gate_whose_group_was_seen() -> None:
    def grouped(count: int) -> list[dict[str, Any]]:
        return [one | {"group": f"user {place % 26}"} for place, one in enumerate(LEVEL.samples(count))]

    alone = await found(LEVEL, 1000, max_iterations=3)
    config = CurriculumConfig(SEED_PROMPT, "world", calls_max=1000, gate_samples=60, seed=1, max_iterations=3)
    results = await AdaptiveCurriculumAgent(config, LEVEL.model()).run_curriculum(grouped, num_samples=200)
    assert all(one["fresh_count"] > 60 for one in alone["gate"]["finalists"])
    assert all(one["fresh_count"] == results["items"]["gate"] for one in results["gate"]["finalists"])


def matrix_of(answers: dict[Candidate, list[Answer]], items: list[Item]) -> OutcomeMatrix:
    matrix = OutcomeMatrix(items)
    for candidate, said in answers.items():
        for item, answer in zip(items, said, strict=False):
            matrix.record(candidate.prompt, item, answer)
    return matrix


def said(rng: random.Random, expected: str, sharpness: float = 1.0, lean: float = 0.0) -> Answer:
    odds = sharpness * ((1.0 if expected == "yes" else -1.0) + rng.gauss(0.0, 1.0)) + lean
    yes = -math.log1p(math.exp(-odds))
    return Answer(label_logprobs={"yes": yes, "no": yes - odds})


@pytest.mark.parametrize("count", [8, 16, 48])
def test_a_newcomer_is_not_behind_because_it_was_asked_less(count: int) -> None:
    samples = [{"input": f"text {i}", "expected": ("yes", "no")[i % 2]} for i in range(200)]
    items = list(read_items(samples))
    rng = random.Random(count)
    answers = [said(rng, item.expected, lean=1.5) for item in items]
    # Word for word what the seed says, but for fewer items.
    matrix = matrix_of({SEED: answers, OTHER: answers[:count]}, items)
    differences = matrix.levelled_differences(OTHER, SEED)
    assert len(differences) == count
    assert all(one == pytest.approx(0.0) for one in differences.values())


def test_a_prompt_that_orders_better_is_ahead_whatever_it_leans_to() -> None:
    items = list(read_items([{"input": f"text {i}", "expected": ("yes", "no")[i % 2]} for i in range(48)]))
    rng = random.Random(4)
    good = [said(rng, item.expected, lean=-3.0) for item in items]
    poor = [Answer(label_logprobs={"yes": rng.gauss(-1.0, 1.0), "no": rng.gauss(-1.0, 1.0)}) for _ in items]
    matrix = matrix_of({SEED: poor, OTHER: good}, items)
    assert shrunken_gain(list(matrix.levelled_differences(OTHER, SEED).values())).chance_above(0.0) > 0.95


def test_what_others_of_its_kind_brought_is_expected_of_a_newcomer() -> None:
    ladder = Ladder([8, 16])
    assert ladder.usual_gain(OTHER) == 0.0
    for number in range(6):
        candidate = Candidate(Prompt.parse(f"Prompt {number}."), strategy=OTHER.strategy)
        ladder.stand(Standing(candidate, 1, shrunken_gain([-1.0, 0.0] * 8), NOTHING_KNOWN))
    assert -0.5 < ladder.usual_gain(OTHER) < -0.03
    assert ladder.usual_gain(Candidate(Prompt.parse("Else."), strategy="merge")) == 0.0


def test_equal_labels_do_not_lean_by_chance_more_often_than_once_in_twenty() -> None:
    rng = random.Random(0)
    pairs = [[(rng.choice("abc"), rng.choice("abc")) for _ in range(60)] for _ in range(400)]
    assert sum(map(leans, pairs)) <= 30
    assert leans([(None, "a")] * 20 + [("b", "b")] * 20)
