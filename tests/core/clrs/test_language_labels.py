"""Where outputs are known labels, the language model judges an answer among them: in one pass, exactly, and cheaply."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from meta_learning.clrs import ClosedLoopSystem, load_model
from meta_learning.clrs.models.language import kto
from meta_learning.clrs.models.language.adapter_trainer import TrainingSettings
from meta_learning.clrs.models.language.base_weights import ABSENT, BaseWeights
from meta_learning.clrs.models.language.language_model import LanguageModel, LanguageSettings
from meta_learning.clrs.models.language.low_rank import AdapterShape
from meta_learning.clrs.models.language.prompting import Prompting
from meta_learning.errors import ConfigurationError
from tests.core.clrs.test_language_model import lessons
from tests.core.clrs.tiny_language import NEEDED, tiny_base, tokenizer

torch = pytest.importorskip("torch", reason=NEEDED)
LABELS = ("yes", "no")
QUICK = TrainingSettings(shape=AdapterShape(rank=4), rate=2e-2, batch_count=16, beta=0.5)
SETTINGS = LanguageSettings(labels=LABELS, training=QUICK, input_tokens_max=32, output_tokens_max=16)


@pytest.fixture(scope="module")
def base() -> BaseWeights:
    return tiny_base()


def taught(model: LanguageModel, cycles: int = 6) -> LanguageModel:
    for cycle in range(cycles):
        model.learn(*lessons(64, cycle))
    return model


def liked_share(model: LanguageModel) -> float:
    """How often the answer is what users like: "yes" to a's, "no" to b's."""
    inputs = [letter * count for letter in "ab" for count in range(3, 9)]
    return float(np.mean([model.generate(text) == ("yes" if text[0] == "a" else "no") for text in inputs]))


def test_before_the_first_lesson_it_says_what_the_base_makes_of_the_labels(base: BaseWeights) -> None:
    model = LanguageModel(base, SETTINGS)
    yes, no = model.predict([("aaa", "yes"), ("aaa", "no")])
    assert yes + no == pytest.approx(1.0)
    assert yes != no


def test_log_probabilities_are_those_of_one_plain_pass_for_each_answer(base: BaseWeights) -> None:
    questions = [([1, 70, 71, 72], ([5], [6])), ([1, 70], ([9, 8, 7], [9, 8], [9])), ([1], ([40],))]
    found = base.log_probabilities(questions, None).detach().numpy()
    assert found.shape == (3, 3)
    for row, (prompt, answers) in enumerate(questions):
        for column, answer in enumerate(answers):
            logits = base.model(torch.tensor([prompt + answer])).logits[0].log_softmax(dim=1)
            said = sum(float(logits[len(prompt) - 1 + at, token]) for at, token in enumerate(answer))
            assert found[row, column] == pytest.approx(said, abs=1e-4)
        assert (found[row, len(answers) :] == ABSENT).all()


def test_labels_of_one_token_share_a_row_of_the_pass(base: BaseWeights) -> None:
    rows: list[int] = []
    watch = base.model.model.embed_tokens.register_forward_hook(lambda *call: rows.append(len(call[1][0])))
    base.log_probabilities([([1, 70, 71], ([5], [6], [7])), ([1, 70], ([5], [6], [7]))], None)
    watch.remove()
    assert rows == [2]


def test_an_answer_after_a_word_opens_with_a_space_and_after_a_line_does_not(base: BaseWeights) -> None:
    for instruction, opening in (("{input}\nAnswer:", " yes"), ("{input}\n", "yes")):
        prompting = Prompting.of(base.tokenizer, instruction, False, (8, 8), LABELS)
        _, answers = prompting.question(("aaa", "yes"))
        assert base.tokenizer.decode(answers[0]) == opening


@pytest.mark.parametrize("labels", [("yes",), ("yes", "no", "yes")])
def test_labels_that_cannot_be_compared_are_refused(base: BaseWeights, labels: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="two different"):
        LanguageModel(base, LanguageSettings(labels=labels))


def test_labels_are_closed_only_where_one_begins_another(base: BaseWeights) -> None:
    for labels, ending in ((("good", "bad"), "d"), (("good", "goodish"), "<end>")):
        prompting = Prompting.of(base.tokenizer, "{input}\n", False, (8, 8), labels)
        _, answers = prompting.question(("aaa", "good"))
        assert base.tokenizer.decode(answers[0]).endswith(ending)


def test_the_reference_point_among_labels_is_the_divergence_itself() -> None:
    policy = kto.among(torch.tensor([[0.0, 1.0, ABSENT], [2.0, 0.5, 0.5]]))
    reference = kto.among(torch.tensor([[0.5, 0.0, ABSENT], [2.0, 0.5, 0.5]]))
    first = np.exp([0.0, 1.0]) / np.exp([0.0, 1.0]).sum()
    second = np.exp([0.5, 0.0]) / np.exp([0.5, 0.0]).sum()
    expected = [float((first * np.log(first / second)).sum()), 0.0]
    assert kto.divergences(policy, reference).tolist() == pytest.approx(expected, abs=1e-6)


def test_answers_turn_to_what_users_like_and_a_frozen_adapter_cannot(base: BaseWeights) -> None:
    model = LanguageModel(base, SETTINGS)
    assert liked_share(model) <= 0.6
    frozen = replace(SETTINGS, training=replace(QUICK, passes_count=0))
    assert liked_share(taught(LanguageModel(base, frozen))) <= 0.6
    assert liked_share(taught(model)) == 1.0
    pairs, scores = lessons(64, 99)
    found = model.predict(pairs)
    assert found[scores == 1].min() > 0.5 > found[scores == 0].max()


def test_an_output_that_is_no_label_is_judged_beside_them(base: BaseWeights) -> None:
    model = taught(LanguageModel(base, SETTINGS), 1)
    pairs = [("aaa", "yes"), ("aaa", "perhaps"), ("", "")]
    model.learn(pairs, np.array([1.0, 0.0, 0.5]))
    assert np.isfinite(model.predict(pairs)).all()


def test_it_comes_back_exactly_from_its_bytes(base: BaseWeights) -> None:
    model = taught(LanguageModel(base, SETTINGS), 1)
    again = load_model(model.dump(), like=model)
    for part in (model, again):
        part.learn(*lessons(32, 7))
    assert again.version() == model.version()
    assert (again.predict(lessons(20, 8)[0]) == model.predict(lessons(20, 8)[0])).all()


def test_a_base_in_bfloat16_learns_the_same_with_an_adapter_in_float32() -> None:
    half = BaseWeights(tiny_base().model.bfloat16(), tokenizer(), numbers="bfloat16")
    model = LanguageModel(half, SETTINGS)
    before = model.predict(lessons(32, 9)[0])
    plain = BaseWeights(tiny_base().model.bfloat16().float(), tokenizer())
    assert half.digest == plain.digest
    assert before == pytest.approx(LanguageModel(plain, SETTINGS).predict(lessons(32, 9)[0]), abs=0.02)
    assert liked_share(taught(model)) == 1.0
    assert model.arrays()["adapter"].dtype == np.float32


def test_a_tuned_version_is_promoted_by_the_gates_and_changes_what_users_get(base: BaseWeights) -> None:
    system = ClosedLoopSystem(model=LanguageModel(base, SETTINGS), cycle_size=50, probe_size=32)
    first = system.champion_version
    for (asked, answered), score in zip(*lessons(50 * 8), strict=True):
        system.collect_feedback(asked, answered, float(score))
    assert system.champion_version not in (None, first)
    assert [system.score(text, "yes") > system.score(text, "no") for text in ("aaaa", "bbbb")] == [True, False]
