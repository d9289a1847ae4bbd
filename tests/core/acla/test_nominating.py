"""Who is asked the fresh items, with which calls, and when a search may end before they are spent."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.acla.worlds import SEED_PROMPT, World
from meta_learning.acla import AdaptiveCurriculumAgent, CurriculumConfig, Prompt
from meta_learning.acla.asking import Asking
from meta_learning.acla.ensembles import Ensemble, members_of
from meta_learning.acla.in_use import HEADROOM_COUNT
from meta_learning.acla.nominating import Nominee, Terms, nominated, with_votes
from meta_learning.acla.outcomes import Answer, Candidate
from meta_learning.acla.performance_tracker import PerformanceTracker
from meta_learning.acla.racing.ladder import Standing, rungs_up_to
from meta_learning.acla.racing.race import Race
from meta_learning.acla.racing.shrinkage import Gain
from meta_learning.acla.search import Search, Tools
from meta_learning.acla.splits import read_items
from meta_learning.acla.store import MemoryRunStore, RunLog
from meta_learning.llm.scripted import ScriptedLLM
from tests.core.acla.simulated import config, model, nothing_helps, samples, shows_examples

SEED = Candidate(Prompt.parse("Prompt in use. Answer with one word."))


def nominee(name: str, mean: float, sd: float = 0.02) -> Nominee:
    return Nominee(Candidate(Prompt.parse(f"Prompt {name}. Answer with one word.")), Gain(mean, sd, mean, 100), 0.15)


def terms(calls: int, available: int = 200) -> Terms:
    in_use = frozenset({SEED.prompt.version})
    return Terms(lambda count: min(available, calls // (1 + count)), in_use, 3, alpha=0.1)


def test_one_who_is_surely_best_is_asked_alone_and_two_who_are_level_together_where_calls_reach() -> None:
    best, level, behind = nominee("best", 0.06), nominee("level", 0.06), nominee("behind", -0.01)
    assert nominated([behind, best], terms(200)) == [best]
    assert len(nominated([best, level], terms(2000))) == 2
    assert nominated([nominee("hopeless", -0.08)], terms(2000)) == []


def test_the_prompt_in_use_with_thresholds_is_asked_at_no_calls_of_its_own_although_it_was_not_ahead() -> None:
    weighed = Nominee(replace(SEED, calibrated=True), Gain(-0.005, 0.02, -0.01, 100), 0.1)
    found = terms(100)
    assert nominated([weighed], found) == [weighed]
    assert found.prompts_count([weighed]) == 0
    assert found.items_for(0) == 100


def test_a_package_that_is_unsure_and_right_is_not_behind_one_that_is_sure_and_right() -> None:
    asked = read_items([{"input": f"text {n}", "expected": ("no", "yes")[n % 2]} for n in range(60)])
    asking = Asking(ScriptedLLM(lambda request: ""), RunLog(MemoryRunStore(), "r", "scripted"), None, lambda: False)
    race = Race(CurriculumConfig("Say it.", "made"), None, asking, SEED, asked)  # type: ignore[arg-type]  # nobody is asked
    for item in asked:
        said = {one: -0.6 if one == item.expected else -0.8 for one in ("no", "yes")}
        race.matrix.record(SEED.prompt, item, Answer(label_logprobs=said))
    assert race.gain(replace(SEED, calibrated=True), SEED).raw == 0.0


def test_a_lucky_score_on_few_items_is_not_good_enough_to_end_a_search() -> None:
    def ends(right: int, count: int) -> bool:
        tracker = PerformanceTracker()
        for iteration in range(4):
            tracker.note_best(iteration, [1.0] * right + [0.0] * (count - right), 0, "a")
        return tracker.is_good_and_still(0.7, 0.05)

    assert not ends(34, 48)
    assert ends(320, 400)


def test_with_few_calls_the_last_rung_leaves_some_for_more_candidates() -> None:
    assert rungs_up_to(200, 200)[-1] < rungs_up_to(200, 668)[-1] < rungs_up_to(200, 5000)[-1] == rungs_up_to(200)[-1]


async def test_calls_that_no_finalist_takes_ask_more_fresh_items_than_were_planned() -> None:
    truth = World(0, logprobs=True, leaning=2.0, effect=0.0, drift=0.0, base=0.8)
    wanted = CurriculumConfig(SEED_PROMPT, "world", calls_max=240, gate_samples=100, max_iterations=1)
    results = await AdaptiveCurriculumAgent(wanted, truth.model()).run_curriculum(truth.samples, num_samples=150)
    assert results["judged"]["pairs_count"] > results["plan"]["gate_items"]
    assert results["calls"] <= 240


async def test_on_so_few_items_that_one_rung_has_them_all_a_better_prompt_is_still_asked_the_fresh_ones() -> None:
    agent = AdaptiveCurriculumAgent(
        config(gate_samples=60), model(lambda prompt: 1.0 if shows_examples(prompt) else 0.5)
    )
    results = await agent.run_curriculum(samples, num_samples=10)
    assert results["gate"] is not None, results["reason"]


async def test_weights_in_use_are_fitted_on_no_fewer_items_than_those_of_whoever_is_to_replace_them() -> None:
    truth = World(1, logprobs=True, leaning=2.0, effect=0.4, drift=0.1, base=0.0)
    wanted = CurriculumConfig(
        SEED_PROMPT, "world", calls_max=400, gate_samples=40, max_iterations=3, initial_calibrated=True
    )
    llm = truth.model()
    results = await AdaptiveCurriculumAgent(wanted, llm).run_curriculum(truth.samples, num_samples=100)
    assert any(one["version"].endswith("-c") for one in results["gate"]["finalists"])
    asked: dict[object, set[str]] = {}
    for request in llm.requests:
        if request.purpose != "proposer":
            asked.setdefault(request.messages[:-1], set()).add(request.messages[-1].text)
    first = next(iter(asked.values()))
    assert len(first) == max(map(len, asked.values())) >= HEADROOM_COUNT


def test_a_prompt_that_answers_in_texts_is_no_two_packages() -> None:
    items = read_items([{"input": f"text {n}", "expected": ("no", "yes")[n % 2]} for n in range(24)])
    asking = Asking(ScriptedLLM(lambda request: ""), RunLog(MemoryRunStore(), "r", "scripted"), None, lambda: False)
    tools = Tools(CurriculumConfig("Say it.", "made"), None, asking, None, lambda: False)  # type: ignore[arg-type]  # nobody is asked
    search = Search(tools, (SEED,), items, ("no", "yes"), 0)
    search.calibrate()
    weighed, aloud = (Candidate(Prompt.parse(text), calibrated=True) for text in ("Weigh it.", "Think aloud."))
    for item in items:
        for one in (SEED, weighed):
            search.matrix.record(one.prompt, item, Answer(label_logprobs={"no": -0.6, "yes": -0.8}))
        search.matrix.record(aloud.prompt, item, Answer(text="yes"))
    for one in (weighed, aloud):
        search.race.ladder.stand(Standing(one, 1, Gain(0.0, 0.05, 0.0, 16), Gain(0.0, 0.05, 0.0, 16)))
    versions = [one.candidate.version for one in search.nominees()]
    assert sorted(versions) == sorted(
        [search.race.anchor.version, weighed.version, weighed.prompt.version, aloud.version]
    )


async def test_why_calls_are_left_is_said() -> None:
    agent = AdaptiveCurriculumAgent(config(calls_max=5000, max_iterations=2), model(nothing_helps))
    results = await agent.run_curriculum(samples, num_samples=60)
    said = results["decisions"][-1]
    assert said["decision"] == f"{5000 - results['calls']} calls are left"
    assert "came to its end" in said["because"]


def test_the_luckiest_of_many_that_are_worse_is_not_shown_as_what_would_be_taken() -> None:
    items = read_items([{"input": f"text {n}", "expected": ("no", "yes")[n % 2]} for n in range(48)])
    asking = Asking(ScriptedLLM(lambda request: ""), RunLog(MemoryRunStore(), "r", "scripted"), None, lambda: False)
    tools = Tools(CurriculumConfig("Say it.", "made"), None, asking, None, lambda: False)  # type: ignore[arg-type]  # nobody is asked
    search = Search(tools, (SEED,), items, ("no", "yes"), 0)
    lucky = Candidate(Prompt.parse("Lucky."))
    for number, item in enumerate(items):
        search.matrix.record(SEED.prompt, item, Answer(score=float(number % 3 > 0)))
        search.matrix.record(lucky.prompt, item, Answer(score=float(number % 3 > 0 or number < 6)))
    search.race.best = lucky
    search.race.ladder.stand(Standing(lucky, 1, search.race.gain(lucky, SEED), search.race.gain(lucky, SEED)))
    assert search.held is lucky
    for number in range(12):
        worse = Candidate(Prompt.parse(f"Worse {number}."))
        search.race.ladder.stand(Standing(worse, 0, Gain(-0.02, 0.04, -0.2, 8), Gain(-0.02, 0.04, -0.2, 8)))
    assert search.best is lucky
    assert search.held is SEED


def together_of(names: str, gain: float, sd: float = 0.03) -> Nominee:
    voters = tuple(voter for name in names for voter in members_of(nominee(name, gain).candidate))
    return Nominee(Ensemble(voters), Gain(gain, sd, gain, 60), 0.2)


def test_several_vote_only_where_more_is_expected_of_them_for_their_calls() -> None:
    alone = nominee("a", 0.08)
    assert with_votes([alone], together_of("abc", 0.085), alone, terms(200)) == [alone]
    better = together_of("abc", 0.11)
    assert better in with_votes([alone], better, alone, terms(2000))
    assert with_votes([alone], better, alone, terms(60)) == [alone]


def test_voters_are_prompts_that_have_to_be_asked_once_each() -> None:
    together = together_of("abc", 0.1)
    assert terms(200).prompts_count([together]) == 3
    assert terms(200).prompts_count([together, nominee("a", 0.1)]) == 3


def test_who_has_no_chance_is_not_asked_because_several_vote() -> None:
    hopeless = nominee("a", -0.08)
    assert with_votes([], together_of("abc", -0.06), hopeless, terms(4000)) == []
    better = together_of("abc", 0.1)
    assert with_votes([], better, hopeless, terms(4000)) == [better]


def test_half_a_point_is_enough_to_vote_however_large_the_gain_is_and_less_is_not() -> None:
    alone = nominee("a", 0.3, 0.01)
    more, little = together_of("abc", 0.32, 0.01), together_of("abc", 0.302, 0.01)
    assert more in with_votes([alone], more, alone, terms(4000))
    assert with_votes([alone], little, alone, terms(4000)) == [alone]


def test_no_more_vote_than_the_plan_has_finalists_for() -> None:
    alone = nominee("a", 0.02)
    assert with_votes([alone], together_of("abcd", 0.3), alone, terms(4000)) == [alone]
