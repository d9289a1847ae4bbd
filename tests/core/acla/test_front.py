"""What a better score costs: who is on the front, what a floor may take, and what the bound of a gain says."""

from __future__ import annotations

from typing import Any

import pytest

from meta_learning.acla import AdaptiveCurriculumAgent
from meta_learning.acla.floor import with_floor
from meta_learning.acla.front import Offer, front
from meta_learning.acla.gate import PairedScores, decide
from meta_learning.acla.offered import Certain
from meta_learning.acla.prompt import Prompt
from meta_learning.acla.reporting import markdown, offers
from meta_learning.errors import CallerError
from tests.core.acla.simulated import SEED_PROMPT, config, model, nothing_helps, samples, with_examples


def versions(*offered: Offer) -> list[str]:
    return [one.version for one in front(offered)]


def test_a_dearer_prompt_that_is_not_credibly_better_is_not_on_the_front() -> None:
    seed = Offer("seed", 0.825, 0.0, 47, 0.10)
    assert versions(seed, Offer("dear", 0.825, 0.048, 146, 0.12)) == ["seed"]
    assert versions(seed, Offer("lucky", 0.86, 0.048, 146, 0.12)) == ["seed"]
    # A few milliseconds less are the server's, not the prompt's.
    assert versions(seed, Offer("lucky", 0.86, 0.048, 146, 0.09)) == ["seed"]
    assert versions(seed, Offer("better", 0.91, 0.04, 146, 0.12)) == ["seed", "better"]


def test_who_costs_less_stays_however_little_it_is_behind() -> None:
    assert versions(Offer("seed", 0.8, 0.0, 90), Offer("short", 0.5, 0.02, 40)) == ["short", "seed"]
    quick, slow = Offer("quick", 0.8, 0.02, 95, 0.1), Offer("slow", 0.8, 0.0, 90, 1.0)
    assert versions(slow, quick) == ["slow", "quick"]
    assert versions(Offer("one", 0.8, 0.0, 90), Offer("other", 0.79, 0.02, 90)) == ["one", "other"]
    assert versions(Offer("one", 0.8, 0.0, 90), Offer("worse", 0.6, 0.02, 90)) == ["one"]
    paid = [Offer("a", 0.8, 0.01, 50, 0.0, 0.002), Offer("b", 0.8, 0.01, 60, 0.0, 0.001)]
    assert versions(*paid) == ["a", "b"]


def test_a_prompt_that_is_not_on_the_front_itself_keeps_nobody_off_it() -> None:
    cheap, middle, dear = Offer("cheap", 0.7, 0.03, 50), Offer("middle", 0.74, 0.03, 60), Offer("dear", 0.78, 0.03, 70)
    assert versions(cheap, middle, dear) == ["cheap", "dear"]


def test_the_bound_of_a_gain_says_what_its_test_says() -> None:
    def judged(wins: int, losses: int, of: int, others: int = 0) -> Any:
        tied = of - wins - losses
        pair = PairedScores("a", [1.0] * wins + [0.0] * (of - wins), [0.0] * wins + [1.0] * losses + [0.0] * tied)
        useless = [PairedScores(f"u{n}", [1.0, 0.0] * 10, [0.0, 1.0] * 10) for n in range(others)]
        return decide([pair, *useless], 0.1, 0).finalists[0]

    for wins in range(12):
        for losses in range(6):
            one = judged(wins, losses, 40)
            assert (one.at_least > 0.0) == (one.p_adjusted < 0.1)
    # A two-sided 95 % interval may touch 0 where a one-sided test of .1 is passed.
    close = judged(4, 0, 20)
    assert close.low == pytest.approx(0.05, abs=0.05)
    assert close.low < close.at_least < close.gain
    alone, among_three = judged(10, 1, 40), judged(10, 1, 40, others=2)
    assert among_three.at_least < alone.at_least


async def found(accuracy: Any, **settings: Any) -> dict[str, Any]:
    agent = AdaptiveCurriculumAgent(config(calls_max=900, gate_samples=150, **settings), model(accuracy))
    return await agent.run_curriculum(samples, num_samples=120)


async def test_a_floor_takes_the_cheapest_that_is_surely_there_of_what_may_be_taken() -> None:
    results = await found(with_examples)
    assert results["outcome"] == "improved"
    rows = {row["version"]: row for row in results["front"]}
    seed, winner = rows[Prompt.parse(SEED_PROMPT).version], rows[results["best_version"]]
    assert [seed["standing"], winner["standing"]] == ["in use", "proven"]
    assert seed["tokens"] < winner["tokens"]
    assert winner["decided_low"] < winner["decided_score"] == results["judged"]["score"]
    assert results["front"][0]["tokens"] == min(row["tokens"] for row in results["front"])

    low = with_floor(results, seed["decided_low"])
    assert low["best_prompt"] == SEED_PROMPT
    assert low["best_version"] == seed["version"] == low["pick"]["version"]
    assert f"{winner['version']}, which is better beyond chance, is not taken" in low["pick"]["reason"]
    assert low["price"]["tokens"] == seed["tokens"]
    high = with_floor(results, winner["decided_low"])
    assert high["best_prompt"] == results["best_prompt"]
    beyond = with_floor(results, 1.0)
    assert beyond["best_prompt"] == results["best_prompt"]
    assert "the floor changes nothing" in beyond["pick"]["reason"]


