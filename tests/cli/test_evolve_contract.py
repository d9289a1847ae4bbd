"""What of the prompt is kept is said before anybody agrees, and can be named."""

from __future__ import annotations

from pathlib import Path

import pytest

from meta_learning.acla import Prompt
from meta_learning.cli.evolve.kept import split_line
from tests.cli.evolving import asked, run_of, words
from tests.services.evolver.loopback import Model


def test_what_is_kept_is_said_before_anything_is_spent(table: Path, model: tuple[Model, str]) -> None:
    result = asked(*words(table, model[1]))
    assert result.exit_code == 4
    assert (
        "prompt     kept as it is: 'Answer with one word.' (if that is not how to answer: --contract TEXT)"
        in result.output
    )
    assert not model[0].asked


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("Say whether", "prompt     kept as it is: 'Say whether'\n"),
        ("", "prompt     no output contract, as you say: all other wording may be changed\n"),
    ],
)
def test_a_contract_that_is_named_wins(table: Path, model: tuple[Model, str], named: str, said: str) -> None:
    assert said in asked(*words(table, model[1], "--contract", named)).output


def test_a_contract_in_other_words_than_the_prompts_is_refused(table: Path, model: tuple[Model, str]) -> None:
    result = asked(*words(table, model[1], "--contract", "Answer in one word"))
    assert result.exit_code == 1
    assert "contract is 'Answer in one word'; it must stand in the prompt word for word" in result.output
    assert not model[0].asked


@pytest.mark.parametrize(
    ("more", "kept"),
    [((), True), (("--judge", "It is kind."), False), (("--labels", ""), False), (("--labels", "good,bad"), True)],
)
def test_what_names_all_labels_is_kept_only_where_the_run_has_labels(
    table: Path, model: tuple[Model, str], more: tuple[str, ...], kept: bool
) -> None:
    result = asked(*words(table, model[1], "--prompt", "It is good or bad. Read the text twice.", *more))
    assert result.exit_code == 4, result.output
    assert ("kept as it is: 'It is good or bad.'" in result.output) == kept
    assert ("no output contract found" in result.output) != kept


def test_a_named_contract_is_part_of_the_run(table: Path, model: tuple[Model, str]) -> None:
    result = asked(*words(table, model[1], "--yes", "--iterations", "1", "--contract", "good or bad"))
    assert result.exit_code == 0, result.output
    shown = asked(*words(table, model[1], "--yes", "--iterations", "1"))
    page = (run_of(shown) / "report" / "report.md").read_text()
    assert "prompt: kept as it is: 'Answer with one word.'\n" in page
    assert "if that is not how to answer" in shown.output
    assert '"contract": "good or bad"' in (run_of(result) / "order.json").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Judge it.", "no output contract found: the whole wording may be changed; name it with --contract"),
        (
            "Judge it.\n\n{input}",
            "kept as it is: '{input}'; no output contract found: all other wording may be changed; ",
        ),
        ("Answer yes or no.", "there is no other wording to change"),
        ("Is {input} good?", "there is no other wording to change"),
    ],
)
def test_what_cannot_be_told_apart_is_said(text: str, said: str) -> None:
    assert said in split_line(Prompt.parse(text), None)
