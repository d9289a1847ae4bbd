"""A prompt that leans to a label is expected to be right less often, before many answers say so."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

import pytest

from benchmarks.acla.replay import WORLDS
from benchmarks.acla.worlds import World
from meta_learning.acla import CurriculumConfig
from meta_learning.acla.asking import Asking
from meta_learning.acla.outcomes import Answer, Candidate
from meta_learning.acla.prompt import Prompt
from meta_learning.acla.racing.curriculum import Course
from meta_learning.acla.racing.ladder import Standing
from meta_learning.acla.racing.leaning import EXPECTED_SHARE, cost_of, leaning
from meta_learning.acla.racing.race import Race
from meta_learning.acla.splits import read_items
from meta_learning.acla.store import MemoryRunStore, RunLog
from meta_learning.llm.scripted import ScriptedLLM

RIGHT = ["yes", "no"] * 12
OTHER = {"yes": "no", "no": "yes"}
LEANING: list[str | None] = ["yes"] * 24
EVEN: list[str | None] = [one if n % 4 < 2 else OTHER[one] for n, one in enumerate(RIGHT)]


def race_of(labels: tuple[str, ...] = ("no", "yes")) -> Race:
    config = CurriculumConfig("Judge.", "own")
    items = read_items([{"input": f"text {n}", "expected": label} for n, label in enumerate(RIGHT)])
    asking = Asking(ScriptedLLM(lambda request: ""), RunLog(MemoryRunStore(), "r", "scripted"), None, lambda: False)
    race = Race(config, None, asking, Candidate(Prompt(task="Judge.")), items)  # type: ignore[arg-type]  # nobody is asked
    race.labels = labels
    return race


def entered(race: Race, task: str, said: list[str | None], missing: str | None = None) -> Candidate:
    candidate = Candidate(Prompt(task=task))
    for item, answer in zip(race.items, said, strict=True):
        race.matrix.record(candidate.prompt, item, Answer(text=answer, missing=missing if answer is None else None))
    return candidate


def test_of_two_that_are_as_often_right_the_one_that_leans_is_behind() -> None:
    race = race_of()
    leans, even = entered(race, "Lean.", LEANING), entered(race, "Be even.", EVEN)
    gain = race.gain(even, leans)
    assert gain.raw == 0.0
    assert gain.mean > 0.01
    assert race.gain(leans, even).mean == pytest.approx(-gain.mean)


def test_it_counts_for_less_the_more_answers_there_are() -> None:
    race = race_of()
    leans, even = entered(race, "Lean.", LEANING), entered(race, "Be even.", EVEN)
    few, many = (race.gain(even, leans, rung) for rung in (8, 24))
    assert few.mean > 0.0
    assert few.mean / few.expected > many.mean / many.expected > 0.0


@pytest.mark.parametrize("labels", [(), ("no", "yes")])
def test_texts_and_weighed_labels_have_no_leaning(labels: tuple[str, ...]) -> None:
    race = race_of(labels)
    leans, even = entered(race, "Lean.", LEANING), entered(race, "Be even.", EVEN)
    if labels:
        race.anchor = Candidate(race.seed.prompt, calibrated=True)
    assert race.gain(even, leans).mean == 0.0


def test_what_is_missing_leans_to_nothing() -> None:
    race = race_of()
    half = [one if n < 12 else None for n, one in enumerate(RIGHT)]
    refused, silent = entered(race, "One.", list(half), missing="refused"), entered(race, "Two.", list(half))
    right = entered(race, "Three.", list(RIGHT))
    assert race.gain(refused, right).mean == 0.0
    assert race.gain(silent, right).expected < 0.0


def test_scores_of_others_have_no_leaning() -> None:
    race = race_of()
    leans, even = Candidate(Prompt(task="One.")), Candidate(Prompt(task="Two."))
    for number, item in enumerate(race.items):
        race.matrix.record(leans.prompt, item, Answer(score=float(LEANING[number] == item.expected)))
        race.matrix.record(even.prompt, item, Answer(score=float(EVEN[number] == item.expected)))
    assert race.gain(even, leans).raw == race.gain(even, leans).mean == 0.0


def test_a_right_answer_leans_to_nothing_however_it_is_written() -> None:
    race = race_of()
    right, plain = (
        entered(race, "One.", [one.upper() if one == "yes" else one for one in RIGHT]),
        entered(race, "Two.", list(RIGHT)),
    )
    assert race.gain(right, plain).mean == 0.0


def test_two_that_answer_alike_are_level_however_much_more_one_of_them_was_asked() -> None:
    race = race_of()
    leans, newcomer = entered(race, "One.", LEANING), Candidate(Prompt(task="New."))
    for item in race.items[:8]:
        race.matrix.record(newcomer.prompt, item, Answer(text="yes"))
    assert race.gain(newcomer, leans, 8).mean == race.gain(leans, newcomer, 8).mean == 0.0


def test_what_leanings_made_expect_is_not_expected_of_others_of_the_kind_again() -> None:
    race = race_of()
    even = entered(race, "Be even.", EVEN)
    for number in range(6):
        leans = replace(entered(race, f"Lean {number}.", LEANING), strategy="kind")
        gain = race.gain(leans, even)
        race.ladder.stand(Standing(leans, 1, gain, gain))
    newcomer = Candidate(Prompt(task="New."), strategy="kind")
    assert gain.raw == 0.0 > gain.mean
    assert race.ladder.usual_gain(newcomer) == 0.0


def test_few_errors_to_one_side_are_chance() -> None:
    assert leaning([("yes", "no"), *[("yes", "yes"), ("no", "no")] * 5]) == 0.0
    assert leaning([]) == 0.0
    seven_of_eight = [("yes", "no")] * 3 + [("yes", "yes")] * 4 + [("no", "no")]
    assert 0.0 < leaning(seven_of_eight) < 9 / 64


def test_many_labels_lean_as_far_as_one_takes_from_the_others() -> None:
    letters = ["A", "B", "C", "D", "E"] * 20
    always = leaning([("A", right) for right in letters])
    assert always == pytest.approx(0.4, abs=0.02)
    assert cost_of(always, 0.2, 0.6) == pytest.approx(EXPECTED_SHARE * 0.4 * always / 0.64)
    assert leaning([(letters[(n + 5) % 100], right) for n, right in enumerate(letters)]) == 0.0


def test_the_cost_stays_within_what_there_is_to_lose() -> None:
    assert cost_of(1.0, 0.5, 0.9) == pytest.approx(EXPECTED_SHARE * 0.4)
    assert cost_of(1.0, 1.0, 1.0) < 1e-6


def test_prompts_of_a_world_lean_as_far_as_it_says() -> None:
    asked = World(7, **WORLDS["prompts lean"])
    prompts = [Prompt(task=f"Way {number} of asking.") for number in range(8)]
    shares = [fmean(asked.answer(one, item["input"])[0] == "positive" for item in asked.samples(60)) for one in prompts]
    assert sum(not 0.2 < share < 0.8 for share in shares) >= 4


async def test_a_lead_that_a_leaning_decides_says_so() -> None:
    race = race_of()
    race.ladder.rungs = [8, 24]
    entered(race, "Judge.", LEANING)
    even = entered(race, "Be even.", EVEN)
    await race.enter(even, Course(tuple(race.items), {}), 1)
    assert race.best is race.seed
    while await race.climb_on(1):
        pass
    assert race.best is even
    assert "in view of how far both lean" in race.tracker.decisions[-1]["because"]
