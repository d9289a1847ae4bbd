"""What cannot be meant is refused with a sentence that names it, and nothing is lost or half done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from meta_learning.clrs import ClosedLoopSystem, LoopSettings
from meta_learning.clrs.models.port import Floats, Pair
from meta_learning.errors import CallerError, ConfigurationError, MalformedEvent, WorldError


def nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(depth):
        found = {"a": found}
    return found


@pytest.mark.parametrize(
    "metadata", [{"a": np.int64(1)}, {"a": b"x"}, {"a": object()}, "text", [1], nested(5000)], ids=lambda _: ""
)
def test_metadata_that_is_no_json_is_refused_and_the_loop_goes_on(metadata: Any) -> None:
    clrs = ClosedLoopSystem(cycle_size=10)
    with pytest.raises(MalformedEvent, match="metadata"):
        clrs.collect_feedback("a", "b", 1.0, metadata=metadata)
    assert clrs.get_system_summary()["counts"]["accepted"] == 0
    clrs.collect_feedback("a", "b", 1.0)
    assert clrs.get_system_summary()["counts"]["pending"] == 1


@pytest.mark.parametrize("candidates", ["yes", None, 5, [None], ["yes", 3]])
def test_candidates_that_are_no_list_of_texts_are_refused(candidates: Any) -> None:
    clrs = ClosedLoopSystem()
    with pytest.raises(CallerError):
        clrs.rank("a", candidates)
    with pytest.raises(CallerError):
        clrs.act("a", candidates)


@pytest.mark.parametrize("unit", ["", 5, "u" * 129])
def test_a_unit_that_feedback_could_not_carry_is_refused_before_it_is_shown(unit: Any) -> None:
    clrs = ClosedLoopSystem()
    with pytest.raises(CallerError, match="unit"):
        clrs.act("a", ["yes", "no"], unit=unit)
    with pytest.raises(CallerError, match="unit"):
        clrs.should_ask("a", "yes", unit=unit)
    choice = clrs.act("a", ["yes", "no"], unit="\U0001f600" * 128)
    clrs.collect_feedback(feedback_score=1.0, **choice.feedback)


@pytest.mark.parametrize("field", ["cycle_size", "probe_size", "replay_size", "window_cycles"])
def test_half_a_piece_of_feedback_is_no_setting(field: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{field} must be a whole number"):
        LoopSettings(**{field: 20.5})  # type: ignore[arg-type]


class Wordless:
    """A model of somebody's own that fails on what it did not see."""

    learnt = 0

    def predict(self, pairs: Sequence[Pair]) -> Floats:
        found = {"good": 0.9, "bad": 0.1}
        return np.array([found.get(asked, np.nan) for asked, _ in pairs])

    def learn(self, pairs: Sequence[Pair], targets: Floats, weights: Floats | None = None) -> None:
        self.learnt += 1

    def copy(self) -> Wordless:
        twin = Wordless()
        twin.learnt = self.learnt
        return twin

    def version(self) -> str:
        return f"wordless {self.learnt}"

    def dump(self) -> bytes:
        return self.version().encode()


def test_a_model_that_says_not_a_number_shows_nothing_and_leaves_the_budget_of_asking_as_it_was() -> None:
    clrs = ClosedLoopSystem(model=Wordless(), cycle_size=10)
    for number in range(40):
        clrs.collect_feedback(("bad", "good")[number % 2], "yes", float(number % 2))
    assert clrs.champion_version is not None
    clrs.should_ask("good", "yes")
    level = clrs.asker.level
    for ask in (clrs.score, clrs.should_ask):
        with pytest.raises(WorldError, match="finite"):
            ask("unseen", "yes")
    with pytest.raises(WorldError, match="finite"):
        clrs.act("unseen", ["yes", "no"])
    assert clrs.asker.level == level
    for number in range(10):
        record = clrs.collect_feedback("unseen", "yes", float(number % 2))
    assert record is not None
    assert record.decision == "rejected"
    assert clrs.get_system_summary()["counts"] == {
        "accepted": 50,
        "trained": 40,
        "capped": 0,
        "distrusted": 0,
        "unlearnt": 10,
        "pending": 0,
    }
