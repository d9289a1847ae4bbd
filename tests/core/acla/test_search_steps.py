"""The steps of a search: who is the parent, what ends it or starts it again, what a turn costs, what is refused unasked."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.acla import worlds
from benchmarks.acla.worlds import World
from meta_learning.acla import AdaptiveCurriculumAgent, CurriculumConfig, Prompt
from meta_learning.acla.asking import Asking
from meta_learning.acla.outcomes import Answer, Candidate
from meta_learning.acla.prompt_evolver import ModelProposer, PromptEvolver
from meta_learning.acla.racing.ladder import Standing
from meta_learning.acla.racing.race import Race
from meta_learning.acla.racing.shrinkage import Gain
from meta_learning.acla.search import Search, Tools
from meta_learning.acla.splits import Item, read_items
from meta_learning.acla.store import MemoryRunStore, RunLog
from meta_learning.acla.strategies import Answered, Proposal, Proposer, Situation, by_name
from meta_learning.acla.strategies.few_shot_optimization import COUNTS
from meta_learning.errors import ConfigurationError
from meta_learning.llm.scripted import ScriptedLLM
from tests.core.acla.simulated import SEED_PROMPT, config, model, nothing_helps, samples, with_examples

SEED = Candidate(Prompt.parse("You are a judge. Say what it is. Answer with one word."))
ITEMS = read_items([{"input": f"a text of some length, {n}", "expected": ("no", "yes")[n % 2]} for n in range(60)])


def asking() -> Asking:
    return Asking(ScriptedLLM(lambda request: "yes"), RunLog(MemoryRunStore(), "r", "scripted"), None, lambda: False)


class Judged:
    """Every prompt is right on every other item; an answer of a prompt takes as many tokens as its name says."""

    async def answers(self, prompt: Prompt, items: Sequence[Item]) -> list[Answer]:
        tokens = 40 if "dear" in prompt.render() else 4
        return [Answer(score=float(int(item.input.split()[-1]) % 2), tokens=tokens) for item in items]


def searching(**settings: Any) -> Search:
    wanted = CurriculumConfig(SEED.prompt.render(), "made", **settings)
    asks = asking()
    evolver = PromptEvolver(wanted, ModelProposer(asks, wanted), ITEMS)
    search = Search(Tools(wanted, Judged(), asks, evolver, lambda: False), (SEED,), ITEMS, ("no", "yes"), 0)
    for name in search.bandit.promises({}):
        search.bandit.paid(name, 3, 30)
    return search


async def tire(search: Search) -> None:
    """Make nothing new likely: turns in which nobody finds anything."""
    for iteration in range(1, 12):
        await search.iterate(iteration)


async def test_a_candidate_that_may_still_beat_the_leader_keeps_a_search_from_ending() -> None:
    search = searching(evolution_strategies=["ablation"])
    await tire(search)
    live = Standing(Candidate(Prompt.parse("Another.")), 1, Gain(0.1, 0.05, 0.1, 16), Gain(0.06, 0.05, 0.06, 16))
    search.race.ladder.stand(live)
    assert not await search.should_stop(12)
    assert not search.tracker.decisions or search.tracker.decisions[-1]["decision"] != "the search starts again"
    search.race.ladder.stand(replace(live, over_best=Gain(-0.1, 0.02, -0.1, 16)))
    assert not await search.should_stop(13)
    assert search.tracker.decisions[-1]["decision"] == "the search starts again"


async def test_a_restart_enters_the_bare_task_and_its_children_come_next() -> None:
    search = searching(evolution_strategies=["chain_of_thought"])
    await tire(search)
    assert not await search.should_stop(12)
    [bare] = [one.candidate for one in search.race.entrants.values() if one.candidate.strategy == "restart"]
    assert bare.prompt.role == ""
    assert bare.prompt.task == SEED.prompt.task
    assert search.best.version != bare.version
    await search.iterate(13)
    assert search.tracker.decisions[-1]["decision"] == f"chain_of_thought on {bare.version}"


async def test_others_that_stood_on_the_last_rung_are_parents_too_at_times() -> None:
    wanted = config(calls_max=3000, max_iterations=25)
    results = await AdaptiveCurriculumAgent(wanted, model(with_examples)).run_curriculum(samples, num_samples=60)
    leader, apart, turns = Prompt.parse(SEED_PROMPT).version, 0, 0
    for said in (one["decision"].split() for one in results["decisions"]):
        if said[1:2] == ["leads"]:
            leader = said[0]
        elif said[1:2] == ["on"]:
            turns, apart = turns + 1, apart + (said[2] != leader)
    assert turns > 10
    assert 0 < apart < turns / 2


def test_two_parents_are_merged_only_where_more_strategies_than_one_take_part() -> None:
    assert set(searching(evolution_strategies=["ablation"]).bandit.promises({})) == {"ablation"}
    two = searching(evolution_strategies=["ablation", "chain_of_thought"])
    assert set(two.bandit.promises({})) == {"ablation", "chain_of_thought", "merge"}


async def test_one_strategy_alone_is_that_one_alone_and_ends_when_it_finds_nothing_new() -> None:
    wanted = config(evolution_strategies=["ablation"], max_iterations=200)
    results = await AdaptiveCurriculumAgent(wanted, model(nothing_helps)).run_curriculum(samples, num_samples=60)
    turns = [one["decision"] for one in results["decisions"] if " on " in one["decision"]]
    assert {turn.split()[0] for turn in turns} == {"ablation"}
    assert len(turns) < 25


@pytest.mark.parametrize(("settings", "costs"), [({}, 24.0), ({"tokens_max": 10**6}, 240.0)])
async def test_where_tokens_are_capped_a_turn_of_long_answers_costs_more_than_its_calls(
    settings: dict[str, Any], costs: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, paid = searching(**settings), list[float]()

    async def children(*_: Any) -> list[Candidate]:
        search._tools.asking.spend(24)
        return [Candidate(Prompt.parse("A dear one."), strategy="ablation")]

    monkeypatch.setattr(search._tools.evolver, "children", children)
    monkeypatch.setattr(search.bandit, "paid", lambda name, children, calls: paid.append(calls))
    await search.measure_seed()
    await search.iterate(1)
    assert paid == [costs]


class Fixed:
    """Proposes one prompt."""

    name = "fixed"

    def __init__(self, **blocks: Any) -> None:
        self.blocks = blocks

    async def propose(self, situation: Situation, proposer: Proposer, rng: random.Random) -> list[Proposal]:
        return [Proposal(situation.parent.prompt.edit(**self.blocks), "a try")]


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ({"rules": (f"Where it says '{ITEMS[3].input}', say yes.",)}, "quotes an item of the search set"),
        ({"rules": ("Mind. " * 40,)}, "characters; at most 200"),
        ({"role": ""}, "tried before"),
    ],
)
async def test_what_cannot_be_worth_a_call_is_refused_with_the_reason(blocks: dict[str, Any], reason: str) -> None:
    wanted = CurriculumConfig(SEED.prompt.render(), "made", prompt_chars_max=200)
    evolver = PromptEvolver(wanted, ModelProposer(asking(), wanted), ITEMS)
    evolver.known.add(SEED.prompt.edit(role="").version)
    assert await evolver.children(Fixed(**blocks), Situation(SEED), random.Random(0)) == []
    [said] = evolver.rejected
    assert said.startswith("fixed: ")
    assert reason in said


async def test_the_author_is_shown_what_was_tried_with_scores_the_best_last() -> None:
    briefs: list[str] = []

    class Author:
        async def write(self, brief: str) -> str:
            briefs.append(brief)
            return ""

    [strategy] = by_name(["performance_based"])
    history = [("the first", 0.5), ("the best", 0.9), ("the worst", 0.2)]
    await strategy.propose(Situation(SEED, history=history), Author(), random.Random(0))
    shown = [briefs[0].index(text) for text in ("Score 20:\nthe worst", "Score 50:\nthe first", "Score 90:\nthe best")]
    assert shown == sorted(shown)


async def test_some_sets_of_examples_are_like_an_error_that_the_parent_made() -> None:
    about = ("the tram was late again", "a lovely cake with cherries")
    said = [{"input": f"{about[n % 2]}, number {n}", "expected": ("no", "yes")[n // 2 % 2]} for n in range(40)]
    asked = read_items(said)
    trams = [item for item in asked if "tram" in item.input]
    situation = Situation(
        SEED,
        labels=("no", "yes"),
        failures=[Answered(trams[0], None)],
        successes=[Answered(item, item.expected) for item in asked if item is not trams[0]],
        children_count=12,
    )
    [strategy] = by_name(["few_shot_optimization"])
    found = await strategy.propose(situation, asking(), random.Random(0))  # type: ignore[arg-type]  # nobody writes
    near = [one.prompt.exemplars for one in found if "near one of its errors" in one.note]
    assert near
    for shown in near:
        assert all("tram" in one.input for one in shown)
        assert len(shown) <= max(COUNTS)
        assert len(shown) == 1 or {one.answer for one in shown} == {"no", "yes"}


async def test_where_answers_are_texts_newcomers_are_asked_first_what_tells_prompts_apart() -> None:
    asked = ITEMS[:48]
    race = Race(CurriculumConfig("Say it.", "made"), None, asking(), SEED, asked)  # type: ignore[arg-type]  # nobody is asked
    clear = {item.id for item in asked[:32]}
    others = [Candidate(Prompt.parse(f"Prompt {number}.")) for number in range(5)]
    for number, one in enumerate([SEED, *others]):
        for place, item in enumerate(asked):
            right = item.id in clear or (place + number) % 2
            race.matrix.record(one.prompt, item, Answer(score=float(right)))
    plain = race.course(random.Random(0))
    assert plain.stratum_of == {}
    for one in others:
        await race.enter(one, plain, 1)
    adaptive = race.course(random.Random(0))
    first = [item.id for item in adaptive.items[:12]]
    assert sum(one not in clear for one in first) > 6
    assert set(adaptive.stratum_of) == {item.id for item in asked}


def test_no_strategy_at_all_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="none given"):
        CurriculumConfig("Say it.", "made", evolution_strategies=[])


async def test_calls_that_are_left_go_to_the_thresholds_of_whoever_is_at_the_gate() -> None:
    truth = World(1, logprobs=True, leaning=2.0, effect=0.0, drift=-0.1, base=0.0)
    wanted = CurriculumConfig(worlds.SEED_PROMPT, "world", calls_max=700, gate_samples=40, max_iterations=1)
    llm = truth.model()
    results = await AdaptiveCurriculumAgent(wanted, llm).run_curriculum(truth.samples, num_samples=200)
    asked: dict[object, set[str]] = {}
    for request in llm.requests:
        if request.purpose != "proposer":
            asked.setdefault(request.messages[:-1], set()).add(request.messages[-1].text)
    weighed = [one for one in results["gate"]["finalists"] if one["version"].endswith("-c")]
    assert len(weighed) == 2
    # Both prompts: all that the search has, but for what a set of examples shows itself, and the fresh ones.
    assert all(count >= 230 for count in sorted(map(len, asked.values()))[-2:])


@pytest.mark.parametrize("adaptive", [True, False])
async def test_a_run_says_once_that_it_asks_first_what_tells_prompts_apart(adaptive: bool) -> None:
    wanted = config(calls_max=1000, max_iterations=8, adaptive_order=adaptive)
    results = await AdaptiveCurriculumAgent(wanted, model(with_examples)).run_curriculum(samples, num_samples=100)
    said = [one for one in results["decisions"] if one["decision"] == "items that tell prompts apart come first"]
    assert len(said) == adaptive
    assert all(one["numbers"]["items"] >= 24 for one in said)
