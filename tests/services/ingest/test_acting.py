"""The rank door explores with known probabilities, says what to ask about, and its answer goes back with the feedback."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from meta_learning.client import FeedbackClient
from meta_learning.clrs.acting import EpsilonGreedy, Policy, SquareCB, shown_of, weight_of
from meta_learning.errors import ConfigurationError
from meta_learning.events import METADATA_BYTES_MAX, FeedbackReceived
from meta_learning.serving.settings import read_settings
from meta_learning.streams.memory import MemoryLog
from meta_learning.streams.memory_broker import MemoryBroker
from services.ingest.__main__ import IngestSettings
from tests.services.ingest.serving import door, good, plan
from tests.services.ingest.test_reading import ASKED, promote


def served_word(policy: Policy, **changes: object):  # type: ignore[no-untyped-def]
    """A door whose model prefers "yes yes", acting by ``policy``."""
    fake = MemoryBroker()
    opened = door(MemoryLog(2, broker=fake), plan(exploration=policy, **changes))
    return fake, opened


def test_first_places_are_drawn_as_often_as_the_propensities_say() -> None:
    fake, opened = served_word(EpsilonGreedy(0.6))
    with opened as served, FeedbackClient(served.url) as client:
        asyncio.run(promote(MemoryLog(2, broker=fake), served, "model", "v1", b"yes"))
        rankings = [client.rank("support", "Where is my parcel?", ["no", "yes yes", "yes"]) for _ in range(300)]
        choices = "meta_learning_ingest_choices_total"
        explored = served.metric(f'{choices}{{asked="yes",shown="explored"}}')
    first = [ranking.candidates[0] for ranking in rankings]
    assert np.bincount([candidate.index for candidate in first], minlength=3) / 300 == pytest.approx(
        [0.2, 0.6, 0.2], abs=0.1
    )
    assert {(c.text, round(r.propensity, 9)) for c, r in zip(first, rankings, strict=True)} == {
        ("no", 0.2),
        ("yes yes", 0.6),
        ("yes", 0.2),
    }
    for ranking in rankings:
        rest = [candidate.score or 0.0 for candidate in ranking.candidates[1:]]
        assert rest == sorted(rest, reverse=True)
    assert explored == sum(candidate.text != "yes yes" for candidate in first)


def test_a_unit_keeps_its_answer_and_a_request_may_refuse_to_explore() -> None:
    fake, opened = served_word(SquareCB(0.0))
    with opened as served, FeedbackClient(served.url) as client:
        asyncio.run(promote(MemoryLog(2, broker=fake), served, "model", "v1", b"yes"))
        for unit in ("u1", "u2", "u3"):
            assert (
                len({client.rank("support", "Hi", ["no", "yes"], unit=unit).candidates[0].text for _ in range(5)}) == 1
            )
        by_unit = {client.rank("support", "Hi", ["no", "yes"], unit=f"u{n}").candidates[0].text for n in range(30)}
        sure = [client.rank("support", "Hi", ["no", "yes"], explore=False) for _ in range(20)]
    assert by_unit == {"no", "yes"}
    assert {(ranking.candidates[0].text, ranking.propensity) for ranking in sure} == {("yes", 1.0)}


def test_before_there_is_a_model_all_candidates_are_alike() -> None:
    _, opened = served_word(SquareCB())
    with opened as served, FeedbackClient(served.url) as client:
        client.send(**good())
        rankings = [client.rank("support", "Hi", ["a", "b"]) for _ in range(40)]
    assert {(ranking.candidates[0].text, ranking.propensity) for ranking in rankings} == {("a", 0.5), ("b", 0.5)}
    assert {candidate.score for ranking in rankings for candidate in ranking.candidates} == {None}


def test_what_the_door_said_goes_back_with_the_feedback() -> None:
    fake, opened = served_word(EpsilonGreedy(0.5), asks_per_100=50.0)
    with opened as served, FeedbackClient(served.url) as client:
        asyncio.run(promote(MemoryLog(2, broker=fake), served, "model", "v1", b"yes"))
        rankings = [client.rank("support", "Hi", ASKED["candidates"]) for _ in range(200)]
        ranking = next(ranking for ranking in rankings if ranking.ask)
        sent = client.send(**ranking.judged(1.0, user_id="u7", metadata={"source": "user"}))
    assert sent.outcome == "accepted"
    assert 0.2 < np.mean([ranking.ask for ranking in rankings]) < 0.65
    event = FeedbackReceived.model_validate(
        {"event_id": "a", "occurred_at": "2026-01-02T03:04:05Z"} | ranking.judged(1.0, metadata={"source": "user"})
    )
    assert event.metadata["source"] == "user"
    shown = shown_of(event)
    assert (shown.candidates, shown.asked) == (tuple(ASKED["candidates"]), True)
    assert weight_of(event, 1e9) == pytest.approx(1.0 / (ranking.propensity * ranking.ask_propensity))


def test_an_applications_own_metadata_crowds_out_the_candidates_but_not_the_propensities() -> None:
    _, opened = served_word(SquareCB())
    with opened as served, FeedbackClient(served.url) as client:
        client.send(**good())
        ranking = client.rank("support", "Hi", ["x" * 700, "y" * 700])
        own = {"note": "n" * (METADATA_BYTES_MAX - 500)}
        fields = ranking.judged(0.5, metadata=own)
        assert client.send(**fields).outcome == "accepted"
    assert set(fields["metadata"]["acting"]) == {"unit", "asked", "ask_propensity"}


def test_a_wrong_exploration_stops_the_start_and_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("META_LEARNING_EXPLORATION", "dice")
    with pytest.raises(ConfigurationError, match="META_LEARNING_EXPLORATION: exploration is greedy"):
        read_settings(IngestSettings)
