"""`learning` compiled with numba: the same state, bit for bit. See `kernel`."""

from __future__ import annotations

import math

import numpy as np

from meta_learning.clrs.models import learning as le
from meta_learning.clrs.models import text_state as ts
from meta_learning.clrs.models.bags import BLOCKS_COUNT, FACTS_COUNT
from meta_learning.clrs.models.bags import SHORT as SHORT_MODE
from meta_learning.clrs.models.kernel import compiled

BLOCKS, FACTS, EXPERTS, DENSES = BLOCKS_COUNT, FACTS_COUNT, ts.EXPERTS_COUNT, ts.DENSE_COUNT
CROSSED, SHORT = ts.CROSSED, SHORT_MODE
ADAPTIVE, BAYES, DENSE, PRIOR = ts.ADAPTIVE, ts.BAYES, ts.DENSE, ts.PRIOR
WEIGHT, SQUARES, LIKED, DISLIKED = ts.WEIGHT, ts.SQUARES, ts.LIKED, ts.DISLIKED
WEIGHT_UNIT, COUNT_UNIT, COUNT_MAX, SHARE_MAX = ts.WEIGHT_UNIT, ts.COUNT_UNIT, ts.COUNT_MAX, ts.SHARE_MAX
SQUARES_BASE, SQUARES_SHIFT, SQUARES_HALF = ts.SQUARES_BASE, ts.SQUARES_SHIFT, ts.SQUARES_HALF
LOGIT_MAX, EXPERT_MAX, TINY = le.LOGIT_MAX, le.EXPERT_MAX, le.TINY
SLOPE_MIN, SLOPE_MAX, CALIBRATION_HALF = le.SLOPE_MIN, le.SLOPE_MAX, le.CALIBRATION_HALF


@compiled
def sigmoid(logit):
    """As `learning.sigmoid`."""
    return 1.0 / (1.0 + math.exp(-min(max(logit, -LOGIT_MAX), LOGIT_MAX)))


@compiled
def answer_odds(state, bags, pair, prior, doubt):
    """As `learning.answer_odds`, of one pair."""
    last = bags.starts[pair + 1] - 1
    if doubt <= 0.0 or bags.modes[pair] != SHORT or bags.blocks[last] != BLOCKS - 1:
        return prior
    bucket = bags.buckets[last]
    rate = (state.totals[0] + 1.0) / (state.totals[0] + state.totals[1] + 2.0)
    likes = np.float64(state.table[bucket, LIKED]) * COUNT_UNIT + rate
    dislikes = np.float64(state.table[bucket, DISLIKED]) * COUNT_UNIT + 1.0 - rate
    more = math.log(likes / dislikes) - prior
    noise = doubt * (1.0 / likes + 1.0 / dislikes)
    return prior + more * max(1.0 - noise / (more * more + TINY), 0.0)


@compiled
def ask_one(state, bags, pair, rates, out):
    """Fill ``out`` (what the experts say, the facts); the mixed logit is returned."""
    experts, facts = out
    table, mode = state.table, np.int64(bags.modes[pair])
    prior = math.log((state.totals[0] + 1.0) / (state.totals[1] + 1.0))
    experts[:] = 0.0
    facts[:FACTS] = bags.facts[pair]
    facts[FACTS:] = 0.0
    sizes = np.ones(BLOCKS)
    logs = rates.logs[mode]
    own = answer_odds(state, bags, pair, prior, rates.doubt)
    for place in range(bags.starts[pair], bags.starts[pair + 1]):
        bucket, block = bags.buckets[place], np.int64(bags.blocks[place])
        weight = np.float64(np.int16(table[bucket, WEIGHT])) * WEIGHT_UNIT
        experts[ADAPTIVE] += weight * np.float64(bags.values[place])
        seen = np.int64(table[bucket, LIKED]) + np.int64(table[bucket, DISLIKED])
        sizes[block] += 1.0
        facts[FACTS + block] += 1.0 / (1.0 + seen * COUNT_UNIT)
        facts[FACTS + 2 * BLOCKS + block] += np.float64(logs[min(seen, 65535)])
        if seen > 0:
            likes = np.float64(logs[table[bucket, LIKED]])
            usual = own if block < CROSSED else prior
            experts[BAYES + block] += (likes - np.float64(logs[table[bucket, DISLIKED]])) - usual
        else:
            facts[FACTS + BLOCKS + block] += 1.0
    for block in range(BLOCKS):
        experts[BAYES + block] *= rates.scales[mode, block]
        facts[FACTS + block] /= sizes[block]
        facts[FACTS + BLOCKS + block] /= sizes[block]
        facts[FACTS + 2 * BLOCKS + block] = facts[FACTS + 2 * BLOCKS + block] / sizes[block] / 8.0
    for place in range(DENSES):
        experts[DENSE] += facts[place] * state.dense[place]
    experts[PRIOR] = own
    mixed = 0.0
    for place in range(EXPERTS):
        experts[place] = min(max(experts[place], -EXPERT_MAX), EXPERT_MAX)
        mixed += experts[place] * state.stack[mode, place]
    return mixed


