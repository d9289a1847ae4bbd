"""Feedback-loop studies: users whose wishes are known, loops that are told only what users say, and numbers that tell them apart."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from meta_learning.cli import app
from meta_learning.clrs import ClosedLoopSystem
from meta_learning.errors import ConfigurationError
from meta_learning.experiments import ExperimentRunner, read_study
from meta_learning.experiments.loops.cell import run_loop_cell
from meta_learning.experiments.loops.config import LoopCell
from meta_learning.experiments.loops.following import Way, follow
from meta_learning.experiments.loops.interactions import Interaction
from meta_learning.experiments.loops.measures import correlations, measured
from meta_learning.experiments.loops.report import loops_report
from meta_learning.experiments.loops.streams import stream_of
from meta_learning.experiments.loops.users import Group, Users

LABELS = ("negative", "positive")
STUDY: dict[str, Any] = {
    "kind": "feedback_loop",
    "name": "loops",
    "texts": [{"name": "sentiment140"}],
    "users": ["stable", "drifting"],
    "events": 400,
    "settings": {"cycle_size": 20, "probe_size": 20},
}


def cell(**changes: Any) -> LoopCell:
    said = {"texts": {"name": "sentiment140"}, "users": "stable", "seed": 1, "events": 400, **changes}
    return LoopCell.model_validate({**said, "settings": STUDY["settings"]})


def met(kind: str, progress: float = 0.9, **more: Any) -> list[Interaction]:
    users, draws = Users(name="all", groups=[Group.model_validate({"kind": kind, **more})]), random.Random(0)
    return [users.interaction(f"text {n}", "positive", LABELS, progress, draws) for n in range(2000)]


def test_stable_users_want_the_label_and_say_so() -> None:
    assert {(one.wanted, one.said_of("positive"), one.said_of("negative")) for one in met("stable")} == {
        ("positive", 1.0, 0.0)
    }


def test_drifting_users_want_something_else_later() -> None:
    assert {one.wanted for one in met("drifting", progress=0.4)} == {"positive"}
    assert {one.wanted for one in met("drifting", progress=0.6)} == {"negative"}
    halfway = Counter(one.wanted for one in met("drifting", progress=0.7, over=0.4))
    assert 900 < halfway["negative"] < 1100


def test_disagreeing_users_keep_to_a_taste_of_their_own() -> None:
    first, again = met("disagreeing", differs=0.3), met("disagreeing", differs=0.3, progress=0.1)
    assert first == again
    assert 500 < sum(one.wanted == "negative" for one in first) < 700
    group = Group(kind="disagreeing")
    wishes = {group.wishes("positive", LABELS, f"u{n}", "the same text", 0.0, 0.0) for n in range(50)}
    assert wishes == {"negative", "positive"}


def test_lazy_users_seldom_answer_and_do_not_always_look() -> None:
    said = Counter(one.said_of("negative") for one in met("lazy", answers=0.3, careless=0.5))
    assert 1300 < said[None] < 1500
    assert said[1.0] == pytest.approx(said[0.0], abs=70)


def test_malicious_users_say_the_opposite_of_what_they_want() -> None:
    assert {(one.satisfied_by("positive"), one.said_of("positive")) for one in met("malicious")} == {(1.0, 0.0)}


def test_a_population_has_its_shares() -> None:
    users = Users(name="mixed", count=100, groups=[Group(kind="lazy", share=0.2), Group(kind="malicious", share=0.3)])
    assert Counter(users.group_of(user).kind for user in range(100)) == {"lazy": 20, "malicious": 30, "stable": 50}
    with pytest.raises(ConfigurationError, match="more than 1"):
        read_study({**STUDY, "users": [{"name": "too-many", "groups": [{"share": 0.7}, {"share": 0.7}]}]})


def test_foreign_texts_come_when_they_are_said_to_and_count_by_what_is_liked(tmp_path: Path) -> None:
    path = tmp_path / "foreign.csv"
    path.write_text("text,kind\n" + "".join(f"strange {n},{'ham' if n % 2 else 'spam'}\n" for n in range(300)))
    foreign = {"name": "strange", "path": str(path), "input": "text", "expected": "kind", "liked": "ham", "share": 0.5}
    found = stream_of(cell(texts={"name": "sentiment140", "foreign": foreign})).interactions
    places = [at for at, one in enumerate(found) if one.text.startswith("strange")]
    assert min(places) >= 200
    assert 70 < len(places) < 130
    assert {found[at].wanted for at in places if int(found[at].text.split()[1]) % 2} == {"positive"}


def test_a_loop_is_never_told_what_users_want_but_do_not_say() -> None:
    silent = [Interaction(f"text {n}", LABELS[n % 2], "u1", "silent") for n in range(50)]
    told = follow(ClosedLoopSystem(cycle_size=10), silent, Way("positive"))
    assert (told.labelled, told.cycles, told.counts["accepted"], len(told.satisfied)) == ([], [], 0, 50)


def test_a_loop_that_is_lied_to_satisfies_less_than_one_that_is_not() -> None:
    texts = [("a lovely warm day", "positive"), ("lost my keys again", "negative")]
    rows = [Interaction(f"{text} {n}", wanted, f"u{n % 7}") for n in range(300) for text, wanted in texts]
    lied = [one._replace(manner="opposite") for one in rows]
    honest, misled = (
        follow(ClosedLoopSystem(cycle_size=20), found, Way("positive", candidates=LABELS)) for found in (rows, lied)
    )
    assert sum(honest.satisfied[-100:]) > 90
    assert sum(misled.satisfied[-100:]) < 30


def test_the_same_cell_gives_the_same_result_and_another_seed_another() -> None:
    first, again, other = (run_loop_cell(cell(seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first["data"] != other["data"]
    assert (first["events"], first["labels"], first["passes"], len(first["cycles"])) == (400, 400, 2, 20)
    assert len(first["ceiling"]) == 10


def test_a_loop_that_says_nothing_of_its_alignment_yet_is_not_measured_against_it() -> None:
    rows = [Interaction(f"text {n}", LABELS[n % 2], "u1") for n in range(20)]
    told = follow(ClosedLoopSystem(cycle_size=10), rows, Way("positive"))
    assert told.cycles[-1]["alignment_n"] == 0
    assert measured(told, chosen=False, cycle_size=10)["alignment_true"] is None


def test_fewer_are_asked_where_fewer_shall_be() -> None:
    by_margin, by_chance = run_loop_cell(cell(asked=20)), run_loop_cell(cell(asked=20, asked_by="chance"))
    for result in (by_margin, by_chance):
        assert 0.1 < result["labels"] / result["events"] < 0.32
    assert by_margin["data"] == by_chance["data"]


def test_satisfaction_and_a_score_that_moves_with_it_correlate() -> None:
    cycles = [
        {"drift": 0.5 - n / 40, "alignment": [n / 20, None, None], "coherence": [0.5, None, None]} for n in range(20)
    ]
    found = correlations(cycles, [0.4 + n / 50 for n in range(20)])
    assert found == {"drift": pytest.approx(-1), "alignment": pytest.approx(1), "coherence": None}


def test_a_study_of_loops_is_run_and_reported_by_the_same_runner(tmp_path: Path) -> None:
    report = ExperimentRunner(folder=tmp_path).run_study({**STUDY, "asked": [100, 30], "seeds": [1, 2]})
    assert set(report["groups"]) == {"sentiment140 · drifting", "sentiment140 · stable"}
    group = report["groups"]["sentiment140 · stable"]
    assert [arm["arm"] for arm in group["arms"]] == ["100 % asked", "30 % asked"]
    assert len(group["minimal_feedback"]) == 2
    assert group["arms"][0]["accuracy_end"]["half_width"] is not None
    cells = [json.loads(path.read_text()) for path in Path(report["folder"]).glob("cells/*.json")]
    assert loops_report(cells)["groups"] == loops_report(cells[::-1])["groups"] == report["groups"]


def test_the_command_tells_of_loops_and_draws_them(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="figures are an extra")
    (tmp_path / "study.json").write_text(json.dumps({**STUDY, "users": ["stable"]}))
    asked = ["study", "run", str(tmp_path / "study.json"), "--data-folder", str(tmp_path)]
    result = CliRunner().invoke(app, asked, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "satisfaction goes with" in result.output
    page = next(tmp_path.glob("studies/*/report.html")).read_text()
    assert page.count("<img") == 3  # satisfaction, the three scores, drift by kind


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "dance"}, "kind: 'dance'; there are prompts, feedback_loop, strategies"),
        ({"settings": {"cycle_sice": 5}}, "no setting 'cycle_sice'"),
        ({"settings": {"cycle_size": 1}}, "cycle_size must lie in"),
        ({"users": ["friendly"]}, "users"),
        ({"asked": [0]}, "asked"),
        ({"strategies": ["meta"]}, "strategies: Extra inputs"),
    ],
)
def test_a_wrong_setting_of_a_loop_study_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_study({**STUDY, **change})
