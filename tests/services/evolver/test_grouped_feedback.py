"""What a run learns from its loop's feedback knows whose it is, when the request asks for that."""

from __future__ import annotations

from pathlib import Path

from meta_learning.acla.request import EvolutionSettings
from meta_learning.events import FeedbackReceived, parse_time
from meta_learning.streams.memory import MemoryLog
from services.evolver.samples import dataset_of


async def test_feedback_of_a_loop_is_kept_together_by_user(tmp_path: Path) -> None:
    asked = EvolutionSettings.read({"group": "user"})
    log = MemoryLog(partitions_count=2)
    await log.start()
    time = parse_time("2026-01-02T03:04:05Z")
    said = [
        FeedbackReceived(
            event_id=f"e{n}", occurred_at=time, loop="support", input_text=f"q{n}", output_text="yes", feedback_score=1.0,
            user_id=f"u{n % 2}",
        )
        for n in range(4)
    ]  # fmt: skip
    await log.append(said)
    loader = await dataset_of(asked.dataset, "support", log, tmp_path, asked.group)
    assert {(one["input"], one["group"]) for one in loader.get_samples(4)} == {
        ("q0", "u0"),
        ("q1", "u1"),
        ("q2", "u0"),
        ("q3", "u1"),
    }
    plain = await dataset_of(asked.dataset, "support", log, tmp_path, EvolutionSettings.read({}).group)
    assert all("group" not in one for one in plain.get_samples(4))
    await log.close()
