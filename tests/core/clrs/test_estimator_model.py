"""Which scikit-learn estimators become models of the loop, what each is given, and which are refused at construction."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.decomposition import IncrementalPCA, TruncatedSVD
from sklearn.feature_selection import SelectKBest
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import LogisticRegression, PassiveAggressiveClassifier, SGDClassifier, SGDRegressor
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, FunctionTransformer, MaxAbsScaler, Normalizer

from meta_learning.clrs import ClosedLoopSystem, EstimatorModel, Model, load_model
from meta_learning.clrs.models.features import FeatureSettings, PairFeatures
from meta_learning.errors import UnsupportedEstimator
from tests.core.clrs.streams import labelled

SMALL = {"hidden_layer_sizes": (8,), "batch_size": 10, "learning_rate_init": 0.02}


def passive_aggressive() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # on its way out of scikit-learn, and still much used
        return PassiveAggressiveClassifier()


ESTIMATORS: dict[str, tuple[Any, float]] = {  # with the distance between liked and disliked that it must reach
    "hinge": (lambda: SGDClassifier(), 0.2),
    "logistic": (lambda: SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.5), 0.2),
    "passive-aggressive": (lambda: SGDClassifier(loss="hinge", learning_rate="pa1"), 0.2),
    "passive-aggressive regressor": (
        lambda: SGDRegressor(loss="epsilon_insensitive", learning_rate="pa1", eta0=1.0),
        0.2,
    ),
    "huber regressor": (lambda: SGDRegressor(loss="huber", epsilon=0.5, learning_rate="constant", eta0=0.5), 0.2),
    "network": (lambda: MLPClassifier(**SMALL), 0.2),
    "network regressor": (lambda: MLPRegressor(**SMALL), 0.1),
    "multinomial": (lambda: MultinomialNB(), 0.2),
    "complement": (lambda: ComplementNB(), 0.1),
    "bernoulli": (lambda: BernoulliNB(), 0.2),
    "gaussian": (lambda: GaussianNB(), 0.1),
    "normalised": (lambda: make_pipeline(Normalizer(), SGDClassifier(loss="hinge", learning_rate="pa1")), 0.2),
    "scaled": (lambda: make_pipeline(MaxAbsScaler(), "passthrough", MultinomialNB()), 0.2),
    "binarised": (lambda: make_pipeline(Binarizer(), BernoulliNB()), 0.2),
    "kernel": (lambda: make_pipeline(RBFSampler(gamma=0.5, n_components=100), SGDClassifier()), 0.1),
}
UNSEEN = labelled(200, seed=8)
PAIRS = [(asked, answered) for asked, answered, _ in UNSEEN]
LIKED = np.array([score for _, _, score in UNSEEN]) == 1.0


def taught(model: EstimatorModel, count: int = 400, seed: int = 0) -> EstimatorModel:
    rows = labelled(count, seed)
    for start in range(0, count, 100):
        part = rows[start : start + 100]
        model.learn([(asked, answered) for asked, answered, _ in part], np.array([score for _, _, score in part]))
    return model


@pytest.mark.parametrize("name", ESTIMATORS)
def test_it_learns_what_the_users_like_and_comes_back_exactly(name: str) -> None:
    make, distance = ESTIMATORS[name]
    model = EstimatorModel(make(), PairFeatures(FeatureSettings(bits=12)))
    assert isinstance(model, Model)
    found = taught(model).predict(PAIRS)
    assert ((found >= 0) & (found <= 1)).all()
    assert found[LIKED].mean() > found[~LIKED].mean() + distance
    again = load_model(model.dump())
    assert (again.predict(PAIRS) == found).all()
    for part in (model, again):
        taught(part, 100, seed=3)  # type: ignore[arg-type]
    assert again.version() == model.version()
    assert again.dump() == model.dump()


def test_a_decision_function_is_calibrated_into_expected_scores() -> None:
    """Hinge losses know no probabilities; their raw sign would make every score 0 or 1."""
    draws = np.random.default_rng(0)
    model = EstimatorModel(SGDClassifier(alpha=0.01, random_state=0), PairFeatures(FeatureSettings(bits=12)))
    for _ in range(12):
        liked = draws.random(100) < np.where(np.arange(100) % 2, 0.8, 0.3)
        model.learn([(("dull", "fine")[n % 2], "ok") for n in range(100)], liked.astype(float))
    dull, fine = model.predict([("dull", "ok"), ("fine", "ok")])
    assert abs(dull - 0.3) < 0.15
    assert abs(fine - 0.8) < 0.15


def test_estimators_that_keep_much_a_feature_get_a_narrower_space() -> None:
    assert EstimatorModel(SGDClassifier()).features.settings.bits == 18
    network = EstimatorModel(MLPClassifier())
    assert network.features.settings.bits <= 13
    assert EstimatorModel(GaussianNB()).features.settings.bits <= 12
    taught(network, 100)
    assert len(network.dump()) < 20_000_000


def test_features_that_are_given_are_kept() -> None:
    features = PairFeatures(FeatureSettings(bits=9))
    assert EstimatorModel(MLPRegressor(), features).features is features


def test_the_class_that_scikit_learn_retires_still_works() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = taught(EstimatorModel(passive_aggressive(), PairFeatures(FeatureSettings(bits=12))))
        found = model.predict(PAIRS)
    assert found[LIKED].mean() > found[~LIKED].mean() + 0.2


class Silent(BaseEstimator):  # type: ignore[misc]
    """Has the method, but is neither a classifier nor a regressor."""

    def partial_fit(self, rows: object, targets: object) -> None:
        """Do nothing."""


def as_it_is(rows: Any) -> Any:
    return rows


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (LogisticRegression(), "LogisticRegression has no partial_fit"),
        (make_pipeline(Normalizer(), LogisticRegression()), "LogisticRegression has no partial_fit"),
        (make_pipeline(SelectKBest(k=5), SGDClassifier()), "SelectKBest must be fitted on all data"),
        (make_pipeline(TruncatedSVD(), SGDClassifier()), "TruncatedSVD must be fitted on all data"),
        (make_pipeline(FunctionTransformer(as_it_is), SGDClassifier()), "not trusted"),
        (make_pipeline(IncrementalPCA(), MultinomialNB()), "Negative values"),
        (IncrementalPCA(), "neither"),
        (Silent(), "neither"),
        (SGDClassifier, "give an instance"),
        (SGDClassifier(alpha=-1.0), "alpha"),
        ("model.pkl", "no partial_fit"),
    ],
    ids=[
        "logistic",
        "pipeline-logistic",
        "selection",
        "decomposition",
        "function",
        "negative",
        "transformer",
        "silent",
        "class",
        "settings",
        "path",
    ],
)
def test_what_cannot_serve_is_refused_at_construction_with_its_reason(estimator: object, said: str) -> None:
    with pytest.raises(UnsupportedEstimator, match=said):
        EstimatorModel(estimator)


def test_an_estimator_fitted_on_other_features_is_refused() -> None:
    fitted = SGDRegressor().partial_fit(np.eye(2, 5), [0.0, 1.0])
    with pytest.raises(UnsupportedEstimator, match="fitted on 5 features"):
        EstimatorModel(fitted)


def test_the_pipeline_that_was_handed_in_is_left_as_it_was() -> None:
    mine = make_pipeline(MaxAbsScaler(), SGDRegressor())
    taught(EstimatorModel(mine, PairFeatures(FeatureSettings(bits=10))), 100)
    assert mine[-1].random_state is None
    assert not hasattr(mine[0], "scale_")


def test_a_pipeline_runs_through_the_gates_of_the_closed_loop() -> None:
    model = EstimatorModel(
        make_pipeline(Normalizer(), MultinomialNB(alpha=0.1)), PairFeatures(FeatureSettings(bits=12))
    )
    system = ClosedLoopSystem(model=model, cycle_size=100)
    for asked, answered, score in labelled(900):
        system.collect_feedback(asked, answered, score)
    assert system.champion_version is not None
