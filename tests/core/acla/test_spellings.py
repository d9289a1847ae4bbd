"""Data as people have it: a label in several spellings, a rare class, repeated and contradicting rows, models that think first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from meta_learning.acla import AdaptiveCurriculumAgent, CurriculumConfig, MemoryRunStore
from meta_learning.acla.parsing import is_right, parse_answer, parse_rewrite
from meta_learning.acla.preparing import draw
from meta_learning.acla.preparing import labels_of as labels_of_run
from meta_learning.acla.splits import Splits, closed_labels, read_items, spelled_once
from meta_learning.errors import CallerError, ConfigurationError
from meta_learning.experiments.drawing_items import Wanted
from meta_learning.experiments.drawing_items import draw as draw_for_a_study
from meta_learning.experiments.predictions import labels_of
from meta_learning.llm import Capabilities, Reply, Request
from meta_learning.llm.labels import beginnings, label_logprobs
from meta_learning.llm.scripted import ScriptedLLM
from tests.core.acla.simulated import config, expected_of, samples

Rows = list[dict[str, Any]]


def drawn(rows: Sequence[Any], count: int, gate: int, **changes: Any) -> Splits:
    def loader(n: int) -> Sequence[Any]:
        if n > len(rows):
            raise CallerError(f"asked for {n} samples, {len(rows)} are available")
        return rows[:n]

    wanted = CurriculumConfig(initial_prompt="Judge.", dataset_name="rows", gate_samples=gate, **changes)
    return asyncio.run(draw(loader, count, wanted))


def rows_of(count: int) -> Rows:
    return [{"input": f"text {n}", "expected": ("yes", "no")[n % 2]} for n in range(count)]


def spelled_variously(rows: Rows) -> Rows:
    """Half of each label with a capital, some with a space behind it."""
    spell = (str, str.capitalize, str, lambda said: f"{said} ", str, str.upper)
    return [{**row, "expected": spell[n // 2 % 6](row["expected"])} for n, row in enumerate(rows)]


@pytest.mark.parametrize("logprobs", [False, True], ids=["as text", "by label"])
async def test_a_label_in_several_spellings_is_one_label_and_costs_no_score(logprobs: bool) -> None:
    def says(request: Request) -> str | Reply:
        if request.purpose == "proposer":
            return "```\nJudge with care.\n```"
        right = expected_of(request.messages[-1].text)
        tokens = [(right[:2], -0.1), ("The", -3.0)]
        return Reply(
            f"It is {right}.", "scripted", label_logprobs=label_logprobs(tokens, request.labels) if logprobs else None
        )

    async def first_score(spelled: Any) -> tuple[str, float]:
        llm = ScriptedLLM(says, capabilities=Capabilities(label_logprobs=logprobs, temperature=True))
        agent = AdaptiveCurriculumAgent(config(max_iterations=1, gate_samples=20), llm)
        results = await agent.run_curriculum(lambda n: spelled(samples(n)), num_samples=60)
        assert {len(request.labels) for request in llm.requests} <= {0, 2}
        return results["scoring"], results["performance_history"][0]["score"]

    said = await first_score(spelled_variously)
    assert said == await first_score(list)
    assert said == ("label_logprobs" if logprobs else "text", 1.0)


def test_the_usual_spelling_is_everybodys_and_of_equals_the_first() -> None:
    items = read_items([{"input": str(n), "expected": said} for n, said in enumerate(("Yes", "yes", "no", "NO", "NO"))])
    assert closed_labels(items) == ("NO", "Yes")
    assert [item.expected for item in spelled_once(items)] == ["Yes", "Yes", "NO", "NO", "NO"]
    assert [item.as_sample()["expected"] for item in spelled_once(items)] == ["Yes", "yes", "no", "NO", "NO"]


def test_numbers_of_one_value_are_one_label_and_punctuation_is_told_apart() -> None:
    mixed = [{"input": str(n), "expected": said} for n, said in enumerate(("1", "1.0", "0", "0.0", 1, 0))]
    assert closed_labels(read_items(mixed)) == ("0", "1")
    faces = [{"input": str(n), "expected": (":)", ":(")[n % 2]} for n in range(8)]
    assert closed_labels(read_items(faces)) == (":(", ":)")
    assert parse_answer(":(", (":(", ":)")) == ":("
    assert not is_right(":(", ":)")


def test_texts_that_are_no_labels_stay_as_they_were_written() -> None:
    items = read_items([{"input": str(n), "expected": f"{('See', 'SEE')[n % 2]} page {n // 2} "} for n in range(40)])
    assert [item.expected for item in spelled_once(items)][:2] == ["See page 0", "SEE page 0"]


def test_labels_that_are_said_have_the_spelling_that_was_said() -> None:
    parts = drawn(spelled_variously(rows_of(60)), 30, 20, labels=["Yes", "No"])
    assert {item.expected for item in (*parts.search, *parts.gate)} == {"Yes", "No"}


def test_labels_that_are_spellings_of_one_answer_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="spellings of one answer"):
        config(labels=["Yes", "yes"])


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"labels": [1, 2]}, "labels are .*must be texts"),
        ({"labels": ["yes", " "]}, "labels are .*none of them empty"),
        ({"judge": 3}, "judge is 3; it must be a text"),
        ({"initial_voters": ["Judge."]}, "initial_voters: each is"),
        ({"initial_voters": [{"prompt": 3, "calibrated": False}]}, "initial_voters: each is"),
    ],
)
def test_labels_a_judge_and_voters_of_another_kind_are_refused_by_name(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        config(**settings)


@pytest.mark.parametrize(
    ("said", "labels"), [(["yes ", "no"], {"yes", "no"}), (["yes", "Yes", "Yes", "no"], {"Yes", "no"})]
)
async def test_labels_with_outer_spaces_or_a_repeated_spelling_fit_their_own_data(
    said: list[str], labels: set[str]
) -> None:
    llm = ScriptedLLM(
        lambda request: Reply("no", "scripted", label_logprobs=dict.fromkeys(request.labels, -1.0)),
        capabilities=Capabilities(label_logprobs=True, temperature=True),
    )
    agent = AdaptiveCurriculumAgent(config(labels=said, gate_samples=20, max_iterations=0), llm)
    results = await agent.run_curriculum(rows_of, num_samples=20)
    assert results["scoring"] == "label_logprobs"
    assert {request.labels for request in llm.requests if request.labels} == {tuple(sorted(labels))}


def rows_of_twelve_classes() -> Rows:
    """Each of them in two spellings, and one more answer in a row that repeats an input."""
    classes = [f"{('class', 'Class')[n % 3 // 2]} {chr(97 + n // 3 % 12)}" for n in range(110)]
    rows = [{"input": f"text {n}", "expected": said} for n, said in enumerate(classes)]
    return [rows[0], {"input": "Text 0!", "expected": "none of these"}, *rows[1:]]


def test_what_a_dropped_row_says_is_no_label_and_the_items_are_spelled_as_the_labels_are() -> None:
    parts = drawn(rows_of_twelve_classes(), 60, 50)
    items = (*parts.search, *parts.gate)
    labels = labels_of_run(config(), items)
    assert (len(items), parts.duplicates_count, len(labels)) == (110, 1, 12)
    assert {item.expected for item in items} == set(labels)


def test_judged_texts_stay_as_they_were_written() -> None:
    rows = spelled_variously(rows_of(60))
    parts = drawn(rows, 40, 20, judge="")
    items = (*parts.search, *parts.gate)
    assert {item.expected for item in items} == {row["expected"].strip() for row in rows}
    assert labels_of_run(config(judge=""), items) == ()


@pytest.mark.parametrize("labels", [("Yes", "yes", "no"), ("yes ", "yes", "no")])
def test_whoever_brings_two_spellings_of_a_label_all_the_same_can_still_be_answered(labels: tuple[str, ...]) -> None:
    assert is_right(parse_answer("I say yes.", labels), "yes")
    assert is_right(parse_answer("I say no.", labels), "no")
    found = label_logprobs([("Y", -0.5), ("no", -1.5)], labels)
    assert found == {labels[0]: -0.5, "yes": -0.5, "no": -1.5}
    assert beginnings(["ye", "n"], labels) == {labels[0]: [0], "yes": [0], "no": [1]}


async def test_a_study_has_one_spelling_of_a_label_too() -> None:
    items = await draw_for_a_study(lambda n: spelled_variously(rows_of(90))[:n], Wanted(40, 20, 30), seed=1)
    assert labels_of(items.pool) == ("no", "yes")
    assert {sample["expected"] for sample in (*items.pool, *items.test)} == {"no", "yes"}


async def test_a_class_that_only_fresh_items_have_can_be_answered() -> None:
    """3 classes, one of them in a single item, whichever part that falls in."""
    rows = [{"input": f"text {n}", "expected": "rare" if n == 7 else ("common", "usual")[n % 2]} for n in range(60)]
    for seed in range(6):
        llm = ScriptedLLM(
            lambda request: Reply("usual", "scripted", label_logprobs=dict.fromkeys(request.labels, -1.0)),
            capabilities=Capabilities(label_logprobs=True, temperature=True),
        )
        agent = AdaptiveCurriculumAgent(config(max_iterations=0, gate_samples=40, seed=seed), llm)
        await agent.run_curriculum(lambda n: rows[:n], num_samples=20)
        assert {request.labels for request in llm.requests if request.labels} == {("common", "rare", "usual")}


async def test_a_run_is_not_resumed_on_data_whose_answers_were_changed() -> None:
    rows, store = rows_of(60), MemoryRunStore()

    async def go(rows: Rows) -> dict[str, Any]:
        agent = AdaptiveCurriculumAgent(
            config(max_iterations=0, gate_samples=20), ScriptedLLM(lambda request: "yes"), store=store, run_id="r"
        )
        return await agent.run_curriculum(lambda n: rows[:n], num_samples=40)

    first = await go(rows)
    assert await go([dict(row) for row in rows]) == first
    for changed in (
        [{**row, "expected": "no"} if n == 30 else row for n, row in enumerate(rows)],
        [{**row, "input": "TEXT 31"} if n == 31 else row for n, row in enumerate(rows)],
        [{**row, "group": f"g{n}"} for n, row in enumerate(rows)],
    ):
        with pytest.raises(ConfigurationError, match="other settings, data or model"):
            await go(changed)


def test_a_gate_has_exactly_what_a_loader_has_left_and_none_where_that_is_too_little() -> None:
    for available, gate in ((200, 50), (199, 49), (170, 20), (169, 0)):
        parts = drawn(rows_of(available), 150, 50)
        assert (len(parts.search), len(parts.gate)) == (150, gate)
    with pytest.raises(CallerError, match="asked for 150 samples, 149 are available"):
        drawn(rows_of(149), 150, 50)


def test_rows_that_repeat_an_input_take_no_others_place() -> None:
    rows = [row for row in rows_of(100) for _ in range(3)]
    parts = drawn(rows, 40, 50)
    assert (len(parts.search), len(parts.gate)) == (40, 50)
    assert parts.duplicates_count > 100
    few = drawn([*rows_of(1) * 90, *rows_of(100)], 40, 50)
    assert (len(few.search), len(few.gate)) == (40, 50)
    all_there_is = drawn([row for row in rows_of(65) for _ in range(2)], 40, 50)
    assert (len(all_there_is.search), len(all_there_is.gate)) == (40, 25)


def test_contradicting_answers_are_counted_by_input_and_spellings_do_not_contradict() -> None:
    rows = [*rows_of(60), {"input": "Text 3!", "expected": "yes"}, {"input": "text 4", "expected": "YES"}]
    parts = drawn(rows, 42, 20)
    assert (parts.duplicates_count, parts.contradictions_count) == (0, 0)  # the last rows were not needed
    parts = drawn(rows[::-1], 40, 20)
    assert (parts.duplicates_count, parts.contradictions_count) == (2, 1)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("<think>It could be bad.</think>\ngood", "good"),
        ("<THINK>\nAnswer: bad\n</THINK>\n\nAnswer: good", "good"),
        ("It could be bad. </think> good", "good"),
        ("<thinking>bad</thinking>good", "good"),
        ("<think>a</think> b <think>bad</think> good", "good"),
        ("<think>It is surely good, so", None),
        ("<think>bad</think> <think>good", None),
        ("good <3", "good"),
    ],
)
def test_what_a_model_thinks_before_it_answers_is_no_answer(said: str, answer: str | None) -> None:
    assert parse_answer(said, ("bad", "good")) == answer


def test_a_proposal_is_what_was_written_after_thinking() -> None:
    assert parse_answer("<think>Six times seven</think>42") == "42"
    assert parse_answer("<think>Six times") is None
    assert parse_rewrite("<think>Perhaps ```short```?</think>Judge the tone.") == "Judge the tone."
