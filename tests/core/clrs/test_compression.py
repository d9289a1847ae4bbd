"""A compressed version is much smaller, answers almost alike, and is judged by the gates like any candidate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier

from meta_learning.clrs import EstimatorModel, LoopSettings, Model, OnlineTextModel, load_model
from meta_learning.clrs.models.compression import compressed, judged
from meta_learning.clrs.models.features import FeatureSettings, PairFeatures
from meta_learning.clrs.models.port import Floats, Pair
from meta_learning.clrs.models.quantised import Recipe, packed, unpacked
from meta_learning.errors import CallerError, ConfigurationError, MalformedState
from tests.core.clrs.streams import labelled

ROWS = labelled(1200, seed=2)
PAIRS = [(asked, answered) for asked, answered, _ in ROWS]
SCORES = np.array([score for _, _, score in ROWS])


def taught(model: Model) -> Model:
    for at in range(0, 600, 100):
        model.learn(PAIRS[at : at + 100], SCORES[at : at + 100])
    return model


@pytest.fixture(scope="module")
def original() -> Model:
    return taught(EstimatorModel(SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.5)))


def test_eight_bits_pass_the_gates_at_a_fraction_of_the_size(original: Model) -> None:
    small = compressed(original, Recipe(bits=8, keep_share=0.05))
    assert isinstance(small, Model)
    assert len(small.dump()) < len(original.dump()) / 2
    decision = judged(original, small, PAIRS[600:], SCORES[600:], LoopSettings())
    assert decision.outcome == "promoted", decision.reasons


def test_a_version_compressed_to_death_is_held_by_the_gates(original: Model) -> None:
    dead = compressed(original, Recipe(bits=2, keep_share=1e-5))
    decision = judged(original, dead, PAIRS[600:], SCORES[600:], LoopSettings())
    assert decision.outcome != "promoted"
    assert decision.reasons


def test_it_comes_back_exactly_and_learns_on_alike(original: Model) -> None:
    small = compressed(original, Recipe(bits=6))
    again = load_model(small.dump(), like=original)
    assert again.version() == small.version()
    for part in (small, again):
        part.learn(PAIRS[:100], SCORES[:100])
    assert again.dump() == small.dump()
    assert (again.predict(PAIRS) == small.predict(PAIRS)).all()


def test_compressing_leaves_the_original_as_it_was_and_a_copy_learns_apart(original: Model) -> None:
    before = original.version()
    small = compressed(original)
    copy = small.copy()
    copy.learn(PAIRS[:50], 1.0 - SCORES[:50])
    assert original.version() == before
    assert copy.version() != small.version()


def test_a_network_is_compressed_too() -> None:
    network = MLPClassifier((8,), batch_size=10, learning_rate_init=0.02)
    model = taught(EstimatorModel(network, PairFeatures(FeatureSettings(bits=10))))
    small = compressed(model)
    assert len(small.dump()) < len(model.dump()) / 3
    assert np.abs(small.predict(PAIRS[600:]) - model.predict(PAIRS[600:])).mean() < 0.02


def test_fewer_bits_mean_a_coarser_grid() -> None:
    numbers = np.random.default_rng(0).normal(size=(30, 70))
    errors = [np.abs(unpacked(packed(numbers, Recipe(bits)), numbers) - numbers).mean() for bits in (8, 6, 4, 2)]
    assert errors == sorted(errors)
    kept = unpacked(packed(numbers, Recipe(8, keep_share=0.1)), numbers)
    assert np.count_nonzero(kept) <= 211


def test_what_cannot_be_compressed_says_so(original: Model) -> None:
    with pytest.raises(ConfigurationError, match="bits"):
        Recipe(bits=1)
    blob = compressed(original).dump()
    for wrong in (blob[:20], blob[:-9], blob[: len(blob) // 2]):
        with pytest.raises(MalformedState):
            load_model(wrong)


def test_an_adapter_of_a_language_model_is_compressed() -> None:
    pytest.importorskip("torch", reason="needs the extra torch")
    from meta_learning.clrs import LanguageModel
    from tests.core.clrs.test_language_model import SETTINGS, lessons
    from tests.core.clrs.test_language_model import taught as tuned
    from tests.core.clrs.tiny_language import tiny_base

    model = tuned(LanguageModel(tiny_base(), SETTINGS), 4)
    small = compressed(model)
    pairs, _ = lessons(64, 40)
    assert len(small.dump()) < len(model.dump()) / 2
    assert np.abs(small.predict(pairs) - model.predict(pairs)).max() < 0.05
    assert load_model(small.dump(), like=model).version() == small.version()


def test_the_default_model_keeps_its_answers_in_eight_bits_and_comes_back_exactly() -> None:
    model = taught(OnlineTextModel())
    assert isinstance(model, OnlineTextModel)
    assert model.with_arrays(model.large_arrays()).version() == model.version(), "in full width nothing is lost"
    small = compressed(model)
    parts = [len(packed(array, small.recipe)) for array in model.large_arrays().values()]
    assert sum(parts) < 4 * len(model.large_arrays()["weight"]), "the original has 8 bytes for each touched bucket"
    assert len(small.dump()) < len(model.dump())
    assert np.abs(small.predict(PAIRS[600:]) - model.predict(PAIRS[600:])).mean() < 0.01
    assert judged(model, small, PAIRS[600:], SCORES[600:], LoopSettings()).outcome == "promoted"
    assert load_model(small.dump(), like=model).version() == small.version()


class Constant:
    """A model that does not say what of it may be compressed."""

    def predict(self, pairs: Sequence[Pair]) -> Floats:
        return np.full(len(pairs), 0.5)

    def learn(self, pairs: Sequence[Pair], targets: Floats, weights: Floats | None = None) -> None:
        pass

    def dump(self) -> bytes:
        return b""

    def copy(self) -> Constant:
        return self

    def version(self) -> str:
        return "constant"


def test_a_model_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(CallerError, match="Constant"):
        compressed(Constant())
