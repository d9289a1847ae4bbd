"""A grid gives the same results whoever runs it, goes on after any death, and is read from a typed file."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from meta_learning.cli import app
from meta_learning.cli.study_tables import say
from meta_learning.errors import ConfigurationError, NotFound
from meta_learning.experiments import ExperimentRunner, LoopStudyConfig, StudyConfig
from meta_learning.experiments.asking import Package, PromptAsker
from meta_learning.experiments.grid import GridCell
from meta_learning.experiments.progress import shown
from meta_learning.experiments.report import report_of
from meta_learning.experiments.sharing import ReadAsText
from meta_learning.experiments.study import Study
from meta_learning.experiments.workers import OneProcess, Processes
from meta_learning.llm import Capabilities, Message, Reply, Request
from meta_learning.llm.scripted import ScriptedLLM
from meta_learning.utils.runs import list_runs
from meta_learning.utils.visualizer import MetaLearningVisualizer

SHARED = str(Path(__file__).parents[3] / "shared")
GRID: dict[str, Any] = {
    "name": "tweets",
    "datasets": [{"name": "sentiment140", "initial_prompt": "Judge the tweet."}],
    "strategies": ["fine_tuning"],
    "seeds": [0, 1, 2, 3],
    "sizes": {"sample_size": 40, "gate_samples": 20, "test_samples": 40},
}
STUDY = """
import sys
from meta_learning.experiments import ExperimentRunner
if __name__ == "__main__":
    def told(cell, result):
        print(cell.id, flush=True)
    ExperimentRunner(folder=sys.argv[2]).run_study(sys.argv[1], int(sys.argv[3]), told)
