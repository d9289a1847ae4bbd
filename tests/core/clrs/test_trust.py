"""Who keeps contradicting what was learnt from all others does not teach; nobody else pays for it."""

from __future__ import annotations

import numpy as np
import pytest

from meta_learning.clrs import ClosedLoopSystem, LoopSettings
from meta_learning.clrs.gating.trust import TrustBook
from meta_learning.errors import MalformedState
from tests.core.clrs.streams import events, labelled

USERS = [f"u{number}" for number in range(20)]


def cycles_of(book: TrustBook, right: dict[str, float], cycles: int, seed: int = 0) -> list[set[str]]:
    """Cycles of 100 predictions that are right as often as ``right`` says for each user; 0.75 for the rest."""
    draws, told = np.random.default_rng([9, seed]), []
    for _ in range(cycles):
        users = [str(user) for user in draws.choice(USERS, 100)]
        scores = draws.integers(2, size=100).astype(float)
        agrees = draws.random(100) < np.array([right.get(user, 0.75) for user in users])
        told.append(book.observe(users, np.where(agrees == (scores == 1.0), 0.8, 0.2), scores, 0.5))
    return told


def test_users_who_contradict_the_model_are_found_and_the_others_are_not() -> None:
    told = cycles_of(TrustBook(), {"u0": 0.25, "u1": 0.25}, 30)
    assert told[-1] == {"u0", "u1"}
    honest = [user for cycle in told for user in cycle - {"u0", "u1"}]
    assert len(honest) <= 0.01 * 30 * 18


def test_without_an_attack_hardly_anybody_is_distrusted() -> None:
    told = cycles_of(TrustBook(), {}, 60)
    assert sum(len(cycle) for cycle in told) <= 0.01 * 60 * 20


def test_somebody_who_behaves_first_and_turns_later_is_found_and_may_come_back() -> None:
    book = TrustBook()
    assert "u0" not in cycles_of(book, {}, 40)[-1]
    turned = cycles_of(book, {"u0": 0.2}, 30, seed=1)
    assert "u0" in turned[-1]
    assert "u0" not in cycles_of(book, {}, 60, seed=2)[-1]


def test_when_the_world_turns_for_everybody_nobody_is_distrusted() -> None:
    book = TrustBook()
    cycles_of(book, {}, 30)
    told = cycles_of(book, dict.fromkeys(USERS, 0.25), 20, seed=1)
    assert sum(len(cycle) for cycle in told) <= 0.02 * 20 * 20


def test_contradicting_a_model_that_knows_nothing_yet_is_no_sign_of_malice() -> None:
    book, users = TrustBook(), USERS * 5
    for _ in range(20):
        scores = np.array([float(user != "u0") for user in users])
        assert book.observe(users, np.full(100, 0.502), scores, 0.5) == set()


def test_few_users_cannot_outvote_each_other() -> None:
    book = TrustBook()
    for _ in range(20):
        users = ["ann", "bob", "cid"] * 10
        out = book.observe(users, np.full(30, 0.9), np.array([0.0, 1.0, 1.0] * 10), 0.5)
        assert out == set()


def test_memory_is_bounded_and_forgets_whom_it_heard_least_recently() -> None:
    book = TrustBook(users_max=3)
    for name in "abcdea":
        book.observe([name], np.array([0.9]), np.array([1.0]), 0.5)
    assert len(book) == 3
    again = TrustBook(users_max=3).load(book.dump())
    assert again.dump() == book.dump()
    with pytest.raises(MalformedState):
        TrustBook().load(b"[1]")


def test_a_liar_in_the_loop_is_left_out_and_the_sums_close() -> None:
    rows, lies = labelled(700), labelled(700, flipped=True)
    system = ClosedLoopSystem(settings=LoopSettings(cycle_size=50, probe_size=50))
    draws = np.random.default_rng(4)
    for at, event in enumerate(events(rows)):
        user = str(draws.choice(USERS))
        score = lies[at][2] if user in {"u0", "u1"} else event.feedback_score
        system.fold(event.model_copy(update={"user_id": user, "feedback_score": score}), f"{at + 1}-0")
        counts = system.get_system_summary()["counts"] if at % 31 == 0 else {}
        assert counts.get("accepted", 0) == sum(
            counts.get(part, 0) for part in ("trained", "capped", "distrusted", "unlearnt", "pending")
        )
    assert 15 <= system.get_system_summary()["counts"]["distrusted"] <= 90


def test_the_same_exchange_said_twice_by_one_user_in_a_cycle_counts_once() -> None:
    system = ClosedLoopSystem(settings=LoopSettings(cycle_size=20, probe_size=10, user_share_max=1.0))
    for at, event in enumerate(events([("same", "yes", 1.0)] * 10 + labelled(10))):
        system.fold(event.model_copy(update={"user_id": "ann"}), f"{at + 1}-0")
    counts = system.get_system_summary()["counts"]
    assert (counts["capped"], counts["trained"]) == (9, 11)
