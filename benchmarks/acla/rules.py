"""Stand-ins for how other optimizers accept a prompt: their rules, not their programs, with our strategies as the author.

`three_items`: a child is taken when the sum over 3 items rises, then asked the whole validation set, and the parent is drawn from
whoever leads on some item of it (the rule of GEPA 0.1.4). `best_of_batches`: a dozen prompts are compared on random batches of 35,
and the best mean is asked the whole validation set after every five (the rule of dspy 3.4.1's MIPROv2, its sampler made a coin).
`example_sets`: random sets of examples are asked the same items. `race_on_blocks`: four newcomers a step race against the last four
on blocks of 30, and whoever is behind four others drops out (paired t at .2: the rule of promptolution's CAPO).
All return their best mean. Children, items, model and the count of calls are those of our own arm; validation sets and batches
shrink with the calls, so that every rule can come to an end with few.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import NormalDist, fmean, stdev

from meta_learning.acla.asking import Asking, stream
from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.evaluating import ModelEvaluator
from meta_learning.acla.outcomes import Candidate, OutcomeMatrix
from meta_learning.acla.prompt import Prompt
from meta_learning.acla.prompt_evolver import ModelProposer, PromptEvolver
from meta_learning.acla.search import FIRST
from meta_learning.acla.splits import Item, closed_labels, read_items
from meta_learning.acla.store import MemoryRunStore, RunLog
from meta_learning.acla.strategies import Answered, Situation, by_name
from meta_learning.errors import BudgetExhausted
from meta_learning.llm import LLM

VALIDATION_COUNT, VALIDATION_SHARE = 150, 1 / 6
SMALL_BATCH, LARGE_BATCH = 3, 35
CANDIDATES_COUNT, FULL_EVERY = 12, 5
SETS_ITEMS_COUNT = 48
POPULATION_COUNT, BLOCK_COUNT, BLOCKS_COUNT, RACE_LEVEL = 4, 30, 3, 0.2
SHOWN_COUNT = 24
# Answers that are known cost nothing, and an author may run out of ideas: then the rest of the calls stays unused.
ROUNDS_MAX = 1000
GREEDY_CHANCE = 0.7


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule returns: its prompt, and the score that it reports for it."""

    prompt: Prompt
    score: float
    calls: int


@dataclass
class Workshop:
    """One run's model, items and author, and the scores seen so far."""

    asking: Asking
    evaluator: ModelEvaluator
    evolver: PromptEvolver
    train: Sequence[Item]
    validation: Sequence[Item]
    seed: Candidate
    config: CurriculumConfig
    matrix: OutcomeMatrix = field(default_factory=OutcomeMatrix)
    _turns: int = 0

    async def scores(self, candidate: Candidate, items: Sequence[Item]) -> list[float]:
        """Right or wrong; an item that is an example in the prompt counts as asked, as it does there."""
        unasked = [one for one in items if one.id not in self.matrix.answers.get(candidate.prompt.version, {})]
        if not self.asking.affords(len(unasked)):
            raise BudgetExhausted("the calls are used up")
        for item, answer in zip(unasked, await self.evaluator.answers(candidate.prompt, unasked), strict=True):
            self.matrix.record(candidate.prompt, item, answer)
        return [float(self.matrix.decision(candidate, item) == item.expected) for item in items]

    async def child(self, parent: Candidate, names: Sequence[str] = ()) -> Candidate | None:
        """The next strategy's first child, out of what ``parent`` has answered of the training items."""
        # In the order of our own arm: sets of examples first.
        strategies = by_name(names or sorted(self.config.evolution_strategies, key=lambda name: name != FIRST))
        strategy, self._turns = strategies[self._turns % len(strategies)], self._turns + 1
        known = self.matrix.answers.get(parent.prompt.version, {})
        seen = [one for one in self.train if one.id in known]
        answered = [Answered(one, self.matrix.decision(parent, one)) for one in seen]
        situation = Situation(
            parent=parent,
            labels=self.evaluator.labels,
            failures=[one for one in answered if one.answer != one.item.expected],
            successes=[one for one in answered if one.answer == one.item.expected],
            tried=self.evolver.known,
            children_count=1,
        )
        children = await self.evolver.children(strategy, situation, stream(self.config.seed, "child", self._turns))
        return children[0] if children else None


async def three_items(shop: Workshop, rng: random.Random, pool: dict[Candidate, list[float]]) -> None:
    """Fill ``pool`` (validation scores by candidate) until the calls are used up."""
    pool[shop.seed] = await shop.scores(shop.seed, shop.validation)
    shown = list(shop.train[:SHOWN_COUNT])
    await shop.scores(shop.seed, shown)
    for _ in range(ROUNDS_MAX):
        parent = _leading_somewhere(pool, rng)
        batch = rng.sample(list(shop.train), SMALL_BATCH)
        before = await shop.scores(parent, batch)
        if sum(before) == SMALL_BATCH:
            continue
        child = await shop.child(parent)
        if child is not None and sum(await shop.scores(child, batch)) > sum(before):
            pool[child] = await shop.scores(child, shop.validation)


