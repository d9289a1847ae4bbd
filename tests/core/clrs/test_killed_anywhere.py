"""Everything that a loop remembers survives a kill at any event: trust, baking, control arm, reservoir, docket, alarms, patterns."""

from __future__ import annotations

import json

import numpy as np

from meta_learning.clrs import AlignmentScorer, ClosedLoopSystem, Exchange
from meta_learning.clrs.coherence.words import HashedPairs
from meta_learning.clrs.patterns.port import Reading
from meta_learning.clrs.patterns.segment_divergence import SegmentDivergence
from meta_learning.clrs.patterns.topic_words import BEFORE_MAX, TopicWords
from meta_learning.events import CycleCompleted, Event, FeedbackReceived, ModelPromoted, PromoteModel
from tests.core.clrs.lives import COMMANDED_AT, SETTINGS, small_model, stream


def lived(*, is_killed: bool) -> tuple[list[Event], list[str], bytes]:
    """What the loop told, its summary after each event, and its last state. ``is_killed``: after every single event."""
    system = ClosedLoopSystem(model=small_model(), settings=SETTINGS)
    told: list[Event] = []
    summaries, blobs, versions = [], dict[str, bytes](), dict[str, bytes]()
    for number, event in enumerate(stream()):
        steps: list[FeedbackReceived | PromoteModel] = [event]
        if number == COMMANDED_AT:
            first = next(iter(versions))
            steps.append(PromoteModel(event_id="p", occurred_at=event.occurred_at, loop="default", version=first))
        for place, step in enumerate(steps):
            said = system.fold(step, f"{number + 1}-{place}", versions.__getitem__)
            told += said
            versions |= {new.version: system.champion_blob() for new in said if isinstance(new, ModelPromoted)}
            if is_killed:
                saved = system.snapshot()
                blobs = {digest: (blobs | saved.blobs)[digest] for digest in system.blob_digests}
                system = ClosedLoopSystem.restore(saved.state, blobs.__getitem__, settings=SETTINGS)
        summaries.append(json.dumps(system.get_system_summary(), sort_keys=True))
    return told, summaries, system.snapshot().state


def test_a_loop_killed_after_every_event_says_shows_and_saves_what_an_unbroken_one_does() -> None:
    told, summaries, state = lived(is_killed=False)
    again, seen, saved = lived(is_killed=True)
    assert [event.encode() for event in again] == [event.encode() for event in told]
    assert seen == summaries
    assert saved == state
    cycles = [event for event in told if isinstance(event, CycleCompleted)]
    assert {event.cause for event in told if isinstance(event, ModelPromoted)} == {"gate", "rollback", "operator"}
    assert sum(cycle.distrusted_count for cycle in cycles) > 0
    assert any(cycle.control_predictions and cycle.shadow_predictions and cycle.learner_predictions for cycle in cycles)
    assert json.loads(summaries[-1])["alarms"]


def test_words_that_fade_are_counted_alike_after_every_restart() -> None:
    draws = np.random.default_rng(5)
    whole, cut = TopicWords(), TopicWords()
    for _ in range(int(BEFORE_MAX / 100) + 15):
        texts = [f"w{draws.integers(40)} w{draws.integers(40)}" for _ in range(100)]
        hashed = HashedPairs.of([(text, "ok") for text in texts])
        whole.update(hashed)
        cut.update(hashed)
        state = json.loads(json.dumps(cut.state(), sort_keys=True))
        cut = TopicWords()
        cut.restore(state)
    assert cut.state() == whole.state()
    assert np.array_equal(cut._before, whole._before)


def test_of_two_equally_served_segments_the_same_is_called_worst_after_a_restart() -> None:
    scores = np.tile([0.0, 0.0, 1.0, 1.0], 50)
    scorer = AlignmentScorer()
    scorer.update(scores, scores, [Exchange("a", "b", segment=("zz", "aa")[n % 2]) for n in range(200)])
    again = AlignmentScorer.from_state(json.loads(json.dumps(scorer.state(), sort_keys=True)))
    assert again.result() == scorer.result()
    assert scorer.result()["worst_segment"]["segment"] == "aa"


def test_segments_are_summed_in_one_order_before_and_after_a_restart() -> None:
    draws = np.random.default_rng(2)
    names = ["zz", "mm", "aa", "kk"]
    whole, cut = SegmentDivergence(), SegmentDivergence()
    for cycle in range(1, 16):
        scores, size = draws.random(200), 200
        hurt = np.array([names[n % 4] == "mm" and cycle > 8 for n in range(size)])
        reading = Reading(
            cycle=cycle,
            exchanges=[Exchange("a", "b", segment=names[n % 4]) for n in range(size)],
            scores=scores,
            hashed=HashedPairs.of([]),
            topics=TopicWords(),
            predictions=np.clip(np.where(hurt, 1.0 - scores, scores + 0.1 * draws.normal(size=size)), 0.0, 1.0),
        )
        expected = whole.update(reading)
        assert cut.update(reading) == expected
        state = json.loads(json.dumps(cut.state(), sort_keys=True))
        cut = SegmentDivergence()
        cut.restore(state)
    assert expected is not None, "the planted segment must be found, or nothing was compared"