@compiled
def ask_all(state, bags, rates):
    """The mixed logits of all pairs."""
    out = np.zeros(EXPERTS), np.zeros(DENSES)
    found = np.empty(len(bags.starts) - 1)
    for pair in range(len(found)):
        found[pair] = ask_one(state, bags, pair, rates, out)
    return found


@compiled
def predict(state, bags, rates):
    """As `learning.predict`."""
    found = ask_all(state, bags, rates)
    for pair in range(len(found)):
        found[pair] = sigmoid(state.totals[3] * found[pair] + state.totals[4])
    return found


@compiled
def calibrate(state, logits, targets, costs, rates):
    """As `learning.calibrate`."""
    slope, shift, count = state.totals[3], state.totals[4], state.totals[5]
    for pair in range(len(logits)):
        error = costs[pair] * (sigmoid(slope * logits[pair] + shift) - targets[pair])
        rate = rates.calibration / math.sqrt(1.0 + count / CALIBRATION_HALF)
        slope = min(max(slope - rate * error * logits[pair], SLOPE_MIN), SLOPE_MAX)
        shift = shift - rate * error
        count += 1.0
    state.totals[3], state.totals[4], state.totals[5] = slope, shift, count


@compiled
def learn_stack(state, experts, mode, gradient, rate):
    """As `learning.learn_stack`."""
    for place in range(EXPERTS):
        slope = gradient * experts[place]
        state.energy[mode, place] += slope * slope
        state.stack[mode, place] -= rate * slope / math.sqrt(state.energy[mode, place] + TINY)


@compiled
def learn_dense(state, said, facts, target, cost):
    """As `learning.learn_dense`."""
    score = sigmoid(said)
    bend = cost * score * (1.0 - score)
    if bend < TINY:
        return
    leverage = np.zeros(DENSES)
    for row in range(DENSES):
        for column in range(DENSES):
            leverage[column] += np.float64(state.spread[row, column]) * facts[row]
    total = 0.0
    for place in range(DENSES):
        total += leverage[place] * facts[place]
    total = 1.0 / bend + total
    for row in range(DENSES):
        for column in range(DENSES):
            less = leverage[row] * (leverage[column] / total)
            state.spread[row, column] = np.float32(np.float64(state.spread[row, column]) - less)
    push = cost * (score - target) / (bend * total)
    for place in range(DENSES):
        state.dense[place] -= leverage[place] * push


@compiled
def learn_table(state, bags, pair, gradient, shares, rate):
    """As `learning.learn_table`."""
    table, single = state.table, np.zeros(1, dtype=np.float32)
    bits = single.view(np.uint32)
    more, less = shares
    for place in range(bags.starts[pair], bags.starts[pair + 1]):
        bucket = bags.buckets[place]
        slope = gradient * np.float64(bags.values[place])
        stored, squares = np.int64(table[bucket, SQUARES]), 0.0
        if stored > 0:
            bits[0] = np.uint32((stored + SQUARES_BASE) << SQUARES_SHIFT)
            squares = np.float64(single[0])
        squares += slope * slope
        weight = np.float64(np.int16(table[bucket, WEIGHT])) * WEIGHT_UNIT - rate * slope / math.sqrt(squares + TINY)
        unit = math.floor(weight / WEIGHT_UNIT + 0.5)
        table[bucket, WEIGHT] = np.uint16(np.int16(min(max(unit, -32767), 32767)))
        single[0] = np.float32(squares)
        stored = ((np.int64(bits[0]) + SQUARES_HALF) >> SQUARES_SHIFT) - SQUARES_BASE
        table[bucket, SQUARES] = np.uint16(min(max(stored, 0), 65535))
        likes, dislikes = np.int64(table[bucket, LIKED]) + more, np.int64(table[bucket, DISLIKED]) + less
        if likes > COUNT_MAX or dislikes > COUNT_MAX:
            likes, dislikes = (likes + 1) >> 1, (dislikes + 1) >> 1
        table[bucket, LIKED], table[bucket, DISLIKED] = np.uint16(likes), np.uint16(dislikes)


@compiled
def learn(state, bags, targets, costs, rates):
    """As `learning.learn`."""
    calibrate(state, ask_all(state, bags, rates), targets, costs, rates)
    experts, facts = np.zeros(EXPERTS), np.zeros(DENSES)
    for pair in range(len(targets)):
        target, cost, mode = targets[pair], costs[pair], np.int64(bags.modes[pair])
        mixed = ask_one(state, bags, pair, rates, (experts, facts))
        learn_stack(state, experts, mode, cost * (sigmoid(mixed) - target), rates.stack)
        learn_dense(state, experts[DENSE], facts, target, cost)
        share = min(cost, SHARE_MAX)
        more = math.floor(share / COUNT_UNIT * target + 0.5)
        less = math.floor(share / COUNT_UNIT * (1.0 - target) + 0.5)
        gradient = cost * (sigmoid(experts[ADAPTIVE]) - target)
        learn_table(state, bags, pair, gradient, (np.int64(more), np.int64(less)), rates.adaptive)
        state.totals[0] += share * target
        state.totals[1] += share * (1.0 - target)
        state.totals[2] += 1.0
