"""A frozen champion is asked the same questions, and the champion also perturbed ones: for the monitor to compare."""

from __future__ import annotations

import numpy as np
import pytest

from meta_learning.clrs import ClosedLoopSystem, LoopSettings
from meta_learning.clrs.perturbations import PERTURBATIONS
from meta_learning.events import CycleCompleted
from tests.core.clrs.streams import events, labelled


def records(settings: LoopSettings, count: int) -> tuple[ClosedLoopSystem, list[CycleCompleted]]:
    system = ClosedLoopSystem(settings=settings)
    told = [event for at, one in enumerate(events(labelled(count))) for event in system.fold(one, f"{at + 1}-0")]
    return system, [event for event in told if isinstance(event, CycleCompleted)]


def test_the_control_arm_is_a_former_champion_renewed_every_so_many_cycles() -> None:
    _, told = records(LoopSettings(cycle_size=25, probe_size=25, control_cycles=5), 600)
    arms = [record.control_version for record in told]
    known = [arm for arm in arms if arm is not None]
    grown = next(record for record in told if record.champion_version and not record.gate["before"]["young"])
    assert known[0] == grown.champion_version, "a young one would be no measure"
    assert len(set(known)) > 2
    assert max(known.count(arm) for arm in set(known)) == 5
    champions = {record.champion_version for record in told} | {None}
    assert set(arms) <= champions
    assert all(len(record.control_predictions or ()) == 25 for record in told if record.control_version)


def test_the_champion_answers_perturbed_probe_inputs_now_and_then() -> None:
    settings = LoopSettings(cycle_size=50, probe_size=100, perturb_cycles=4, perturb_size=20)
    _, told = records(settings, 600)
    asked = [record for record in told if record.probe_perturbed]
    assert [record.cycle for record in asked] == [4, 8, 12]
    assert all(set(record.probe_perturbed or {}) == set(PERTURBATIONS) for record in asked)
    assert all(len(answers) == 20 for record in asked for answers in (record.probe_perturbed or {}).values())


def test_the_perturbed_answers_are_those_of_the_champion_to_the_perturbed_inputs() -> None:
    settings = LoopSettings(cycle_size=50, probe_size=100, perturb_cycles=4, perturb_size=20)
    system, _ = records(settings, 399)
    champion, feedback = system.models.champion, events(labelled(400))
    assert champion is not None
    record = next(event for event in system.fold(feedback[399], "400-0") if isinstance(event, CycleCompleted))
    assert record.probe_perturbed is not None
    for name, change in PERTURBATIONS.items():
        pairs = [(change(text), answer) for text, answer in system._state.probe[:20]]
        assert np.allclose(record.probe_perturbed[name], champion.predict(pairs), atol=1e-6)


@pytest.mark.parametrize("name", sorted(PERTURBATIONS))
def test_every_perturbation_changes_ordinary_texts_only_a_little_and_always_in_the_same_way(name: str) -> None:
    change = PERTURBATIONS[name]
    texts = [text for text, _, _ in labelled(50)]
    assert [change(text) for text in texts] == [change(text) for text in texts]
    assert sum(change(text) != text for text in texts) >= 45
    assert all(abs(len(change(text)) - len(text)) <= 12 for text in texts)
    assert isinstance(change(""), str)
    assert isinstance(change("é🙂"), str)
