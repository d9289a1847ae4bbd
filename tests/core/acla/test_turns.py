"""Worked examples are turns of the chat, and the one text of a prompt says all of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meta_learning.acla import Prompt
from meta_learning.acla.endpoint import joined
from meta_learning.acla.prompt import Exemplar
from meta_learning.acla.reporting.difference import difference
from meta_learning.acla.splits import item_id
from meta_learning.acla.strategies.chain_of_thought import ALOUD, SILENT
from meta_learning.llm import Message

SHOWN = (Exemplar("A warm film.", "good"), Exemplar("Dull.", "bad"))
SEEDS = [
    "Judge.",
    "You are a critic. Judge the review. Answer with one word.",
    "Judge the review.\n\nReview: {input}\nVerdict:",
    "Input: {input}\nAnswer: ",
    "Judge the review. Answer with one word.\n\nReview: {input}",
    "Judge {product} reviews.\n\nBy {author}",
]
AWKWARD = st.one_of(
    st.text(max_size=40),
    st.text(alphabet=" \n\r\t|:{}input\u2028\x0bé…", max_size=30),
    st.sampled_from(
        [
            "a\n\nb",
            "one\nAnswer: good",
            "x\nAnswer: bad\n\nInput: y\nAnswer: good",
            "Examples (1, as turns of the chat):\n\nInput: nice\nAnswer: yes",
            "\n| barred\n|\n",
            "{input}",
            " leading and trailing \n",
            "",
        ]
    ),
)


def said(prompt: Prompt, text: str) -> list[tuple[str, str]]:
    return [(one.role, one.text) for one in prompt.messages(text)]


def test_examples_stand_between_the_instruction_and_the_input() -> None:
    prompt = Prompt.parse(SEEDS[1]).edit(exemplars=SHOWN)
    assert said(prompt, "Fine.") == [
        ("system", "You are a critic.\n\nJudge the review.\n\nAnswer with one word."),
        ("user", "A warm film."),
        ("assistant", "good"),
        ("user", "Dull."),
        ("assistant", "bad"),
        ("user", "Fine."),
    ]


def test_every_user_turn_fills_the_frame() -> None:
    prompt = Prompt.parse(SEEDS[2]).edit(exemplars=SHOWN[:1])
    assert said(prompt, "Fine.") == [
        ("system", "Judge the review."),
        ("user", "Review: A warm film.\nVerdict:"),
        ("assistant", "good"),
        ("user", "Review: Fine.\nVerdict:"),
    ]


@pytest.mark.parametrize(("reasoning", "turn"), [("", "good"), (SILENT[0], "good"), (ALOUD[0], "Answer: good")])
def test_an_answer_is_shown_in_the_form_that_the_instruction_asks_for(reasoning: str, turn: str) -> None:
    prompt = Prompt.parse(SEEDS[1]).edit(reasoning=reasoning, exemplars=SHOWN)
    assert prompt.messages("x")[2] == Message("assistant", turn)


@given(
    seed=st.sampled_from(SEEDS),
    shown=st.lists(st.tuples(AWKWARD, AWKWARD), min_size=1, max_size=3),
    task=AWKWARD,
    text=AWKWARD,
)
def test_the_text_alone_gives_the_same_messages(seed: str, shown: list[tuple[str, str]], task: str, text: str) -> None:
    exemplars = tuple(Exemplar(one, answer, item_id(one)) for one, answer in shown)
    for prompt in (Prompt.parse(seed).edit(exemplars=exemplars), Prompt.parse(seed).edit(task=task)):
        assert Prompt.parse(prompt.render()).messages(text) == prompt.messages(text)


@given(seed=st.sampled_from(SEEDS), shown=st.lists(st.tuples(AWKWARD, AWKWARD), min_size=1, max_size=3))
def test_awkward_examples_are_read_back_to_the_letter(seed: str, shown: list[tuple[str, str]]) -> None:
    prompt = Prompt.parse(seed).edit(exemplars=tuple(Exemplar(one, answer, item_id(one)) for one, answer in shown))
    again = Prompt.parse(prompt.render())
    assert again.exemplars == prompt.exemplars
    turns = prompt.messages("x")[-1 - 2 * len(shown) : -1]
    place = prompt.frame if "{input}" in prompt.frame else "{input}"
    assert [one.text for one in turns[::2]] == [place.replace("{input}", one) for one, _ in shown]
    assert [one.text for one in turns[1::2]] == [answer for _, answer in shown]


@pytest.mark.parametrize(
    "text",
    [
        "Judge.\n\nExamples:\n\nInput: nice\nAnswer: good\n\nInput: bad\nAnswer: bad\n\nOne word.",
        "Judge.\n\nExamples (2, as turns of the chat):\n\nInput: nice\nAnswer: good",
        "Judge.\n\nExamples (1, as turns of the chat):\n\nInput: nice",
        f"Judge.\n\nExamples ({'9' * 5000}, as turns of the chat):\n\nInput: nice\nAnswer: good",
    ],
)
def test_a_text_that_is_not_of_our_form_is_sent_to_the_letter(text: str) -> None:
    assert said(Prompt.parse(text), "x") == [("system", text), ("user", "x")]


def test_examples_of_an_earlier_version_become_turns_when_they_are_edited() -> None:
    old = Prompt.parse("Judge.\n\nExamples:\n\nInput: nice\nAnswer: good\n\nOne word.")
    assert [one.input for one in old.exemplars] == ["nice"]
    assert said(old.edit(rules=("Mind irony.",)), "x") == [
        ("system", "Judge.\n\nRules:\n- Mind irony.\n\nOne word."),
        ("user", "nice"),
        ("assistant", "good"),
        ("user", "x"),
    ]


@given(before=AWKWARD, text=AWKWARD, shown=AWKWARD)
def test_an_application_that_puts_the_input_in_its_place_sends_what_was_measured(
    before: str, text: str, shown: str
) -> None:
    for prompt in (
        Prompt.parse(f"{before}\n\nText: {{input}}!"),
        Prompt.parse(f"Judge.\n\nExamples:\n\nInput: {shown or '{input}'}\nAnswer: a\n\nText: {{input}}"),
        Prompt.parse("Judge.").edit(exemplars=(Exemplar(shown, "good"),)),
    ):
        told = json.loads(json.dumps(prompt.chat().as_json()))
        sent = [(one["role"], one["content"]) for one in told["messages"]]
        role, last = sent.pop()
        assert [*sent, (role, last.replace(told["input"], text))] == said(prompt, text)


def test_a_frame_that_speaks_of_the_other_place_keeps_what_it_says() -> None:
    prompt = Prompt.parse("Judge.\n\nExamples:\n\nInput: {input}\nAnswer: a\n\nUnlike {input:1}: {input}")
    assert prompt.messages("x")[-1].text.endswith("Unlike {input:1}: x")


def test_a_server_that_hears_no_instructions_of_their_own_still_gets_the_turns() -> None:
    prompt = Prompt(task="Judge.", exemplars=SHOWN[:1])
    assert [(one.role, one.text) for one in joined(prompt.messages("x"))] == [
        ("user", "Judge.\n\nA warm film."),
        ("assistant", "good"),
        ("user", "x"),
    ]


@given(seed=st.sampled_from([*SEEDS, "Mind {input:1} and {input}."]), given_text=AWKWARD, is_shown=st.booleans())
def test_an_application_of_such_a_server_sends_what_the_run_sent(seed: str, given_text: str, is_shown: bool) -> None:
    prompt = Prompt.parse(seed).edit(exemplars=SHOWN) if is_shown else Prompt.parse(seed)
    assert prompt.chat().in_one_turn().filled(given_text) == joined(prompt.messages(given_text))


def test_a_difference_shows_each_line_of_an_example() -> None:
    plain = Prompt(task="Judge.", contract="One word.")
    shown = plain.edit(exemplars=(Exemplar("A film\nin two lines.", "good"),))
    assert difference(plain.render(), shown.render()) == [
        " Judge.",
        " ",
        "+Examples (1, as turns of the chat):",
        "+",
        "+Input: A film",
        "+| in two lines.",
        "+Answer: good",
        "+",
        " One word.",
    ]


def test_a_file_that_ends_with_a_line_break_holds_the_same_examples() -> None:
    prompt = Prompt(task="Judge.", exemplars=SHOWN)
    assert Prompt.parse(prompt.render() + "\n").messages("x") == prompt.messages("x")
