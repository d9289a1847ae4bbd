"""Show examples: answers of the search items, as even over the labels as can be, in sets of several sizes, kinds and orders."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import zip_longest

from meta_learning.acla.prompt import Exemplar, Prompt
from meta_learning.acla.splits import Item
from meta_learning.acla.strategies import Answered, Proposal, Proposer, Situation, untried

COUNTS = (2, 4, 6, 8)
COUNT_MAX = 12
# Sets that show all of more labels than this are long; shorter ones do as well on choices (CommonsenseQA, data seeds 9 to 11).
FEW_LABELS_MAX = 4
EXEMPLAR_CHARS_MAX = 400


class FewShotOptimization:
    """Swaps whole sets of exemplars: on small models that beats rewording (Wan et al., 2024). It asks no author.

    The model's own correct answers are no better examples for a small model than the items' own answers, so both are shown: also
    where the model never gets a label right, all labels are shown, in sets of as many or more.
    """

    name = "few_shot_optimization"

    async def propose(self, situation: Situation, proposer: Proposer, rng: random.Random) -> list[Proposal]:
        """New sets, each of another kind and size; by turns with these the parent's own set in another order, and with one swapped."""
        right = [one for one in situation.successes if _fits(one.item)]
        wrong = [one for one in situation.failures if _fits(one.item)]
        parent = situation.parent.prompt
        sizes, new = _sizes(situation.labels), []
        rng.shuffle(sizes)
        for number, (how, ordered) in enumerate(_kinds(right, wrong, situation.children_count, rng)):
            chosen = _balanced(ordered, sizes[number % len(sizes)])
            if chosen:
                exemplars = _in_rounds([_exemplar(one) for one in chosen], rng)
                count = "1 example" if len(chosen) == 1 else f"{len(chosen)} examples"
                new.append(Proposal(parent.edit(exemplars=exemplars), f"{count}, {how}"))
        changed = _changed(parent, [*right, *wrong], rng)
        # By turns: sets lie further apart than changes of one, and the best of many is sought.
        found = [one for pair in zip_longest(new, changed) for one in pair if one is not None]
        return untried(found, situation)


def drawn_sets(
    right: Sequence[Answered], wrong: Sequence[Answered], size: int, rng: random.Random
) -> list[tuple[str, tuple[Exemplar, ...]]]:
    """A set of ``size`` examples of each kind, out of items that the prompt got ``right`` and ``wrong``, and what kind it is."""
    kinds = _kinds(right, wrong, 1, rng)
    return [(how, _in_rounds([_exemplar(one) for one in _balanced(ordered, size)], rng)) for how, ordered in kinds]


def _kinds(
    right: Sequence[Answered], wrong: Sequence[Answered], count: int, rng: random.Random
) -> list[tuple[str, list[Answered]]]:
    """At least ``count`` ways to put the items in order, of which the first are taken."""
    kinds: list[tuple[str, list[Answered]]] = []
    while len(kinds) < count:
        mixed = [*right, *wrong]
        own, missed = rng.sample(right, len(right)), rng.sample(wrong, len(wrong))
        kinds.append(("at random", rng.sample(mixed, len(mixed))))
        if right:
            kinds.append(("its own correct answers first", [*own, *missed]))
        if wrong:
            kinds.append(("its errors first, put right", [*missed, *own]))
        if right and wrong:
            kinds.append(("near one of its errors", _near(missed[0], [*own, *missed[1:]])))
    return kinds


def _near(one: Answered, others: Sequence[Answered]) -> list[Answered]:
    """``one``, and the others, those first whose inputs are most like its own: examples near an item help most with it (Liu et al.,
    2022).
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [found.item.input.lower() for found in (one, *others)]
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), lowercase=False).fit_transform(texts)
    likeness = (vectors[1:] @ vectors[0].T).toarray().ravel()
    # Rounded, so that no machine's last digit decides.
    order = sorted(range(len(others)), key=lambda place: -round(float(likeness[place]), 6))
    return [one, *(others[place] for place in order)]


def _changed(parent: Prompt, pool: Sequence[Answered], rng: random.Random) -> list[Proposal]:
    """The parent's own examples in another order, and with one swapped for another of its answer."""
    shown = list(parent.exemplars)
    if not shown:
        return []
    found = [Proposal(parent.edit(exemplars=_in_rounds(shown, rng)), "its examples in another order")]
    place = rng.randrange(len(shown))
    known = parent.exemplar_ids
    others = [one for one in pool if one.item.expected == shown[place].answer and one.item.id not in known]
    if others:
        shown[place] = _exemplar(rng.choice(others))
        found.append(Proposal(parent.edit(exemplars=tuple(shown)), "one of its examples swapped for another"))
    rng.shuffle(found)
    return found


def _sizes(labels: Sequence[str]) -> list[int]:
    """Numbers of examples: one, three, and those that show every label equally often as far as the largest number allows; of many six.

    >>> _sizes(("a", "b", "c")), _sizes(()), _sizes(("a", "b", "c", "d", "e"))
    ([1, 3, 6, 9], [1, 2, 3, 4, 6, 8], [1, 3, 5, 6, 10])
    """
    step = max(1, len(labels))
    even = {min(-(-count // step) * step, COUNT_MAX) for count in COUNTS}
    return sorted(even | {1, 3} | ({6} if step > FEW_LABELS_MAX else set()))


def _fits(item: Item) -> bool:
    """Short, and nothing empty: vendors refuse a turn that says nothing."""
    return all(len(text.strip()) > 0 and len(text) <= EXEMPLAR_CHARS_MAX for text in (item.input, item.expected))


def _exemplar(one: Answered) -> Exemplar:
    return Exemplar(one.item.input, one.item.expected, one.item.id)


def _in_rounds(shown: Sequence[Exemplar], rng: random.Random) -> tuple[Exemplar, ...]:
    """At random, but every label once before any comes again: small models repeat what the last examples say."""
    by_answer: dict[str, list[Exemplar]] = {}
    for one in rng.sample(shown, len(shown)):
        by_answer.setdefault(one.answer, []).append(one)
    rounds = [[queue[turn] for queue in by_answer.values() if turn < len(queue)] for turn in range(len(shown))]
    return tuple(one for turn in rounds for one in rng.sample(turn, len(turn)))


def _balanced(ordered: Sequence[Answered], count: int) -> list[Answered]:
    """The first ``count``, taking the answers in turn, so that examples do not suggest a favourite."""
    by_answer: dict[str, list[Answered]] = {}
    for one in ordered:
        by_answer.setdefault(one.item.expected, []).append(one)
    turns = [queue[turn] for turn in range(count) for queue in by_answer.values() if turn < len(queue)]
    return turns[:count]
