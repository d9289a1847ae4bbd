"""The parts of the prompt-evolving loop, each alone."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from meta_learning.acla import STRATEGIES, Prompt
from meta_learning.acla.outcomes import Answer, Candidate, OutcomeMatrix
from meta_learning.acla.parsing import is_right, parse_answer, parse_rewrite
from meta_learning.acla.prompt import Exemplar
from meta_learning.acla.splits import Item, closed_labels, read_items, split
from meta_learning.acla.statistics import mcnemar_one_sided, paired_bootstrap, sign_flip_one_sided, wilson
from meta_learning.acla.strategies import Answered, Situation, by_name

SEED_TEXTS = [
    "Classify.",
    "You are a critic. Judge the review. Answer with one word: good or bad.",
    "Classify the text:\n\n{input}\n\nAnswer:",
    "Line one\n  line two, oddly   spaced\n",
]


class Silent:
    """An author who never says anything usable: the weakest proposer there is."""

    async def write(self, brief: str) -> str:
        return ""


def items(count: int) -> list[Item]:
    return read_items(
        [{"input": f"the text of number {i}", "expected": "good" if i % 2 else "bad"} for i in range(count)]
    )


def situation(prompt: Prompt) -> Situation:
    known = items(12)
    return Situation(
        parent=Candidate(prompt),
        labels=("bad", "good"),
        failures=[Answered(item, "good" if item.expected == "bad" else "bad") for item in known[:5]],
        successes=[Answered(item, item.expected) for item in known[5:]],
        history=[(prompt.render(), 0.6)],
    )


@pytest.mark.parametrize("text", SEED_TEXTS)
def test_a_persons_prompt_is_rendered_to_the_letter(text: str) -> None:
    assert Prompt.parse(text).render() == text


@pytest.mark.parametrize("text", SEED_TEXTS)
def test_the_contract_and_the_template_variables_survive_every_edit(text: str) -> None:
    seed = Prompt.parse(text)
    edited = seed.edit(task="Something else.", role="", rules=("One.",), exemplars=(Exemplar("a", "b"),))
    assert edited.contract in edited.render()
    assert edited.frame == seed.frame
    with pytest.raises(TypeError, match="cannot be evolved"):
        seed.edit(contract="Answer in verse.")


def test_an_input_goes_where_the_template_says_even_if_it_looks_like_a_template() -> None:
    prompt = Prompt.parse("Classify the text:\n\n{input}\n\nAnswer:").edit(exemplars=(Exemplar("{input}", "good"),))
    assert [one.text for one in prompt.messages("a {input} text")] == [
        "Classify the text:",
        "{input}\n\nAnswer:",
        "good",
        "a {input} text\n\nAnswer:",
    ]


@pytest.mark.parametrize("name", STRATEGIES)
async def test_every_strategy_proposes_something_new_without_a_clever_author_and_repeats_itself_for_a_seed(
    name: str,
) -> None:
    prompt = Prompt.parse("You are a critic. Judge the review. Look at the tone. Answer with one word: good or bad.")
    [strategy] = by_name([name])
    first = await strategy.propose(situation(prompt), Silent(), random.Random(1))
    again = await strategy.propose(situation(prompt), Silent(), random.Random(1))
    assert first == again
    assert 1 <= len(first) <= 3
    assert all(one.prompt.version != prompt.version and one.note for one in first)
    assert all(one.prompt.contract == "Answer with one word: good or bad." for one in first)


@pytest.mark.parametrize("known", ["both", "one label", "nothing"])
async def test_examples_are_balanced_whatever_the_model_gets_right(known: str) -> None:
    [strategy] = by_name(["few_shot_optimization"])
    pool = items(24)
    right = [item for item in pool[:16] if known == "both" or (known == "one label" and item.expected == "good")]
    here = Situation(
        parent=Candidate(Prompt.parse("Judge.")),
        labels=("bad", "good"),
        successes=[Answered(item, item.expected) for item in right],
        failures=[Answered(item, "good") for item in pool if item not in right],
        children_count=6,
    )
    found = await strategy.propose(here, Silent(), random.Random(0))
    assert len(found) == 6
    assert {len(one.prompt.exemplars) for one in found} == {1, 2, 3, 4, 6, 8}
    expected = {item.id: item.expected for item in pool}
    for proposal in found:
        answers = [one.answer for one in proposal.prompt.exemplars]
        assert abs(answers.count("good") - answers.count("bad")) == len(answers) % 2
        assert answers == [expected[one.item_id] for one in proposal.prompt.exemplars]
        assert all({*answers[place : place + 2]} == {"good", "bad"} for place in range(0, len(answers) - 1, 2))
        if "its own correct answers first" in proposal.note and known != "nothing":
            good = {one.item_id for one in proposal.prompt.exemplars if one.answer == "good"}
            assert good <= {item.id for item in right}


async def test_a_prompt_with_examples_is_tried_with_another_order_and_with_one_swapped() -> None:
    [strategy] = by_name(["few_shot_optimization"])
    pool = items(12)
    shown = tuple(Exemplar(item.input, item.expected, item.id) for item in pool[:6])
    here = situation(Prompt.parse("Judge.").edit(exemplars=shown))
    found = await strategy.propose(replace(here, children_count=4), Silent(), random.Random(0))
    [moved] = [one for one in found if "order" in one.note]
    [swapped] = [one for one in found if "swapped" in one.note]
    assert found[0] not in (moved, swapped)
    fresh = found[0]
    assert sorted(moved.prompt.exemplars, key=str) == sorted(shown, key=str)
    assert moved.prompt.exemplars != shown
    [(old, new)] = [(a, b) for a, b in zip(shown, swapped.prompt.exemplars, strict=True) if a != b]
    assert old.answer == new.answer
    assert fresh.prompt.exemplar_ids != moved.prompt.exemplar_ids


async def test_error_analysis_names_the_most_frequent_confusion() -> None:
    [strategy] = by_name(["error_analysis"])
    [first, *_] = await strategy.propose(situation(Prompt.parse("Judge.")), Silent(), random.Random(0))
    assert "3 times 'good' where 'bad' was right" in first.note


def test_a_prompt_is_never_scored_on_its_own_exemplars() -> None:
    known = items(4)
    prompt = Prompt.parse("Judge.").edit(exemplars=(Exemplar("x", "good", known[0].id),))
    matrix = OutcomeMatrix()
    assert [item.id for item in matrix.unasked(prompt, known)] == [item.id for item in known[1:]]
    matrix.record(prompt, known[0], Answer("bad"))
    assert matrix.score(Candidate(prompt), known[0]) is None


def test_missing_answers_are_left_out_of_pairs_and_never_count_as_wrong() -> None:
    known, one, other = items(3), Prompt.parse("A."), Prompt.parse("B.")
    matrix = OutcomeMatrix()
    for item, first, second in zip(known, ("bad", None, "bad"), ("good", "good", None), strict=True):
        matrix.record(one, item, Answer(first) if first else Answer(missing="refused"))
        if second:
            matrix.record(other, item, Answer(second))
    assert matrix.scores(Candidate(one), known) == [1.0, 1.0]
    assert matrix.differences(Candidate(one), Candidate(other), known) == [1.0]


def test_calibration_takes_away_a_leaning_without_looking_at_the_answers() -> None:
    known, prompt = items(20), Prompt.parse("Judge.")
    matrix = OutcomeMatrix(known)
    for number, item in enumerate(known):
        # The order is right, the threshold is not: "good" is always ahead.
        lift = 0.3 if item.expected == "good" else -0.3
        matrix.record(prompt, item, Answer("good", {"good": -0.5 + lift, "bad": -3.0 - 0.01 * number}))
    plain, calibrated = Candidate(prompt), Candidate(prompt, calibrated=True)
    assert sum(matrix.scores(plain, known)) == 10
    assert sum(matrix.scores(calibrated, known)) == 20
    assert calibrated.version != plain.version


def test_search_and_gate_share_no_input_whatever_its_case_and_spacing() -> None:
    twice = [{"input": f"Some  TEXT {i}!", "expected": "a"} for i in range(9)] + [
        {"input": f"some text {i}", "expected": "a"} for i in range(9)
    ]
    parts = split(read_items(twice), 5, random.Random(0))
    assert not {item.id for item in parts.search} & {item.id for item in parts.gate}
    assert (len(parts.search), len(parts.gate), parts.duplicates_count) == (5, 4, 9)


def test_open_answers_are_no_closed_set() -> None:
    assert closed_labels(read_items([{"input": str(i), "expected": str(i)} for i in range(30)])) == ()
    assert closed_labels(items(10)) == ("bad", "good")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("Good", "good"),
        ("**bad**.", "bad"),
        ("The review is good.", "good"),
        ("It is not bad, so\nAnswer: good", "good"),
        ("First I thought: Answer: bad. No.\nAnswer: Good!", "good"),
        ("good or bad", None),
        ("goodness", None),
        ("", None),
    ],
)
def test_labels_are_read_out_of_what_models_say(said: str, answer: str | None) -> None:
    assert parse_answer(said, ("bad", "good")) == answer


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("b", "B"),
        ("(B) a house", "B"),
        ("It would be A.", "A"),
        ("B is right", "B"),
        ("It is a dog, so B", "B"),
        ("A house would be right", None),
        ("The answer would be a house", None),
    ],
)
def test_a_lettered_choice_is_told_from_an_article(said: str, answer: str | None) -> None:
    assert parse_answer(said, tuple("ABCDE")) == answer


@pytest.mark.parametrize(
    ("said", "expected", "right"),
    [
        ("42", "42.0", True),
        ("$1,200", "1200", True),
        ("Answer: Paris.", "paris", True),
        ("4", "42", False),
        ("", "0", False),
    ],
)
def test_open_answers_are_compared_by_value(said: str, expected: str, right: bool) -> None:
    assert is_right(parse_answer(said), expected) is right


def test_of_several_fences_the_last_counts() -> None:
    assert parse_rewrite("```\nold\n```\nbetter:\n```text\nnew\n```") == "new"


def test_the_exact_test_agrees_with_enumeration() -> None:
    assert mcnemar_one_sided(8, 2) == pytest.approx(56 / 1024)
    assert sign_flip_one_sided([1.0] * 8 + [-1.0] * 2 + [0.0] * 5, seed=0) == mcnemar_one_sided(8, 2)
    assert sign_flip_one_sided([0.5] * 8 + [-0.5] * 2, seed=0) == pytest.approx(56 / 1024, abs=0.015)


def test_the_gates_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng, covered = random.Random(3), 0
    for trial in range(200):
        differences: list[float] = [rng.choice([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0]) for _ in range(80)]
        low, high = paired_bootstrap(differences, 0.95, seed=trial)
        covered += low <= 1 / 7 <= high
    assert 180 <= covered <= 199


def test_an_interval_of_nothing_is_everything() -> None:
    assert wilson(0.0, 0) == (0.0, 1.0)
    low, high = wilson(10, 10)
    assert 0.6 < low < high == 1.0


def test_metadata_is_handed_back_as_it_came() -> None:
    sample: dict[str, Any] = {"input": "a", "expected": 3, "metadata": {"k": [1]}}
    assert read_items([sample])[0].as_sample() == {"input": "a", "expected": "3", "metadata": {"k": [1]}}
