"""Predicting and learning with numpy alone: the reference that the compiled `kernel` equals.

Sums run in float64 in the order of the entries (`bincount`, `accumulate`): no BLAS, no pairwise sums, the same on every run.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from meta_learning.clrs.models import text_state as ts
from meta_learning.clrs.models.bags import BLOCKS_COUNT, SHORT, Bags
from meta_learning.clrs.models.port import Floats

LOGIT_MAX, EXPERT_MAX = 30.0, 8.0
SLOPE_MIN, SLOPE_MAX = 0.2, 3.0
CALIBRATION_HALF = 200  # events after which the calibration rate begins to fall
TINY = 1e-8


class Said(NamedTuple):
    """What the experts say to each pair, what was looked at, and the mix."""

    experts: Floats  # (pairs, EXPERTS_COUNT)
    facts: Floats  # (pairs, DENSE_COUNT)
    mixed: Floats  # (pairs,) logits, not calibrated


def predict(state: ts.State, bags: Bags, rates: ts.Rates) -> Floats:
    """The calibrated scores of all pairs."""
    slope, shift = state.totals[3:5].tolist()
    return np.array([sigmoid(slope * logit + shift) for logit in ask(state, bags, rates).mixed.tolist()])


def ask(state: ts.State, bags: Bags, rates: ts.Rates) -> Said:
    """Ask every expert about every pair."""
    count = len(bags.starts) - 1
    owners = np.repeat(np.arange(count), np.diff(bags.starts))
    places = owners * BLOCKS_COUNT + bags.blocks
    rows = state.table[bags.buckets]
    experts = np.empty((count, ts.EXPERTS_COUNT))
    terms = weights_of(rows) * bags.values.astype(np.float64)
    experts[:, ts.ADAPTIVE] = np.bincount(owners, weights=terms, minlength=count)
    seen = rows[:, ts.LIKED].astype(np.int64) + rows[:, ts.DISLIKED]
    prior = math.log((state.totals[0] + 1.0) / (state.totals[1] + 1.0))
    modes = bags.modes[owners]
    likes, dislikes = (rates.logs[modes, rows[:, column]].astype(np.float64) for column in (ts.LIKED, ts.DISLIKED))
    own = answer_odds(state, bags, prior, rates.doubt)
    usual = np.where(bags.blocks < ts.CROSSED, own[owners], prior)
    odds = np.where(seen > 0, (likes - dislikes) - usual, 0.0)
    evidence = np.bincount(places, weights=odds, minlength=count * BLOCKS_COUNT).reshape(count, BLOCKS_COUNT)
    experts[:, ts.BAYES : ts.DENSE] = evidence * rates.scales[bags.modes]
    facts = np.hstack([bags.facts, _rarity(places, seen, rates.logs[modes, np.minimum(seen, 65535)], count)])
    experts[:, ts.DENSE] = np.add.accumulate(facts * state.dense, axis=1)[:, -1]
    experts[:, ts.PRIOR] = own
    experts = np.clip(experts, -EXPERT_MAX, EXPERT_MAX)
    return Said(experts, facts, np.add.accumulate(experts * state.stack[bags.modes], axis=1)[:, -1])


def answer_odds(state: ts.State, bags: Bags, prior: float, doubt: float) -> Floats:
    """By pair: the log odds that its answer is liked, whatever was asked; ``prior``, the general ones, unless the answer is short.

    Counted by the last of the answer's n-grams, the whole answer if it is one word or two, and shrunk to the general odds by as
    much as ``doubt`` times its variance explains (James and Stein 1961, positive part). Where only what was shown is judged, a
    good answer is liked nearly always and a rare one seldom: measured against the general odds, every word that was ever joined
    with the rare answer would speak against it. Without the shrinking, one answer to everything costs .05 to .1 points: its
    counts are coarser than the totals, and their error counts once for every word.
    """
    own = np.full(len(bags.modes), prior)
    rate = (state.totals[0] + 1.0) / (state.totals[0] + state.totals[1] + 2.0)
    for pair in np.flatnonzero(bags.modes == SHORT).tolist() if doubt > 0.0 else []:
        last = bags.starts[pair + 1] - 1
        if bags.blocks[last] == BLOCKS_COUNT - 1:
            liked, disliked = (state.table[bags.buckets[last], (ts.LIKED, ts.DISLIKED)] * ts.COUNT_UNIT).tolist()
            likes, dislikes = liked + rate, disliked + 1.0 - rate
            more = math.log(likes / dislikes) - prior
            noise = doubt * (1.0 / likes + 1.0 / dislikes)
            own[pair] = prior + more * max(1.0 - noise / (more * more + TINY), 0.0)
    return own


def _rarity(places: Any, seen: Any, logs: Any, count: int) -> Floats:
    """By block: the mean of 1 / (1 + times seen), the share never seen, the mean logarithm. Rare words make a text hard."""
    shape = (count, BLOCKS_COUNT)
    sizes = np.bincount(places, minlength=count * BLOCKS_COUNT).reshape(shape) + 1.0
    rare = np.bincount(places, weights=1.0 / (1.0 + seen * ts.COUNT_UNIT), minlength=count * BLOCKS_COUNT).reshape(
        shape
    )
    fresh = np.bincount(places, weights=seen == 0, minlength=count * BLOCKS_COUNT).reshape(shape)
    known = np.bincount(places, weights=logs.astype(np.float64), minlength=count * BLOCKS_COUNT).reshape(shape)
    return np.hstack([rare / sizes, fresh / sizes, known / sizes / 8.0])


def learn(state: ts.State, bags: Bags, targets: Floats, costs: Floats, rates: ts.Rates) -> None:
    """One update a pair, in order."""
    calibrate(state, ask(state, bags, rates).mixed, targets, costs, rates)
    for pair, (target, cost) in enumerate(zip(targets.tolist(), costs.tolist(), strict=True)):
        one = _one(bags, pair)
        said = ask(state, one, rates)
        learn_stack(state, said, int(bags.modes[pair]), (target, cost), rates)
        learn_dense(state, said, target, cost)
        learn_table(state, one, said, (target, cost), rates)
        share = min(cost, ts.SHARE_MAX)
        state.totals[0] += share * target
        state.totals[1] += share * (1.0 - target)
        state.totals[2] += 1.0


def _one(bags: Bags, pair: int) -> Bags:
    first, last = bags.starts[pair], bags.starts[pair + 1]
    part, row = slice(first, last), slice(pair, pair + 1)
    starts = np.array([0, last - first])
    return Bags(starts, bags.buckets[part], bags.values[part], bags.blocks[part], bags.modes[row], bags.facts[row])


def calibrate(state: ts.State, logits: Floats, targets: Floats, costs: Floats, rates: ts.Rates) -> None:
    """Fit slope and shift to what was said before learning, so that a score of 0.7 means 0.7 (Platt 1999, online)."""
    slope, shift, count = state.totals[3:].tolist()
    for logit, target, cost in zip(logits.tolist(), targets.tolist(), costs.tolist(), strict=True):
        error = cost * (sigmoid(slope * logit + shift) - target)
        rate = rates.calibration / math.sqrt(1.0 + count / CALIBRATION_HALF)
        slope = min(max(slope - rate * error * logit, SLOPE_MIN), SLOPE_MAX)
        shift = shift - rate * error
        count += 1.0
    state.totals[3:] = slope, shift, count


def learn_stack(state: ts.State, said: Said, mode: int, lesson: tuple[float, float], rates: ts.Rates) -> None:
    """AdaGrad on the weights of the experts (stacking, Wolpert 1992; mixing of logits as in PAQ, Mahoney 2005)."""
    target, cost = lesson
    gradients = (cost * (sigmoid(float(said.mixed[0])) - target)) * said.experts[0]
    state.energy[mode] += gradients * gradients
    state.stack[mode] -= rates.stack * gradients / np.sqrt(state.energy[mode] + TINY)


def learn_dense(state: ts.State, said: Said, target: float, cost: float) -> None:
    """Online Newton for the facts: a Gaussian belief about their weights, as in a Kalman filter of logits."""
    score = sigmoid(float(said.experts[0, ts.DENSE]))
    bend = cost * score * (1.0 - score)
    if bend < TINY:
        return
    facts = said.facts[0]
    spread = state.spread.astype(np.float64)
    leverage = np.add.accumulate(spread * facts[:, None], axis=0)[-1]
    total = 1.0 / bend + float(np.add.accumulate(leverage * facts)[-1])
    state.spread[:] = spread - leverage[:, None] * (leverage / total)[None, :]
    state.dense[:] -= leverage * (cost * (score - target) / (bend * total))


def learn_table(state: ts.State, bag: Bags, said: Said, lesson: tuple[float, float], rates: ts.Rates) -> None:
    """AdaGrad (Duchi et al. 2011) on the weights of the buckets, and their counts for naive Bayes."""
    target, cost = lesson
    rows = state.table[bag.buckets]
    gradients = (cost * (sigmoid(float(said.experts[0, ts.ADAPTIVE])) - target)) * bag.values.astype(np.float64)
    squares = squares_of(rows) + gradients * gradients
    weights = weights_of(rows) - rates.adaptive * gradients / np.sqrt(squares + TINY)
    units = np.clip(np.floor(weights / ts.WEIGHT_UNIT + 0.5), -32767, 32767)
    rows[:, ts.WEIGHT] = units.astype(np.int16).view(np.uint16)
    rows[:, ts.SQUARES] = stored_squares(squares)
    share = min(cost, ts.SHARE_MAX) / ts.COUNT_UNIT
    likes = rows[:, ts.LIKED].astype(np.int64) + math.floor(share * target + 0.5)
    dislikes = rows[:, ts.DISLIKED].astype(np.int64) + math.floor(share * (1.0 - target) + 0.5)
    full = ((likes > ts.COUNT_MAX) | (dislikes > ts.COUNT_MAX)).astype(np.int64)
    rows[:, ts.LIKED], rows[:, ts.DISLIKED] = (likes + full) >> full, (dislikes + full) >> full
    state.table[bag.buckets] = rows


def weights_of(rows: ts.Table) -> Floats:
    """The weights in rows of the table."""
    return rows[:, ts.WEIGHT].astype(np.int16).astype(np.float64) * ts.WEIGHT_UNIT


def squares_of(rows: ts.Table) -> Floats:
    """The sums of squares in rows of the table: short floats, 0 for 0."""
    stored = rows[:, ts.SQUARES].astype(np.uint32)
    bits = (stored + np.uint32(ts.SQUARES_BASE)) << np.uint32(ts.SQUARES_SHIFT)
    return np.where(stored == 0, 0.0, bits.view(np.float32).astype(np.float64))


def stored_squares(squares: Floats) -> Any:
    """The nearest short floats."""
    bits = squares.astype(np.float32).view(np.uint32).astype(np.int64)
    return np.clip(((bits + ts.SQUARES_HALF) >> ts.SQUARES_SHIFT) - ts.SQUARES_BASE, 0, 65535)


def sigmoid(logit: float) -> float:
    """1 / (1 + exp(-logit)), for logits cut to ±30."""
    return 1.0 / (1.0 + math.exp(-min(max(logit, -LOGIT_MAX), LOGIT_MAX)))
