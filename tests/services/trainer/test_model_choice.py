"""The model of new loops is a setting: what it accepts, what it refuses at the start, and what it leaves alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from meta_learning.clrs.models.choice import model_named
from meta_learning.errors import ConfigurationError
from meta_learning.events import ModelPromoted, PromoteModel
from services.trainer.__main__ import TrainerSettings, loops_of
from services.trainer.loops import Folded, Loops
from tests.brokers import NOON
from tests.services.trainer.folding import entries, learnable


class Trainer:
    """The trainer's own loops of one partition over a data folder, and what was committed."""

    def __init__(self, folder: Path, model: str = "text") -> None:
        self.folder, self.state = folder, dict[str, bytes]()
        self.loops = self.started(model)

    def started(self, model: str) -> Loops:
        self.loops = loops_of(TrainerSettings(data_folder=self.folder, cycle_size=10, model=model), 0)
        self.loops.load(self.state)
        return self.loops

    def step(self, loop: str, numbers: range) -> Folded:
        folded = self.loops.fold(entries(*(learnable(number, loop) for number in numbers)))
        self.state.update({name: state for name, state in folded.commit.state.items() if state is not None})
        self.loops.committed(folded)
        return folded

    def kind(self, loop: str) -> str:
        model = self.loops._ready[loop].system._candidate
        return type(getattr(model, "estimator", model)).__name__


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("text", "OnlineTextModel"),
        ("estimator:sklearn.naive_bayes.MultinomialNB", "MultinomialNB"),
    ],
)
def test_new_loops_begin_with_the_chosen_model_and_a_champion_comes_of_it(tmp_path: Path, name: str, kind: str) -> None:
    trainer = Trainer(tmp_path, name)
    folded = trainer.step("support", range(30))
    assert trainer.kind("support") == kind
    assert [event for event in folded.commit.emit if isinstance(event, ModelPromoted)]


def test_after_the_setting_changed_old_loops_keep_their_model_and_go_on_to_the_same_versions(tmp_path: Path) -> None:
    changed, unbroken = Trainer(tmp_path / "changed", "naive_bayes"), Trainer(tmp_path / "unbroken", "naive_bayes")
    for trainer in (changed, unbroken):
        trainer.step("old", range(20))
    changed.started("text")
    for trainer in (changed, unbroken):
        trainer.step("old", range(20, 30))
    changed.step("new", range(1))
    assert (changed.kind("old"), changed.kind("new")) == ("MultinomialNB", "OnlineTextModel")
    one, other = (trainer.loops._ready["old"].system for trainer in (changed, unbroken))
    assert (one.candidate_version, one.champion_version) == (other.candidate_version, other.champion_version)


def test_an_operator_goes_back_to_a_version_of_the_chosen_kind(tmp_path: Path) -> None:
    trainer = Trainer(tmp_path, "naive_bayes")
    folded = trainer.step("support", range(50))
    first, *_, last = [event for event in folded.commit.emit if isinstance(event, ModelPromoted)]
    assert first.version != last.version
    trainer.started("text")
    command = PromoteModel(event_id="back", occurred_at=NOON, loop="support", version=first.version)
    told = trainer.loops.fold(entries(command))
    assert not told.commit.parked
    assert (trainer.loops._ready["support"].system.champion_version, trainer.kind("support")) == (
        first.version,
        "MultinomialNB",
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bert", "no model 'bert': it is one of text, sgd"),
        ("text:large", "no model"),
        ("estimator", "no model"),
        ("embedding:", "no model"),
        ("estimator:os.path.join", "comes from scikit-learn"),
        ("estimator:sklearn.linear_model.Nothing", "has no sklearn.linear_model.Nothing"),
        ("estimator:sklearn.nothing.SGDClassifier", "has no sklearn.nothing"),
        ("estimator:sklearn.ensemble.RandomForestClassifier", "no partial_fit"),
        ("estimator:sklearn.linear_model.LinearRegression", "no partial_fit"),
        ("estimator:sklearn.utils.shuffle", "no class of estimators"),
        ("estimator:sklearn.linear_model.SGDClassifier.fit", "has no sklearn.linear_model.SGDClassifier"),
        ("estimator:sklearn.pipeline.Pipeline", "without arguments"),
    ],
)
def test_a_model_that_cannot_be_had_is_refused_with_what_would_do(name: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        model_named(name)


@pytest.mark.parametrize(("name", "module"), [("embedding", "sentence_transformers"), ("language", "torch")])
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, name: str, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=r"install meta-learning-loop\["):
        model_named(name)


def test_the_trainer_does_not_start_with_an_unknown_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no model 'bert'"):
        Trainer(tmp_path, "bert")
