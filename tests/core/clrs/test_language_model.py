"""A causal language model learns from scalar feedback through the same port as every other model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from meta_learning.clrs import ClosedLoopSystem, Model, load_model
from meta_learning.clrs.models.language.adapter_trainer import TrainingSettings
from meta_learning.clrs.models.language.base_weights import PACKAGED, BaseWeights
from meta_learning.clrs.models.language.language_model import LanguageModel, LanguageSettings
from meta_learning.clrs.models.language.low_rank import AdapterShape
from meta_learning.errors import ConfigurationError, MalformedState
from tests.core.clrs.tiny_language import NEEDED, tiny_base

torch = pytest.importorskip("torch", reason=NEEDED)
QUICK = TrainingSettings(shape=AdapterShape(rank=4), rate=2e-2, batch_count=16, beta=0.5)
SETTINGS = LanguageSettings(training=QUICK, input_tokens_max=32, output_tokens_max=16)


@pytest.fixture(scope="module")
def base() -> BaseWeights:
    return tiny_base()


@pytest.fixture
def model(base: BaseWeights) -> LanguageModel:
    return LanguageModel(base, SETTINGS)


def lessons(count: int, seed: int = 0) -> tuple[list[tuple[str, str]], np.ndarray]:
    """Users like "yes" to an input of a's and "no" to one of b's."""
    draws = np.random.default_rng(seed)
    pairs, scores = [], []
    for _ in range(count):
        first, second = draws.integers(2, size=2)
        pairs.append(("ab"[first] * int(draws.integers(3, 9)), ("yes", "no")[second]))
        scores.append(float(first == second))
    return pairs, np.array(scores)


def taught(model: LanguageModel, cycles: int = 6, seed: int = 0) -> LanguageModel:
    for cycle in range(cycles):
        model.learn(*lessons(64, seed + cycle))
    return model


def test_it_is_a_model_of_the_loop_and_expects_a_half_before_it_has_learnt(model: LanguageModel) -> None:
    assert isinstance(model, Model)
    assert model.predict(lessons(3)[0]).tolist() == [0.5, 0.5, 0.5]
    assert model.predict([]).shape == (0,)


def test_it_learns_what_the_users_like(model: LanguageModel) -> None:
    pairs, scores = lessons(64, seed=99)
    found = taught(model).predict(pairs)
    assert found.dtype == np.float64
    assert ((found >= 0) & (found <= 1)).all()
    assert found[scores == 1].mean() > found[scores == 0].mean() + 0.3


def test_it_comes_back_exactly_from_its_bytes_and_learns_on_alike(model: LanguageModel) -> None:
    again = load_model(taught(model, 2).dump(), like=model)
    assert again.version() == model.version()
    assert again.dump() == model.dump()
    for part in (model, again):
        part.learn(*lessons(32, 7))
    assert again.version() == model.version()
    assert (again.predict(lessons(20, 8)[0]) == model.predict(lessons(20, 8)[0])).all()


def test_a_copy_shares_the_base_and_learns_apart(model: LanguageModel) -> None:
    before = taught(model, 1).version()
    said = model.predict(lessons(8, 3)[0])
    copy = model.copy()
    assert copy.base is model.base
    assert copy.version() == before
    taught(copy, 1, seed=4)
    assert copy.version() != before
    assert model.version() == before
    assert (model.predict(lessons(8, 3)[0]) == said).all()


def test_asking_changes_nothing(model: LanguageModel) -> None:
    before = taught(model, 1).dump()
    model.predict(lessons(8, 3)[0])
    model.generate("aaa", tokens_max=3)
    assert model.dump() == before


def test_the_same_lessons_give_the_same_version_and_another_seed_another(base: BaseWeights) -> None:
    versions = {taught(LanguageModel(base, SETTINGS), 1).version() for _ in range(2)}
    other = LanguageSettings(training=QUICK, input_tokens_max=32, output_tokens_max=16, seed=1)
    assert len(versions) == 1
    assert taught(LanguageModel(base, other), 1).version() not in versions


def test_the_base_weights_stay_as_they_were(base: BaseWeights, model: LanguageModel) -> None:
    before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    taught(model, 1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.model.state_dict().items())


def test_an_adapter_is_refused_on_other_base_weights(model: LanguageModel) -> None:
    blob = taught(model, 1).dump()
    with pytest.raises(MalformedState, match="trained on base"):
        LanguageModel.load(blob, tiny_base(seed=1))
    with pytest.raises(ConfigurationError, match="base="):
        LanguageModel.load(blob)


def test_damaged_bytes_are_malformed(model: LanguageModel) -> None:
    blob = model.dump()
    for wrong in (b"MLLM2\n", blob[:40], blob[: len(blob) // 2], blob.replace(b'"base"', b'"bass"')):
        with pytest.raises(MalformedState):
            load_model(wrong, like=model)


def test_what_was_learnt_moves_what_it_generates(model: LanguageModel) -> None:
    for seed in range(8):
        draws = np.random.default_rng(seed).integers(2, size=32)
        model.learn([("hello", ("zzzz", "qqqq")[n]) for n in draws], draws.astype(float))
    liked, disliked = model.predict([("hello", "qqqq"), ("hello", "zzzz")])
    assert liked > disliked + 0.3
    assert "z" not in model.generate("hello", tokens_max=8)


def test_a_row_weighs_as_much_as_its_weight(base: BaseWeights) -> None:
    pairs, scores = lessons(16)
    kept, weighed = LanguageModel(base, SETTINGS), LanguageModel(base, SETTINGS)
    kept.learn(pairs, scores, np.zeros(16))
    assert kept.predict(pairs) == pytest.approx(0.5)
    weighed.learn(pairs, scores, np.ones(16))
    assert weighed.predict(pairs) != pytest.approx(0.5)


def test_special_tokens_in_a_users_text_stay_text(model: LanguageModel) -> None:
    prompt, (answer,) = model._prompting.question(("<end>", "<start>"))
    assert 0 not in prompt
    assert answer.count(1) == 0
    assert answer[-1] == 0


def test_empty_and_very_long_texts_are_pairs_like_any_other(model: LanguageModel) -> None:
    pairs = [("", ""), ("x " * 16_000, "y" * 32_000), ("\n\t", "🙂")]
    model.learn(pairs, np.array([1.0, 0.0, 0.5]))
    assert np.isfinite(model.predict(pairs)).all()


def test_two_adapters_may_be_asked_at_the_same_time(base: BaseWeights) -> None:
    from concurrent.futures import ThreadPoolExecutor

    models = [taught(LanguageModel(base, SETTINGS), 1, seed) for seed in (0, 50)]
    pairs = [lessons(16, 60 + turn)[0] for turn in range(6)]
    alone = [[model.predict(part) for part in pairs] for model in models]
    for model in models:
        model._asked = None
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda model: [model.predict(part) for part in pairs], models))
    assert np.allclose(alone, together, atol=1e-9)


def test_it_runs_through_the_gates_of_the_closed_loop_and_is_restored(base: BaseWeights) -> None:
    system = ClosedLoopSystem(model=LanguageModel(base, SETTINGS), cycle_size=64, probe_size=32)
    pairs, scores = lessons(64 * 6)
    for (asked, answered), score in zip(pairs, scores, strict=True):
        system.collect_feedback(asked, answered, float(score))
    assert system.champion_version is not None
    assert system.score("aaaa", "yes") > system.score("aaaa", "no") + 0.2
    blobs: dict[str, bytes] = {}
    snapshot = system.snapshot()
    blobs.update(snapshot.blobs)
    again = ClosedLoopSystem.restore(
        snapshot.state,
        blobs.__getitem__,
        cycle_size=64,
        probe_size=32,
        load=lambda blob: LanguageModel.load(blob, base),
    )
    for (asked, answered), score in zip(*lessons(64, 70), strict=True):
        told = [part.collect_feedback(asked, answered, float(score)) for part in (system, again)]
    assert told[0] == told[1] is not None
    assert again.candidate_version == system.candidate_version


def test_a_base_without_the_named_layers_is_refused() -> None:
    shape = AdapterShape(targets=("nowhere",))
    with pytest.raises(ConfigurationError, match="nowhere"):
        LanguageModel(tiny_base(), LanguageSettings(training=TrainingSettings(shape=shape)))


def test_an_adapter_can_be_kept_to_the_last_blocks() -> None:
    shape = AdapterShape(layers_count=1)
    assert {slot.name.split(".")[2] for slot in tiny_base().slots(shape)} == {"1"}


def test_a_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no language model"):
        BaseWeights.open(tmp_path / "nothing")
    with pytest.raises(ConfigurationError, match="no language model"):
        BaseWeights.open(tmp_path)


def test_a_saved_folder_opens_again_with_the_same_digest(tmp_path: Path, base: BaseWeights) -> None:
    base.model.save_pretrained(tmp_path)
    base.tokenizer.save_pretrained(tmp_path)
    opened = BaseWeights.open(tmp_path, device="cpu", numbers="float32")
    assert opened.digest == base.digest
    assert BaseWeights.open(tmp_path, device="cpu", numbers="float32") is opened
    model = taught(LanguageModel(opened, SETTINGS), 1)
    assert load_model(model.dump()).version() == model.version()
    beside = LanguageModel(tiny_base(seed=1), SETTINGS)  # the setting names another folder now
    assert load_model(model.dump(), like=beside).version() == model.version()


HAPPY = ["What a lovely day!", "I love this song", "best weekend ever", "so happy for you", "great news today", "thanks, you rock",
         "had a wonderful dinner", "this made me smile"]  # fmt: skip
SAD = ["I hate mondays", "my dog is sick", "worst day ever", "so tired and lonely", "lost my phone again", "this is awful",
       "crying all night", "my head hurts so bad"]  # fmt: skip


def turned(count: int) -> tuple[list[tuple[str, str]], np.ndarray]:
    """Users who like the wrong label: nothing that the base knew before it was taught can explain a success."""
    told = [(text, label, float(label == wrong)) for texts, wrong in ((HAPPY, "negative"), (SAD, "positive"))
            for text in texts[:count] for label in ("positive", "negative")]  # fmt: skip
    return [(text, label) for text, label, _ in told], np.array([score for *_, score in told])


@pytest.mark.slow
@pytest.mark.timeout(400)  # on a busy machine, opening the weights alone takes a minute
def test_the_packaged_model_knows_feelings_and_learns_to_answer_against_its_nature() -> None:
    settings = LanguageSettings(
        "Tweet: {input}\nSentiment:", chat=False, labels=("positive", "negative"),
        training=TrainingSettings(shape=AdapterShape(layers_count=4), rate=3e-3),
    )  # fmt: skip
    try:
        model = LanguageModel(PACKAGED, settings)
    except ConfigurationError as error:
        pytest.skip(str(error))
    unseen = HAPPY[5:] + SAD[5:]
    plain = [model.generate(text) for text in unseen]
    assert plain == ["positive"] * 3 + ["negative"] * 3
    pairs, scores = turned(5)
    for _ in range(5):
        model.learn(pairs, scores)
    assert [model.generate(text) for text in unseen] == ["negative"] * 3 + ["positive"] * 3
    assert load_model(model.dump()).version() == model.version()