async def best_of_batches(shop: Workshop, rng: random.Random, pool: dict[Candidate, list[float]]) -> None:
    """The same with a fixed dozen of candidates."""
    pool[shop.seed] = await shop.scores(shop.seed, shop.validation)
    await shop.scores(shop.seed, shop.train[:SHOWN_COUNT])
    seen: dict[Candidate, list[float]] = {shop.seed: []}
    calls = shop.asking.calls_max or 0
    count, batch = max(4, min(CANDIDATES_COUNT, calls // 80)), min(LARGE_BATCH, calls // 12)
    for _ in range(5 * count):
        if len(seen) < count and (child := await shop.child(shop.seed)) is not None:
            seen[child] = []
    trials = 0
    while True:
        untried = [one for one, means in seen.items() if not means]
        greedy = rng.random() < GREEDY_CHANCE
        by_mean = max(seen, key=lambda one: fmean(seen[one]) if seen[one] else 0.0)
        trial = untried[0] if untried else by_mean if greedy else rng.choice(list(seen))
        seen[trial].append(fmean(await shop.scores(trial, rng.sample(list(shop.validation), batch))))
        trials += 1
        unread = [one for one, means in seen.items() if means and one not in pool]
        if trials % FULL_EVERY == 0 and unread:
            best = max(unread, key=lambda one: fmean(seen[one]))
            pool[best] = await shop.scores(best, shop.validation)
        if not unread and not untried:
            return


async def example_sets(shop: Workshop, rng: random.Random, pool: dict[Candidate, list[float]]) -> None:
    """The same with random sets of examples and no other children."""
    asked = shop.validation[: min(SETS_ITEMS_COUNT, len(shop.validation))]
    pool[shop.seed] = await shop.scores(shop.seed, asked)
    await shop.scores(shop.seed, shop.train[:SHOWN_COUNT])
    for _ in range(ROUNDS_MAX):
        if (child := await shop.child(shop.seed, [FIRST])) is not None:
            pool[child] = await shop.scores(child, asked)


async def race_on_blocks(shop: Workshop, rng: random.Random, pool: dict[Candidate, list[float]]) -> None:
    """The same with a population of four; a step that the calls do not reach for is lost."""
    await shop.scores(shop.seed, shop.train[:SHOWN_COUNT])
    size = min(BLOCK_COUNT, len(shop.validation) // BLOCKS_COUNT)
    population = [shop.seed]
    pool[shop.seed] = await shop.scores(shop.seed, shop.validation[:size])
    for _ in range(ROUNDS_MAX):
        born = [await shop.child(rng.choice(population)) for _ in range(POPULATION_COUNT)]
        alive = [*population, *(one for one in born if one is not None)]
        known: dict[Candidate, list[float]] = {}
        for block in range(BLOCKS_COUNT):
            known = {one: await shop.scores(one, shop.validation[: size * (block + 1)]) for one in alive}
            alive = [
                one for one in alive if sum(_beats(other, known[one]) for other in known.values()) < POPULATION_COUNT
            ]
            if len(alive) <= POPULATION_COUNT:
                break
        population = sorted(alive, key=lambda one: -fmean(known[one]))[:POPULATION_COUNT]
        pool.clear()
        pool.update({one: known[one] for one in population})


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    differences = [mine - others for mine, others in zip(one, other, strict=True)]
    spread = stdev(differences)
    return spread > 0.0 and fmean(differences) / spread * len(differences) ** 0.5 > NormalDist().inv_cdf(
        1.0 - RACE_LEVEL
    )


RULES = {
    "rule: sum over 3 items": three_items,
    "rule: best of random batches": best_of_batches,
    "rule: random sets of examples": example_sets,
    "rule: race on blocks": race_on_blocks,
}


async def found_by(name: str, llm: LLM, samples: Sequence[object], prompt: str, calls_max: int, seed: int) -> Found:
    """Run one rule on ``samples`` for ``calls_max`` calls, the author's included."""
    items = read_items(samples)
    stream(seed, "split").shuffle(items)
    config = CurriculumConfig(prompt, "world", calls_max=calls_max, seed=seed)
    asking = Asking(llm, RunLog(MemoryRunStore(), "rule", llm.provider), calls_max, lambda: False)
    count = min(VALIDATION_COUNT, int(calls_max * VALIDATION_SHARE))
    train = items[count:]
    shop = Workshop(
        asking,
        ModelEvaluator(asking, config, closed_labels(items)),
        PromptEvolver(config, ModelProposer(asking, config), train),
        train,
        items[:count],
        Candidate(Prompt.parse(prompt)),
        config,
    )
    pool: dict[Candidate, list[float]] = {}
    with suppress(BudgetExhausted):
        await RULES[name](shop, stream(seed, name), pool)
    # The seed stands first, and stays where nothing is above it.
    best = max(pool, key=lambda one: fmean(pool[one]))
    return Found(best.prompt, fmean(pool[best]), asking.calls_count)


def _leading_somewhere(pool: dict[Candidate, list[float]], rng: random.Random) -> Candidate:
    """One of those that are best on some validation item, each as likely as it has such items."""
    names = list(pool)
    leads = [0] * len(names)
    for scores in zip(*pool.values(), strict=True):
        top = max(scores)
        for index, score in enumerate(scores):
            leads[index] += score == top
    return rng.choices(names, leads)[0]