"""


def cells_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("cells/*.json")}


@pytest.mark.slow
def test_a_study_survives_a_kill_and_ends_as_the_unbroken_one(tmp_path: Path) -> None:
    config = {**GRID, "seeds": list(range(12))}
    (tmp_path / "study.json").write_text(json.dumps(config))
    command = [sys.executable, "-c", STUDY, str(tmp_path / "study.json"), str(tmp_path / "killed"), "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": SHARED}) as process:
        assert process.stdout is not None
        for _ in range(3):
            assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    begun = cells_of(tmp_path / "killed")
    assert 3 <= len(begun) < 12
    told: list[str] = []
    report = ExperimentRunner(folder=tmp_path / "killed").run_study(
        config, 1, lambda cell, result: told.append(cell.id)
    )
    assert len(told) == 12 - len(begun)  # nothing twice
    assert report["cells_count"] == 12
    ended = cells_of(tmp_path / "killed")
    assert begun.items() <= ended.items()
    few = StudyConfig.read({**GRID, "seeds": list(range(4))})
    unbroken = {cell.id: result for cell, result in OneProcess().run(few.cells(), tmp_path)}
    for name, result in unbroken.items():
        assert json.loads(ended[f"{name}.json"]) == result


@pytest.mark.slow
def test_processes_come_to_the_same_results_as_one_though_a_worker_dies(tmp_path: Path) -> None:
    config = StudyConfig.read({**GRID, "seeds": list(range(4))})
    loop = {"kind": "feedback_loop", "name": "loops", "texts": [{"name": "sentiment140"}], "events": 200}
    cells = [*config.cells(), *LoopStudyConfig.read(loop).cells()]
    found: dict[str, dict[str, Any]] = {}
    for cell, result in Processes(2).run(cells, tmp_path):
        if not found:
            # A child of ours, so nobody else's: the pool's workers are spawned by this very process.
            children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
            if not children.exists():
                pytest.skip("this system does not say who its children are")
            spawned = [
                pid
                for pid in children.read_text().split()
                if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
            ]
            os.kill(int(spawned[-1]), signal.SIGKILL)
        found[cell.id] = result
    assert found == {cell.id: result for cell, result in OneProcess().run(cells, tmp_path)}


def test_a_cell_that_cannot_be_run_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    config = {**GRID, "datasets": [*GRID["datasets"], {"name": "unheard", "initial_prompt": "Judge."}]}
    report = ExperimentRunner(folder=tmp_path).run_study(config)
    assert report["cells_count"] == 4
    assert len(report["errors"]) == 4
    assert "no data set 'unheard'" in report["errors"][0]["error"]


def test_a_study_says_of_itself_what_it_was_made_with(tmp_path: Path) -> None:
    report = ExperimentRunner(folder=tmp_path).run_study(GRID)
    run = list_runs(tmp_path)[0]
    assert run.manifest["config"]["datasets"][0]["name"] == "sentiment140"
    assert run.summary["cells"] == 4
    assert run.manifest["seeds"] == {"seeds": GRID["seeds"]}
    assert run.manifest["data"]["sentiment140"]["rows"] == 212
    assert len(run.history) == 4
    assert run.summary["scores"] == {
        f"sentiment140 · {arm['arm']}": arm["score"] for arm in report["groups"]["sentiment140"]["arms"]
    }
    assert "212 items" in (Path(report["folder"]) / "data-sentiment140.md").read_text()
    result = json.loads(next(Path(report["folder"]).glob("cells/*.json")).read_text())
    assert len(result["data"]["test"]) == 64
    assert json.loads((Path(report["folder"]) / "report.json").read_text())["groups"] == report["groups"]


def test_what_does_not_ask_a_model_is_run_once_along_the_models_and_budgets() -> None:
    models = [{"provider": "local"}, {"provider": "openai", "model_name": "m", "base_url": "http://127.0.0.1:9/v1"}]
    config = StudyConfig.read(
        {
            **GRID,
            "strategies": ["static", "meta", "fine_tuning", "hand_written"],
            "models": models,
            "seeds": [0],
            "budgets": [10, 20],
        }
    )
    kinds = [cell.strategy for cell in config.cells()]
    assert (kinds.count("fine_tuning"), kinds.count("static"), kinds.count("meta"), kinds.count("hand_written")) == (
        1,
        2,
        4,
        0,
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"strategies": ["luck"]}, "strategies.0: 'luck' is none of"),
        ({"strategies": ["only:luck"]}, "only:luck"),
        ({"seeds": []}, "seeds"),
        ({"budget": 3}, "budget: Extra inputs"),
        ({"sizes": {"test_samples": 3}}, "sizes.test_samples"),
        ({"search": {"seed": 3}}, "no setting 'seed'"),
        ({"search": {"alpha": 3}}, "alpha is 3"),
        (
            {"datasets": [GRID["datasets"][0], {**GRID["datasets"][0], "group": "user"}]},
            "datasets: .*'sentiment140' stands for different data: take a name each, or a study each",
        ),
    ],
)
def test_a_wrong_setting_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        StudyConfig.read({**GRID, **change})


def test_a_study_is_read_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text('name = "t"\nseeds = [3]\n[[datasets]]\nname = "sentiment140"\ninitial_prompt = "Judge."\n')
    assert StudyConfig.read(path).seeds == [3]
    path.write_text("name = ")
    with pytest.raises(ConfigurationError, match=r"study\.toml"):
        StudyConfig.read(path)
    with pytest.raises(NotFound):
        StudyConfig.read(tmp_path / "nothing.toml")


def result_of(strategy: str, right: float, seed: int = 0) -> dict[str, Any]:
    predictions = [{"item": str(n), "score": float(n < 200 * right), "refused": None} for n in range(200)]
    model = None if strategy == "fine_tuning" else {"provider": "local", "model_name": None}
    budget = None if strategy in ("static", "fine_tuning") else 100
    cell = {"dataset": {"name": "d"}, "model": model, "strategy": strategy, "budget": budget, "seed": seed}
    made = {"calls": 10, "outcome": "improved" if budget else None}
    return {"cell": cell, "made": made, "evaluation": {"macro_f1": {"value": right}}, "predictions": predictions}


def test_a_report_pairs_arms_and_strategies_and_corrects_for_their_number() -> None:
    results = [
        result_of("meta", 0.8),
        result_of("static", 0.6),
        result_of("fine_tuning", 0.5),
        result_of("only:ablation", 0.6),
        result_of("thresholds", 0.7),
    ]
    report = report_of(results)
    group = report["groups"]["d · local"]
    arms = ["static", "fine_tuning", "meta @ 100", "only:ablation @ 100", "thresholds @ 100"]
    assert [arm["arm"] for arm in group["arms"]] == arms
    against = {(one["arm"], one["against"]): one for one in group["comparisons"]}
    assert against["meta @ 100", "static"]["wins"]
    assert against["meta @ 100", "thresholds @ 100"]["gain"] == pytest.approx(0.1)
    assert against["meta @ 100", "fine_tuning"]["gain"] == pytest.approx(0.3)
    assert [(one["arm"], one["against"], one["loses"]) for one in group["strategies"]] == [
        ("only:ablation @ 100", "meta @ 100", True)
    ]
    assert report_of(results[::-1])["groups"]["d · local"]["comparisons"] == group["comparisons"]


@pytest.mark.parametrize("answered", [0, 9])
def test_an_arm_without_a_score_or_an_interval_is_shown_without(
    answered: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = [result_of("static", 0.6), result_of("fine_tuning", 0.5), result_of("thresholds", 0.7)]
    results[1]["cell"]["labels"] = results[2]["cell"]["labels"] = 50
    for number, result in enumerate(results):
        # A server that refuses all, or all but what one user said, which tells nothing about others.
        for place, one in enumerate(result["predictions"]):
            one |= {"group": "user" if place < answered else None}
            one |= {"refused": "too long"} if number != 1 and place >= answered else {}
    say(report_of(results))
    score = "1.000" if answered else "–"
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.lstrip().startswith("static")]
    assert [row[1:3] for row in rows] == [[score, "–"], [score, "(–)"]]
    page = MetaLearningVisualizer(tmp_path).create_dashboard(report_of(results), "report")
    assert page.stat().st_size > 1000


def test_the_command_runs_a_grid_and_says_what_it_found(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(json.dumps(GRID))
    asked = ["study", "run", str(tmp_path / "study.json"), "--data-folder", str(tmp_path)]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    assert "fine_tuning" in result.output
    assert "report.json" in result.output
    (tmp_path / "study.json").write_text('{"name": "x"}')
    refused = CliRunner().invoke(app, asked)
    assert refused.exit_code == 1
    assert "datasets: Field required" in refused.output


def test_progress_tells_each_new_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = Study(StudyConfig.read({**GRID, "seeds": [1, 2]}), tmp_path)
    with shown(*study.counts) as on_cell:
        study.run(OneProcess(), on_cell)
    assert capsys.readouterr().err.count("sentiment140 · fine_tuning · seed") == 2
    assert study.counts == (2, 2)


class Deaf:
    """Workers that give nothing back: the broker went away."""

    def run(self, cells: Iterable[GridCell], searches_folder: Path) -> Iterator[tuple[GridCell, dict[str, Any]]]:
        time.monotonic()
        yield from ()


def test_a_study_whose_workers_went_away_reports_what_there_is(tmp_path: Path) -> None:
    assert ExperimentRunner(folder=tmp_path).run_study(GRID, Deaf())["cells_count"] == 0


def test_cells_that_run_together_come_to_the_results_of_cells_one_after_the_other(tmp_path: Path) -> None:
    wrong = {"name": "unheard", "initial_prompt": "Judge."}
    cells = StudyConfig.read({**GRID, "seeds": [0, 1], "datasets": [*GRID["datasets"], wrong]}).cells()
    alone = {cell.id: result for cell, result in OneProcess().run(cells, tmp_path)}
    together = {cell.id: result for cell, result in OneProcess(3, lambda cell: True).run(cells, tmp_path)}
    assert together == alone
    assert sum("error" in result for result in together.values()) == 2


def test_a_model_can_be_read_as_text_though_it_ranks_labels() -> None:
    class Ranking(ScriptedLLM):
        def __init__(self) -> None:
            super().__init__(lambda request: "ranked" if request.labels else "positive, I think")
            self.capabilities = Capabilities(label_logprobs=True, concurrency_max=2)

    package, samples = Package("Judge.", {}), [{"input": "well", "expected": "positive"}]
    asker = PromptAsker(ReadAsText(Ranking()), ("negative", "positive"))
    assert [one.answer for one in asyncio.run(asker.predict(package, samples))] == ["positive"]
    named = StudyConfig.read({**GRID, "strategies": ["static"], "models": [{"label_logprobs": False}]}).cells()[0]
    assert named.label == "sentiment140 · local, as text · static · seed 0"


class Unknown(ScriptedLLM):
    """As the client of a server that drops the system's turn: it ranks labels for whoever asks."""

    def __init__(self) -> None:
        super().__init__(self._said, capabilities=Capabilities(extras={"label_logprobs": "ask"}))

    def _said(self, request: Request) -> Reply:
        heard = sum(len(one.text.split()) for one in request.messages if one.role != "system")
        ranked = {"negative": -2.0, "positive": -0.1} if request.labels else None
        return Reply("negative", "unknown", prompt_tokens=heard, completion_tokens=1, label_logprobs=ranked)


