"""The public contract of a comparison: its keys, its honesty, and what it saves."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from meta_learning.datasets import Sentiment140Loader
from meta_learning.errors import MalformedDataset, NotFound
from meta_learning.experiments import ExperimentRunner
from meta_learning.llm import Request
from meta_learning.llm.scripted import ScriptedLLM
from meta_learning.utils import MetaLearningVisualizer

BAD = "Guess what the text is. Answer with one word: negative or positive."


def tasks(count: int) -> list[dict[str, Any]]:
    return [
        {"input": f"case number {n}", "expected": "positive" if n % 3 else "negative", "metadata": {}}
        for n in range(count)
    ]


def model() -> ScriptedLLM:
    """Right where the prompt mentions numbers, else it always says "positive"; it proposes to mention them."""

    def answer(request: Request) -> str:
        said = request.messages[0].text
        if request.purpose != "task":
            return "```\nLook at the number in the text.\n```"
        number = int(request.messages[-1].text.rsplit(" ", 1)[-1])
        return ("positive" if number % 3 else "negative") if "number" in said else "positive"

    return ScriptedLLM(answer)


async def compared(folder: Path, items: Sequence[Any], **more: Any) -> dict[str, Any]:
    runner = ExperimentRunner(llm_client=model(), folder=folder, gate_samples=60, test_samples=100)
    return await runner.run_comparison_study(
        dataset_name="numbers",
        dataset_loader=lambda n: items[:n],
        initial_prompt=BAD,
        num_iterations=3,
        sample_size=48,
        **more,
    )


async def test_a_better_prompt_wins_on_items_that_nobody_has_seen(tmp_path: Path) -> None:
    found = await compared(
        tmp_path, tasks(400), hand_written_prompt="Mind the number. Answer in one word.", fine_tuning=True
    )
    assert found["meta_prompting_wins"] is True
    assert found["win_margin"] > 0.2
    assert found["outcome"] == "improved"
    assert found["items"]["test"] == 100
    assert [one["against"] for one in found["comparisons"]] == ["static", "hand_written", "fine_tuning"]
    assert found["arms"]["meta_prompting"]["accuracy"]["value"] == 1.0
    assert len(found["meta_prompting_history"]) == len(found["baseline_history"])
    assert {"iteration", "score", "low", "high", "calls", "prompt_version"} <= set(found["baseline_history"][0])
    assert "Meta-prompting wins" in found["verdict"]


async def test_equal_prompts_do_not_win(tmp_path: Path) -> None:
    async def same(prompt: str, samples: Sequence[Any]) -> list[float]:
        return [float(len(sample["input"]) % 2) for sample in samples]

    found = await compared(tmp_path, tasks(400), evaluation_fn=same)
    assert found["meta_prompting_wins"] is False
    assert found["win_margin"] == 0.0


async def test_without_fresh_items_nothing_is_claimed(tmp_path: Path) -> None:
    found = await compared(tmp_path, tasks(60))
    assert found["outcome"] == "search_only"
    assert found["meta_prompting_wins"] is False
    assert "nothing is claimed" in found["verdict"]


async def test_a_function_that_gives_only_a_mean_proves_nothing(tmp_path: Path) -> None:
    async def one_mean(prompt: str, samples: Sequence[Any]) -> float:
        return 0.9 if "number" in prompt else 0.5

    found = await compared(tmp_path, tasks(400), evaluation_fn=one_mean)
    assert found["outcome"] == "search_only"
    assert found["meta_prompting_wins"] is False


async def test_test_items_are_never_searched_on_even_when_the_data_repeat_themselves(tmp_path: Path) -> None:
    llm = model()
    runner = ExperimentRunner(llm_client=llm, folder=tmp_path, gate_samples=30, test_samples=60, flip_samples=0)
    items = [{**one, "input": one["input"].upper()} if n % 2 else one for n, one in enumerate(tasks(100) * 4)]
    found = await runner.run_comparison_study("numbers", lambda n: items[:n], BAD, num_iterations=2, sample_size=40)
    manifest = json.loads((Path(found["folder"]) / "manifest.json").read_text())
    assert manifest["data"]["pool"]["rows"] + manifest["data"]["test"]["rows"] <= 100
    asked = [request.messages[-1].text.casefold() for request in llm.requests if request.purpose == "task"]
    assert len(set(asked)) <= manifest["data"]["pool"]["rows"] + manifest["data"]["test"]["rows"]


async def test_a_comparison_is_the_same_twice_and_is_saved_whole(tmp_path: Path) -> None:
    one, other = [await compared(tmp_path / name, tasks(300)) for name in ("one", "two")]
    for found in (one, other):
        for name in ("folder", "run_id"):
            found.pop(name)
    assert one == other
    saved = next((tmp_path / "one" / "experiments").glob("*/summary.json"))
    assert json.loads(saved.read_text())["win_margin"] == one["win_margin"]


async def test_a_comparison_can_be_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="figures are an extra")
    found = await compared(tmp_path, tasks(300))
    v = MetaLearningVisualizer(tmp_path)
    v.plot_comparison(
        meta_prompting_history=found["meta_prompting_history"],
        baseline_history=found["baseline_history"],
        save_name="c",
    )
    assert (
        html.escape(found["verdict"], quote=False)
        in v.create_dashboard(experiment_results=found, save_name="d").read_text()
    )


async def test_a_finished_comparison_is_not_paid_again(tmp_path: Path) -> None:
    items, llm = tasks(300), model()
    runner = ExperimentRunner(llm_client=llm, folder=tmp_path, gate_samples=60, test_samples=100)
    arguments: dict[str, Any] = {"num_iterations": 2, "sample_size": 48, "run_id": "again"}
    first = await runner.run_comparison_study("numbers", lambda n: items[:n], BAD, **arguments)
    paid = len(llm.requests)
    second = await runner.run_comparison_study("numbers", lambda n: items[:n], BAD, **arguments)
    searched = first["calls"]
    assert len(llm.requests) - paid <= paid - searched
    assert first == second


async def test_a_loader_object_works_as_well_and_an_empty_one_is_named(tmp_path: Path) -> None:
    runner = ExperimentRunner(llm_client=ScriptedLLM(lambda request: "positive"), folder=tmp_path, test_samples=40)
    found = await runner.run_comparison_study(
        "sentiment140", Sentiment140Loader(), BAD, num_iterations=0, sample_size=30
    )
    assert found["items"]["test"] >= 20
    with pytest.raises(MalformedDataset, match="no samples"):
        await runner.run_comparison_study("empty", lambda n: [], BAD, sample_size=30)
    with pytest.raises(NotFound, match="no data set 'unheard'"):
        await runner.run_comparison_study("unheard", None, BAD)