async def test_a_floor_never_takes_what_is_not_proven() -> None:
    results = await found(nothing_helps)
    assert results["outcome"] == "no_evidence"
    tempting = [row for row in results["front"] if row["standing"] == "not proven"]
    for floor in (0.0, 0.3, 0.5, 0.6, 0.7, 0.9):
        picked = with_floor(results, floor)
        assert picked["best_prompt"] == SEED_PROMPT
        assert picked["pick"]["version"] == results["best_version"]
    lucky = [row | {"low": 0.99} if row in tempting else row for row in results["front"]]
    said = with_floor(results | {"front": lucky}, 0.98)["pick"]
    assert said["version"] == results["best_version"]
    assert all(row["version"] in said["reason"] for row in tempting)


async def test_without_a_decision_a_floor_can_only_take_what_is_in_use() -> None:
    agent = AdaptiveCurriculumAgent(config(gate_samples=0), model(with_examples))
    results = await agent.run_curriculum(samples, num_samples=60)
    assert results["outcome"] == "search_only"
    picked = with_floor(results, 0.1)
    assert picked["best_prompt"] == SEED_PROMPT != results["best_prompt"]
    assert "which nothing has proven, is not taken" in picked["pick"]["reason"]
    beyond = with_floor(results, 0.9)
    assert beyond["best_prompt"] == results["best_prompt"]
    assert "nothing that may be taken is surely at 0.9" in beyond["pick"]["reason"]


async def test_a_prompt_without_headroom_is_at_a_floor_by_the_items_of_the_search() -> None:
    results = await found(lambda prompt: 1.0)
    assert results["outcome"] == "no_headroom"
    picked = with_floor(results, 0.9)["pick"]
    assert picked["version"] == results["best_version"]
    assert "is the cheapest that is surely at 0.9: 1.000" in picked["reason"]


async def test_the_page_shows_what_a_better_score_costs() -> None:
    results = await found(with_examples)
    page = markdown(with_floor(results, 0.3), SEED_PROMPT, {})
    assert "## What a better score costs" in page
    assert "By your floor: " in page
    head, rows = offers(results)
    assert head[1].endswith("80 % interval")
    assert [row[-1] for row in rows if row[0] == results["best_version"]] == ["proven, taken"]
    assert "in use" in [row[-1] for row in rows]
    assert "at least, at the test's level" in page


async def test_the_gain_is_said_with_the_scores_that_it_is_between_and_all_who_were_judged_are_shown() -> None:
    results = await found(with_examples)
    judged = results["judged"]
    between = f"points ({judged['seed_score']:.2f} → {judged['score']:.2f}) on {judged['pairs_count']} fresh items (95 % interval"
    assert between in results["reason"]
    assert "price of its tokens" not in results["reason"]
    nothing = await found(nothing_helps)
    rows = {row["version"]: row for row in nothing["front"]}
    for one in nothing["gate"]["finalists"]:
        assert rows[one["version"]]["standing"] == "not proven"
        assert rows[one["version"]]["decided_items"] == one["pairs_count"]
        assert rows[one["version"]]["search_items"] > 0


async def test_where_tokens_have_a_price_the_gain_is_said_to_be_after_it() -> None:
    results = await found(with_examples, tokens_price=5.0)
    judged = results["judged"]
    before = 100 * (judged["score"] - judged["seed_score"])
    cost = before - 100 * judged["gain"]
    assert cost > 0.1
    said = f"{100 * judged['gain']:+.1f} points after the price of its tokens ({before:+.1f} − {cost:.1f})"
    assert said in results["reason"]


async def test_prompts_that_vote_are_offered_with_the_price_of_all_of_them() -> None:
    voters = [{"prompt": f"{SEED_PROMPT} Mind the {word}.", "calibrated": False} for word in ("digits", "sign")]
    results = await found(nothing_helps, initial_voters=voters)
    row = next(one for one in results["front"] if one["standing"] == "in use")
    assert row["version"].count("+") == 2
    assert row["score"] is None
    assert row["decided_score"] == results["judged"]["seed_score"]
    assert len(results["takeable"][row["version"]]) == 3


async def test_what_an_earlier_version_found_is_still_shown() -> None:
    results = await found(with_examples)
    kept = ("version", "score", "score_sd", "tokens", "latency_s", "price_usd")
    earlier = {name: value for name, value in results.items() if name not in ("takeable", "level")}
    earlier["front"] = [{name: row[name] for name in kept} for row in results["front"]]
    for one in earlier["gate"]["finalists"]:
        del one["at_least"]
    page = markdown(earlier, SEED_PROMPT, {})
    assert "## The decision" in page
    assert "What a better score costs" not in page
    with pytest.raises(CallerError, match="leave --floor out"):
        with_floor(earlier, 0.5)


def test_the_intervals_are_as_sure_as_the_decision_and_take_the_items_of_a_group_as_one() -> None:
    alone, grouped, strict = Certain(0.1), Certain(0.1, 0.25), Certain(0.01)
    low, high = alone.of_share(0.8, 100)
    assert low < 0.8 < high
    assert grouped.of_share(0.8, 100) == alone.of_share(0.8, 25)
    assert grouped.of_share(0.8, 100)[0] < low
    assert strict.of_share(0.8, 100)[0] < low
