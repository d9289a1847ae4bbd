"""One suite for every model of the loop: it learns, saves exactly, and never changes by being asked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.cluster import MiniBatchKMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Perceptron, SGDClassifier, SGDRegressor
from sklearn.naive_bayes import MultinomialNB

from meta_learning.clrs import EmbeddingModel, EstimatorModel, Model, OnlineTextModel, load_model
from meta_learning.clrs.models.embedding.encoder import WordHashEncoder
from meta_learning.errors import MalformedState, UnsupportedEstimator
from tests.core.clrs.streams import labelled

MODELS: dict[str, Callable[[], Model]] = {
    "text": OnlineTextModel,
    "regressor": lambda: EstimatorModel(SGDRegressor(learning_rate="constant", eta0=0.1)),
    "classifier": lambda: EstimatorModel(SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.5)),
    "averaged": lambda: EstimatorModel(SGDClassifier(loss="modified_huber", average=True)),
    "naive bayes": lambda: EstimatorModel(MultinomialNB()),
    "embedding": lambda: EmbeddingModel(WordHashEncoder(64)),
    "perceptron": lambda: EstimatorModel(Perceptron()),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    return MODELS[request.param]()


def taught(model: Model, count: int = 400, seed: int = 0) -> Model:
    rows = labelled(count, seed)
    for start in range(0, count, 100):
        part = rows[start : start + 100]
        model.learn([(asked, answered) for asked, answered, _ in part], np.array([score for _, _, score in part]))
    return model


UNSEEN = labelled(200, seed=8)
PAIRS = [(asked, answered) for asked, answered, _ in UNSEEN]


def test_it_learns_what_the_users_like(model: Model) -> None:
    found = taught(model).predict(PAIRS)
    assert found.dtype == np.float64
    assert found.shape == (200,)
    assert ((found >= 0) & (found <= 1)).all()
    liked = np.array([score for _, _, score in UNSEEN]) == 1.0
    assert found[liked].mean() > found[~liked].mean() + 0.2


def test_it_comes_back_exactly_from_its_bytes_and_learns_on_alike(model: Model) -> None:
    again = load_model(taught(model).dump())
    assert again.version() == model.version()
    assert again.dump() == model.dump()
    for part in (model, again):
        taught(part, 100, seed=3)
    assert again.version() == model.version()
    assert (again.predict(PAIRS) == model.predict(PAIRS)).all()


def test_a_copy_learns_apart_from_its_original(model: Model) -> None:
    before = taught(model).version()
    copy = model.copy()
    assert copy.version() == before
    taught(copy, 100, seed=4)
    assert (model.version(), copy.version() != before) == (before, True)


def test_asking_changes_nothing(model: Model) -> None:
    before = taught(model).dump()
    model.predict(PAIRS)
    model.predict([])
    assert model.dump() == before


def test_before_learning_it_expects_a_half(model: Model) -> None:
    assert model.predict(PAIRS[:3]).tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("name", MODELS)
def test_the_same_lessons_give_the_same_version_in_any_instance(name: str) -> None:
    first, second = (taught(MODELS[name](), 100) for _ in range(2))
    assert first.version() == second.version()


def test_damaged_bytes_are_malformed(model: Model) -> None:
    blob = taught(model).dump()
    for wrong in (b"", b"nonsense", blob[:40], blob[: len(blob) // 2], b"\x80\x04pickle" + blob):
        with pytest.raises(MalformedState):
            load_model(wrong)


def test_scalar_scores_are_learnt_as_soft_labels_and_come_out_calibrated() -> None:
    model = OnlineTextModel()
    draws = np.random.default_rng(0)
    for _ in range(20):
        texts = [f"{'fine' if n % 2 else 'poor'} w{draws.integers(30)}" for n in range(100)]
        model.learn(
            [(text, "a long enough answer to this") for text in texts],
            np.array([0.7 if n % 2 else 0.4 for n in range(100)]),
        )
    fine, poor = model.predict(
        [("fine w1", "a long enough answer to this"), ("poor w1", "a long enough answer to this")]
    )
    assert abs(fine - 0.7) < 0.05
    assert abs(poor - 0.4) < 0.05


def test_an_empty_model_is_small_and_a_taught_one_stays_below_a_megabyte() -> None:
    assert len(OnlineTextModel().dump()) < 600
    assert len(taught(OnlineTextModel(), 1000).dump()) < 1_000_000


def test_empty_and_very_long_texts_are_pairs_like_any_other(model: Model) -> None:
    taught(model, 100)
    found = model.predict([("", ""), ("x " * 16_000, "y" * 32_000), ("\n\t", "🙂")])
    assert np.isfinite(found).all()


class Homemade(SGDClassifier):  # type: ignore[misc]
    """A type of one's own: skops would have to import it."""


class Lazy(BaseEstimator):  # type: ignore[misc]
    """Learns nothing that can be asked for."""

    def partial_fit(self, rows: object, targets: object) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (RandomForestClassifier(), "partial_fit"),
        (MiniBatchKMeans(), "neither"),
        (Lazy(), "neither"),
        (Homemade(), "not trusted"),
    ],
)
def test_an_estimator_that_cannot_serve_is_refused_at_construction(estimator: object, said: str) -> None:
    with pytest.raises(UnsupportedEstimator, match=said):
        EstimatorModel(estimator)


def test_the_estimator_that_was_handed_in_is_left_as_it_was() -> None:
    mine = SGDRegressor()
    taught(EstimatorModel(mine), 100)
    assert mine.random_state is None
    assert not hasattr(mine, "coef_")