@pytest.mark.parametrize(("as_text", "answer"), [(False, "positive"), (True, "negative")])
def test_every_arm_is_asked_as_the_server_can_be_asked_whether_a_search_came_before_or_not(
    as_text: bool, answer: str
) -> None:
    llm, samples = Unknown(), [{"input": text, "expected": "positive"} for text in ("well", "fine")]
    asker = PromptAsker(ReadAsText(llm) if as_text else llm, ("negative", "positive"))
    said = asyncio.run(asker.predict(Package("Judge the text.", {}), samples))
    assert [one.answer for one in said] == [answer, answer]
    assert [one.messages for one in llm.requests[2:]] == [
        (Message("user", f"Judge the text.\n\n{text}"),) for text in ("well", "fine")
    ]
    assert {one.max_tokens for one in llm.requests[2:]} == {32 if as_text else 1}
    asyncio.run(asker.flip_rate(Package("Judge the text.", {}), samples, said))
    assert asker.calls_count == len(llm.requests) == 6, "two to look at the server, once"


def test_an_answer_costs_what_is_billed_for_a_prompt_out_of_the_cache() -> None:
    reply = Reply("yes", "gpt-5.4-mini", prompt_tokens=4000, completion_tokens=1, cache_read_tokens=3000)
    asker = PromptAsker(ScriptedLLM(lambda request: reply, provider="openai"), ("no", "yes"))
    [said] = asyncio.run(asker.predict(Package("Judge.", {}), [{"input": "well", "expected": "yes"}]))
    assert said.cost_usd == pytest.approx((1000 + 0.1 * 3000) * 0.75e-6 + 4.50e-6)


