"""Where items come in groups, nothing of a group that was learnt from is tested on, and intervals hold what they promise."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meta_learning.datasets import open_dataset
from meta_learning.errors import CallerError
from meta_learning.experiments import ExperimentRunner, Prediction, StudyConfig, evaluate
from meta_learning.experiments.clusters import clustered_mean, expanded_tail
from meta_learning.experiments.comparator import compare
from meta_learning.experiments.drawing_items import Wanted, draw
from meta_learning.experiments.intervals import Estimate, mean

USERS, EACH = 40, 8


def held(estimate: Estimate, truth: float) -> bool:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= truth <= estimate.high


def users_of(rng: np.random.Generator, alike: float = 0.3) -> tuple[np.ndarray, list[str]]:
    """Right or wrong, 0.7 on average; items of one user correlate by ``alike``."""
    scale = (1 - alike) / alike
    rates = rng.beta(0.7 * scale, 0.3 * scale, size=USERS)
    marks = (rng.random((USERS, EACH)) < rates[:, None]).astype(float)
    return marks.ravel(), [str(user) for user in range(USERS) for _ in range(EACH)]


def test_item_by_item_an_interval_of_users_is_too_narrow_and_by_users_it_holds_its_promise() -> None:
    plain = grouped = 0
    rng, runs = np.random.default_rng(1), 120
    for run in range(runs):
        marks, users = users_of(rng)
        plain += held(mean(marks.tolist(), run), 0.7)
        grouped += held(clustered_mean(marks.tolist(), users, run), 0.7)
    assert plain / runs < 0.80  # 95 % were promised
    assert grouped / runs >= 0.91  # 95 %, less two standard errors


def test_equal_arms_are_not_called_different_because_users_speak_more_than_once() -> None:
    plain = grouped = covered = 0
    rng, runs = np.random.default_rng(2), 80
    for run in range(runs):
        leaning = rng.choice(
            [-1, 0, 1], size=USERS
        )  # some users one arm suits, others the other: no difference on average
        differences = np.where(rng.random((USERS, EACH)) < 0.6, leaning[:, None], 0).ravel()
        names = [f"item {n}" for n in range(USERS * EACH)]
        ours = dict(zip(names, (differences > 0).astype(float), strict=True))
        theirs = dict(zip(names, (differences < 0).astype(float), strict=True))
        groups: dict[str, str | None] = {name: str(n // EACH) for n, name in enumerate(names)}
        plain += compare("a", ours, {"b": theirs}, seed=run)[0].p_value < 0.05
        found = compare("a", ours, {"b": theirs}, seed=run, groups=groups)[0]
        grouped += found.p_value < 0.05
        covered += found.low is not None and found.high is not None and found.low <= 0 <= found.high
    assert plain / runs > 0.25  # 5 % were promised
    assert grouped / runs <= 0.1  # 5 %, and two standard errors
    assert covered / runs >= 0.9


def test_a_true_gain_is_still_found_by_users_and_its_power_is_said_honestly() -> None:
    rng = np.random.default_rng(3)
    base = rng.random((USERS, EACH))
    names = [f"item {n}" for n in range(USERS * EACH)]
    better, worse = ((base < limit).astype(float).ravel() for limit in (0.8, 0.6))
    groups: dict[str, str | None] = {name: str(n // EACH) for n, name in enumerate(names)}
    ours, theirs = dict(zip(names, better, strict=True)), dict(zip(names, worse, strict=True))
    alone, together = (compare("a", ours, {"b": theirs}, groups=one)[0] for one in ({}, groups))
    assert together.wins
    assert (alone.groups_count, together.groups_count) == (None, USERS)
    assert together.gain == alone.gain
    assert together.power_for_5_points <= alone.power_for_5_points


def said(marks: np.ndarray, users: list[str | None]) -> list[Prediction]:
    return [
        Prediction(
            str(n), "a", "a" if mark else "b", float(mark), 0.5 + 0.4 * (n // EACH % 2), segment="all", group=user
        )
        for n, (mark, user) in enumerate(zip(marks, users, strict=True))
    ]


def test_every_interval_of_an_evaluation_is_by_group() -> None:
    marks, users = users_of(np.random.default_rng(4), alike=0.9)
    alone, together = (
        evaluate(said(marks, [None] * len(users)), ("a", "b")),
        evaluate(said(marks, [*users]), ("a", "b")),
    )
    assert (alone["groups"], together["groups"]) == (None, USERS)

    def width(report: dict[str, Any], *path: str) -> float:
        for name in path:
            report = report[name]
        return float(report["high"] - report["low"])

    for path in (("accuracy",), ("macro_f1",), ("macro_recall",), ("calibration", "brier"), ("segments", "all")):
        assert width(together, *path) > 1.5 * width(alone, *path), path
    low, high = together["calibration"]["error_interval"]
    plain_low, plain_high = alone["calibration"]["error_interval"]
    assert high - low > 1.5 * (plain_high - plain_low)
    assert together["accuracy"]["value"] == alone["accuracy"]["value"]
    assert together["macro_f1"]["value"] == alone["macro_f1"]["value"]


def test_groups_of_one_change_nothing_and_one_group_says_nothing_about_others() -> None:
    marks, _ = users_of(np.random.default_rng(5))
    assert clustered_mean(marks.tolist(), [str(n) for n in range(len(marks))]) == mean(marks.tolist())
    single = clustered_mean(marks.tolist(), ["me"] * len(marks))
    assert (single.value, single.low, single.high) == (mean(marks.tolist()).value, None, None)
    assert expanded_tail(6) < expanded_tail(60) < 0.025


def test_few_groups_get_intervals_wide_enough() -> None:
    rng, runs, covered = np.random.default_rng(6), 150, 0
    for run in range(runs):
        means = rng.normal(0.0, 1.0, size=6)
        values = (means[:, None] + rng.normal(0.0, 0.3, size=(6, 5))).ravel()
        covered += held(clustered_mean(values.tolist(), [str(n // 5) for n in range(30)], run), 0.0)
    assert covered / runs >= 0.89  # plain percentiles of six groups hold about 85 %


def table(path: Path, sizes: list[int]) -> str:
    rows = [
        (f"mail {n} of {user} {'win' if n % 2 else 'lunch'}", n % 2, user)
        for user, size in enumerate(sizes)
        for n in range(size)
    ]
    path.write_text("text,kind,sender\n" + "".join(f"{t},{'spam' if k else 'ham'},s{u}\n" for t, k, u in rows))
    return str(path)


@pytest.mark.parametrize("seed", range(5))
def test_nobody_is_in_the_pool_and_in_the_test_part(tmp_path: Path, seed: int) -> None:
    path = table(tmp_path / "mail.csv", [1 + n % 7 for n in range(60)])
    loader = open_dataset(path, input="text", expected="kind", group="sender")
    items = asyncio.run(draw(loader, Wanted(80, 40, 60), seed))
    pool, test = ({one["group"] for one in part} for part in (items.pool, items.test))
    assert not pool & test
    assert 55 <= len(items.test) <= 60
    assert len(items.pool) == 120
    assert items.groups_counts == {"pool": len(pool), "test": len(test)}


def test_an_input_of_several_groups_is_always_the_same_ones_whatever_the_order() -> None:
    rows = [{"input": f"text {n % 150}", "expected": "ab"[n % 2], "group": f"u{n // 4}"} for n in range(200)]
    found = [asyncio.run(draw(lambda n, given=given: given[:n], Wanted(80, 40, 80), 0)) for given in (rows, rows[::-1])]
    assert found[0] == found[1]


def test_too_few_groups_for_a_test_part_are_refused_with_what_to_do(tmp_path: Path) -> None:
    path = table(tmp_path / "mail.csv", [100, 40, 40, 30])
    loader = open_dataset(path, input="text", expected="kind", group="sender")
    with pytest.raises(
        CallerError, match="no 20 to 60 items to test on, of at least 6 groups: 4 groups share 180 items"
    ):
        asyncio.run(draw(loader, Wanted(80, 40, 60), 0))


def test_a_study_keeps_groups_apart_and_says_so(tmp_path: Path) -> None:
    path = table(tmp_path / "mail.csv", [5] * 36)
    data = {
        "name": "mail",
        "path": path,
        "input": "text",
        "expected": "kind",
        "group": "sender",
        "initial_prompt": "Judge.",
    }
    sizes = {"sample_size": 80, "gate_samples": 40, "test_samples": 60}
    study = {"name": "mail", "strategies": ["fine_tuning"], "datasets": [data], "sizes": sizes, "seeds": [0, 1]}
    report = ExperimentRunner(folder=tmp_path / "runs").run_study(study)
    assert report["errors"] == []
    for cell in tmp_path.rglob("cells/*.json"):
        assert json.loads(cell.read_bytes())["data"]["groups"] == {"pool": 24, "test": 12}
    arm = report["groups"]["mail"]["arms"][0]
    assert arm["groups"] is not None
    assert 12 <= arm["groups"] <= 24
    assert "36 groups of 5 items" in next(tmp_path.rglob("data-mail.md")).read_text()
    data["group"] = "thread"
    report = ExperimentRunner(folder=tmp_path / "runs").run_study(study)
    assert "mail.csv: no column 'thread' to group by" in report["errors"][0]["error"]


def test_studies_without_groups_keep_the_names_of_their_finished_cells() -> None:
    data: dict[str, Any] = {"name": "sentiment140", "initial_prompt": "Judge."}
    said: dict[str, Any] = {"name": "tweets", "datasets": [data], "strategies": ["static", "fine_tuning"]}
    said |= {"models": [{"provider": "openai", "model_name": "m"}]}
    config = StudyConfig.read(said)
    # As they were before data sets could have groups.
    assert config.id == "tweets-6a559a806f"
    assert [cell.id for cell in config.cells()] == ["1b568082c7691ae5cfb1a52e", "8ecfcc5f177bbfa34d5b7a31"]
    data["group"] = "user"
    other = StudyConfig.read(said)
    assert other.id != config.id
    assert {cell.id for cell in other.cells()}.isdisjoint(cell.id for cell in config.cells())
