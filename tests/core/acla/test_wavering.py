"""A model that gives another answer to the same question is found out, and nothing more is claimed for that."""

from __future__ import annotations

import random
from typing import Any

from meta_learning.acla import AdaptiveCurriculumAgent
from meta_learning.acla.gate import PairedScores, decide
from meta_learning.acla.planning import GatePlan
from meta_learning.acla.wavering import Wavering
from meta_learning.llm import Capabilities, Reply, Request
from meta_learning.llm.scripted import ScriptedLLM
from tests.core.acla.simulated import LABELS, chance, config, expected_of, model, samples, with_examples


def wavering_model(share: float) -> ScriptedLLM:
    """Answers a share of what it is asked again otherwise."""
    llm = model(with_examples)
    answer = llm.answer

    def wavers(request: Request) -> Any:
        said = answer(request)
        if request.sample and request.purpose == "probe" and chance("waver", request.messages[-1].text) < share:
            return LABELS[1 - LABELS.index(str(said))]
        return said

    llm.answer = wavers
    return llm


async def run(llm: ScriptedLLM, **changes: Any) -> dict[str, Any]:
    settings = {"max_iterations": 2, "calls_max": 600, "gate_samples": 60} | changes
    return await AdaptiveCurriculumAgent(config(**settings), llm).run_curriculum(samples, num_samples=60)


async def test_what_wavers_is_asked_again_counted_and_said() -> None:
    results = await run(wavering_model(0.4))
    found, planned = results["wavering"], results["plan"]
    assert found["items"] == 12  # a fiftieth of 600 calls
    assert 2 <= found["flips"] <= 8
    assert found["power_for_5_points"] < planned["power_for_5_points"]
    assert found["detectable_gain"] > planned["detectable_gain"]
    assert results["spent"]["purposes"]["probe"]["calls"] == 12
    assert any("asked again" in one["decision"] for one in results["decisions"])


async def test_a_steady_model_changes_nothing_of_what_was_planned() -> None:
    results = await run(model(with_examples))
    assert results["wavering"]["flips"] == 0
    assert results["wavering"]["power_for_5_points"] == results["plan"]["power_for_5_points"]
    assert not any("asked again" in one["decision"] for one in results["decisions"])


async def test_who_does_not_want_to_know_or_has_few_calls_pays_nothing_for_it() -> None:
    for changes in ({"probe_items": 0}, {"calls_max": 150, "gate_samples": 20}):
        results = await run(model(with_examples), **changes)
        assert results["wavering"] is None
        assert "probe" not in results["spent"]["purposes"]


async def test_an_unknown_server_is_looked_at_by_one_call_or_not_at_all() -> None:
    for probe_items, calls in ((20, 1 + 12), (0, 0)):
        llm = model(with_examples)
        llm.capabilities = Capabilities(temperature=True, extras={"label_logprobs": "ask"})
        results = await run(llm, probe_items=probe_items)
        assert (results["endpoint"] is not None) is bool(probe_items)
        assert results["spent"]["purposes"].get("probe", {"calls": 0})["calls"] == calls


def test_the_gate_claims_no_more_of_a_useless_prompt_however_much_the_model_wavers() -> None:
    """Why the interval needs nothing added: each pair is asked once, so that what wavers is in its spread."""
    claims, covered, runs = 0, 0, 300
    for number in range(runs):
        rng = random.Random(number)
        truths = [rng.random() < 0.6 for _ in range(100)]

        def asked(truths: list[bool] = truths, rng: random.Random = rng) -> list[float]:
            return [float(right != (rng.random() < 0.15)) for right in truths]

        report = decide([PairedScores("same", asked(), asked())], alpha=0.1, seed=number)
        claims += report.winner is not None
        covered += report.finalists[0].low <= 0.0 <= report.finalists[0].high
    assert claims <= 0.1 * runs
    assert covered >= 0.92 * runs


def test_the_power_falls_as_the_model_wavers() -> None:
    plan = GatePlan(200, 1)
    told = [Wavering(20, flips).report(plan, 0.1)["power_for_5_points"] for flips in (0, 2, 6)]
    assert told == sorted(told, reverse=True)
    assert told[0] > told[2] + 0.1


async def test_weights_on_labels_are_no_wavering() -> None:
    def answer(request: Request) -> str | Reply:
        if request.purpose == "proposer":
            return ""
        text = request.messages[-1].text
        looks_low = (expected_of(text) == "low") == (chance("clear", text) < 0.7)
        logprobs = {"high": -0.1, "low": -1.0} if looks_low else {"high": -0.05, "low": -3.0}
        return Reply("high", model="scripted", label_logprobs=logprobs)

    steady = ScriptedLLM(answer, capabilities=Capabilities(temperature=True, label_logprobs=True))
    results = await run(steady, max_iterations=1, initial_calibrated=True)
    assert results["wavering"]["items"] == 12
    assert results["wavering"]["flips"] == 0