def test_the_packaged_model_is_asked_by_what_is_installed_and_the_cell_says_by_what() -> None:
    def static(**model: Any) -> str:
        said = {**GRID, "strategies": ["static"], "seeds": [0], "models": [model]}
        return StudyConfig.read(said).cells()[0].id

    batched = find_spec("torch") is not None and find_spec("transformers") is not None
    assert static(provider="packaged") == static(provider="transformers" if batched else "local")


def test_an_arm_is_known_again_when_settings_that_do_not_bear_on_it_change() -> None:
    def ids(**changed: Any) -> dict[str, str]:
        arms = ["static", "fine_tuning", "meta", "thresholds"]
        said = {**GRID, "strategies": arms, "seeds": [0], **changed}
        return {cell.strategy: cell.id for cell in StudyConfig.read(said).cells()}

    def other(**changed: Any) -> set[str]:
        return {arm for arm, name in ids(**changed).items() if name != ids()[arm]}

    assert other(sizes={**GRID["sizes"], "num_iterations": 3}) == {"meta", "thresholds"}
    assert other(search={"alpha": 0.2}) == {"meta", "thresholds"}
    assert other(sizes={**GRID["sizes"], "answer_tokens": 8}) == {"static", "meta", "thresholds"}
    assert other(sizes={**GRID["sizes"], "test_samples": 50}) == {"static", "fine_tuning", "meta", "thresholds"}
