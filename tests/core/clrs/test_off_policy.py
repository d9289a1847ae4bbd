"""What another policy would have earned: right on a world where the truth is known, refused where nothing can be said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from meta_learning.cli import app
from meta_learning.clrs import ClosedLoopSystem, OnlineTextModel
from meta_learning.clrs.acting import Cause, EpsilonGreedy, Greedy, Shown, choose
from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.off_policy import Logged, estimate, replayed, what_if
from meta_learning.clrs.off_policy.estimators import Interval, Method
from meta_learning.datasets.recorded import feedback_of as read
from meta_learning.errors import CallerError, MalformedEvent
from meta_learning.events import FeedbackReceived
from meta_learning.registry.store import FileStore
from meta_learning.registry.versions import Manifest, publish
from tests.core.clrs.streams import events, labelled

WAYS: list[tuple[Method, Interval]] = [
    ("ips", "bootstrap"),
    ("ips", "bernstein"),
    ("snips", "bootstrap"),
    ("dr", "bootstrap"),
    ("dr", "bernstein"),
]
TRUTH = 0.7


def world(seed: int, n: int = 400, asked: bool = False) -> Logged:
    """Two candidates, logged evenly; the policy in question takes the first, which is liked in 7 of 10 cases, by kind of case."""
    draws = np.random.default_rng([2, seed])
    kind = draws.random(n) < 0.5
    chance = np.where(kind, 0.9, 0.5)
    first = draws.random(n) < 0.5
    rewards = (draws.random(n) < np.where(first, chance, 0.2)).astype(float)
    ask = np.where(kind, 0.3, 0.9) if asked else np.ones(n)
    kept = draws.random(n) < ask
    whole = Logged(rewards, np.full(n, 0.5), first.astype(float), np.where(first, 0.6, 0.3), np.full(n, 0.6), ask)
    return Logged(*(getattr(whole, name)[kept] for name in whole.__dataclass_fields__))


@pytest.mark.parametrize(("method", "interval"), WAYS)
def test_intervals_hold_the_truth_as_often_as_they_say(method: Method, interval: Interval) -> None:
    found = [estimate(world(seed), method, interval, seed=seed) for seed in range(100)]
    covered = sum((item.low or 0.0) <= TRUTH <= (item.high or 0.0) for item in found)
    assert covered >= 89  # at a true 95 % less is seen once in a hundred seeds
    assert np.mean([item.value for item in found]) == pytest.approx(TRUTH, abs=0.015)


@pytest.mark.parametrize("method", ["ips", "snips", "dr"])
def test_feedback_that_was_asked_for_stands_for_what_was_not(method: Method) -> None:
    found = [estimate(world(seed, 1500, asked=True), method).value for seed in range(8)]
    assert np.mean([value for value in found if value is not None]) == pytest.approx(TRUTH, abs=0.025)
    blind = [
        estimate(replace(w, asked=np.ones(len(w))), method).value for w in (world(s, 1500, True) for s in range(30))
    ]
    assert abs(np.mean([value for value in blind if value is not None]) - TRUTH) > 0.05


def test_what_hangs_on_a_few_choices_is_refused() -> None:
    few = replace(world(0), targets=np.where(np.arange(400) < 30, 1.0, 0.0))
    found = estimate(few)
    assert (found.value, found.low, found.high) == (None, None, None)
    assert found.ess == 30.0
    assert "30.0 of 400" in str(found.refused)
    assert estimate(world(0, 0)).refused


def test_clipping_is_told() -> None:
    rare = replace(world(1), propensities=np.where(np.arange(400) % 4 == 0, 0.01, 0.5))
    found = estimate(rare, "snips")
    assert 0.05 < found.clipped < 0.25


@pytest.mark.parametrize(
    "wrong", [{"method": "best"}, {"interval": "none"}, {"confidence": 1.0}, {"weight_max": 0.5}], ids=str
)
def test_wrong_arguments_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(CallerError):
        estimate(world(0), **wrong)  # type: ignore[arg-type]


def test_a_ratio_of_sums_has_no_bernstein_bound() -> None:
    for logged, method in ((world(0), "snips"), (world(0, asked=True), "dr")):
        with pytest.raises(CallerError, match="Bernstein"):
            estimate(logged, method, "bernstein")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["rewards", "propensities", "targets", "asked"])
def test_numbers_out_of_bounds_are_refused(name: str) -> None:
    for bad in (np.full(400, 1.5), np.full(400, np.nan), np.zeros(3)):
        with pytest.raises(CallerError):
            replace(world(0), **{name: bad})
    with pytest.raises(CallerError, match="propensity of 0"):
        replace(world(0), propensities=np.zeros(400))


class Wordy:
    """Scores a positive label by the good words; no learning."""

    def predict(self, pairs: list[tuple[str, str]]) -> Floats:
        return np.array([0.9 if ("lovely" in asked) == (answered == "positive") else 0.1 for asked, answered in pairs])


def logged_events(count: int) -> tuple[list[FeedbackReceived], float]:
    """Even draws between two labels; and what always showing the label that `Wordy` prefers would have earned."""
    found, earned = [], []
    for index, (text, label, score) in enumerate(labelled(count, seed=5)):
        right = label if score == 1.0 else {"positive": "negative", "negative": "positive"}[label]
        choice = choose(text, ["positive", "negative"], np.zeros(2), np.full(2, 0.5), Cause(0, "default", str(index)))
        event = events([(text, choice.output_text, float(choice.output_text == right))])[0]
        said = choice.feedback
        found.append(event.model_copy(update={"propensity": said["propensity"], "metadata": said["metadata"]}))
        earned.append(("positive" if "lovely" in text else "negative") == right)
    return found, float(np.mean(earned))


def test_a_version_is_judged_on_what_another_logged() -> None:
    log, earned = logged_events(800)
    for method in ("ips", "snips", "dr"):
        found = what_if(log, Wordy(), method=method)  # type: ignore[arg-type]
        assert found.low is not None
        assert found.high is not None
        assert found.low <= earned <= found.high
        assert found.high - found.low < 0.2
    half = what_if(log, Wordy(), EpsilonGreedy(1.0))  # type: ignore[arg-type]
    assert half.value == pytest.approx(0.5, abs=0.05)


def test_events_that_say_too_little_are_left_out_and_counted() -> None:
    log, _ = logged_events(100)
    mute = [log[0].model_copy(update={"propensity": None}), log[1].model_copy(update={"metadata": {}})]
    volunteered = log[2].model_copy(update={"metadata": Shown("u", ("positive", "negative"), asked=False).metadata()})
    found = replayed([*log[3:], *mute, volunteered], Wordy(), Greedy())  # type: ignore[arg-type]
    assert (len(found.logged), found.left_out) == (97, 3)


def test_a_loops_own_log_judges_its_champion() -> None:
    loop, log = ClosedLoopSystem(cycle_size=50), list[FeedbackReceived]()
    for index, (text, label, score) in enumerate(labelled(400)):
        choice = loop.act(text, ["positive", "negative"], policy=EpsilonGreedy(0.5))
        right = label if score == 1.0 else {"positive": "negative", "negative": "positive"}[label]
        liked = float(choice.output_text == right)
        loop.collect_feedback(feedback_score=liked, **choice.feedback)
        event = events([(text, choice.output_text, liked)])[0]
        if index >= 250:
            log.append(event.model_copy(update={name: choice.feedback[name] for name in ("propensity", "metadata")}))
    champion = loop._champion
    assert champion is not None
    found = what_if(log, champion)
    assert found.low is not None
    assert found.low > 0.8


def test_feedback_is_read_from_events_and_from_archive_segments() -> None:
    event = logged_events(1)[0][0]
    plain = event.encode().decode()
    archived = json.dumps({"id": "1-0", "type": "FeedbackReceived", "body": plain})
    other = json.dumps({"id": "2-0", "type": "CycleCompleted", "body": "{}"})
    assert list(read([plain, other, archived])) == [event, event]
    for bad in ("[]", "{", '{"type": "FeedbackReceived"}'):
        with pytest.raises(MalformedEvent, match="line 2"):
            list(read([plain, bad]))


def test_the_command_judges_a_stored_version(tmp_path: Path) -> None:
    log, _ = logged_events(300)
    model = OnlineTextModel()
    model.learn(
        [(f"a lovely day {n}", ("negative", "positive")[n % 2]) for n in range(100)],
        (np.arange(100) % 2).astype(np.float64),
    )
    store = FileStore(tmp_path / "registry")
    version = Manifest(kind="model", loop="default", version=model.version(), content=store.put(model.dump()))
    (tmp_path / "log.jsonl").write_text("\n".join(event.encode().decode() for event in log), encoding="utf-8")
    rest = [str(tmp_path / "log.jsonl"), "--data-folder", str(tmp_path)]
    answer = CliRunner().invoke(app, ["off-policy", publish(store, version), *rest], env={"COLUMNS": "160"})
    assert answer.exit_code == 0, answer.output
    assert [line.split()[0] for line in answer.output.splitlines()[1:4]] == ["ips", "snips", "dr"]
    assert CliRunner().invoke(app, ["off-policy", "0" * 64, *rest]).exit_code == 1
