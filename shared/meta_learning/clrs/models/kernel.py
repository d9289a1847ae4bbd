"""`extraction` and `learning` compiled with numba (the extra ``fast``): the same bags and the same state, bit for bit.

Imported only where numba is installed. What is compiled is kept beside this file, or where numba's settings say; where nothing
can be kept, each process compiles anew. One file, because numba does not notice changes in other files that it called.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from meta_learning.clrs.models import bags as b
from meta_learning.clrs.models.codepoints import DIGIT, SPACE, UPPER, WORD, Tables
from meta_learning.clrs.models.extraction import LOG_WORDS

U = np.uint64
STEP, JOIN, MIX_ONE, MIX_TWO = U(b.STEP), U(b.JOIN), U(b.MIX_ONE), U(b.MIX_TWO)
INPUT_SEED, OUTPUT_SEED, CROSS_SEED = U(b.INPUT_SEED), U(b.OUTPUT_SEED), U(b.CROSS_SEED)
ONE, SHIFT, GOLDEN = U(1), U(33), U(0x9E3779B97F4A7C15)
MARKS = np.array(b.MARKS, dtype=np.uint32)
BLOCKS, FACTS = b.BLOCKS_COUNT, b.FACTS_COUNT
CROSS_WORDS_MAX = b.CROSS_WORDS_MAX
NUMBER, PLAIN = 2, 1


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` compiled at its first call, kept on disk where that is possible."""
    try:
        made: Callable[..., Any] = numba.njit(cache=True)(function)
    except RuntimeError:  # no folder that can be written to
        made = numba.njit(function)
    return made


@compiled
def mixed(number):
    """As `extraction.mixed`, of one number."""
    number = (number ^ (number >> SHIFT)) * MIX_ONE
    number = (number ^ (number >> SHIFT)) * MIX_TWO
    return number ^ (number >> SHIFT)


@compiled
def cut(points, tables, hashes, sorts, about):
    """Tokens of a text: their hashes and sorts (0 mark, PLAIN word, NUMBER word); their number is returned.

    ``about``: words, characters in words, capitals, digits, points beyond ASCII.
    """
    count, inside, current, about[:] = 0, False, U(0), 0
    for place in range(len(points)):
        point = points[place]
        kind = tables.kinds[point]
        about[2] += (kind & UPPER) > 0
        about[3] += (kind & DIGIT) > 0
        about[4] += point > 127
        if kind & WORD:
            if not inside:
                current, inside = U(0), True
                sorts[count] = NUMBER if kind & DIGIT else PLAIN
                about[0] += 1
            current = current * STEP + U(tables.lower[point]) + ONE
            about[1] += 1
            continue
        if inside:
            hashes[count] = current
            count, inside = count + 1, False
        if not kind & SPACE:
            hashes[count], sorts[count] = U(tables.lower[point]) + ONE, 0
            count += 1
    if inside:
        hashes[count] = current
        count += 1
    return count


@compiled
def pad(points, tables, padded):
    """One 0 around every word; the length is returned, 0 for a text of spaces."""
    count = 1
    padded[0] = U(0)
    for place in range(len(points)):
        point = points[place]
        if not tables.kinds[point] & SPACE:
            padded[count] = U(tables.lower[point]) + ONE
            count += 1
        elif padded[count - 1] != U(0):
            padded[count] = U(0)
            count += 1
    if padded[count - 1] != U(0):
        padded[count] = U(0)
        count += 1
    return count if count > 1 else 0


@compiled
def put_words(hashes, count, seed, words, row, size):
    """As `extraction.words`, into ``row`` from ``size`` on; the new size."""
    for length in range(1, words + 1):
        salt = mixed(seed + U(length))
        for first in range(count - length + 1):
            gram = hashes[first]
            for place in range(first + 1, first + length):
                gram = gram * JOIN + hashes[place]
            row[size] = mixed(gram ^ salt)
            size += 1
    return size


@compiled
def put_characters(padded, seed, low, high, row, size):
    """As `extraction.characters`, into ``row`` from ``size`` on; the new size."""
    for length in range(low, high + 1):
        salt = mixed(seed + U(16 + length))
        wall = 0  # the last 0 that was seen in the middle of the window
        for first in range(len(padded) - length + 1):
            inner = first + length - 2
            if first == 0:
                wall = 0
                for place in range(1, length - 1):
                    if padded[place] == U(0):
                        wall = place
            elif padded[inner] == U(0) and inner > 0:
                wall = inner
            if wall > first:
                continue
            gram = U(0)
            for place in range(first, first + length):
                gram = gram * STEP + padded[place]
            row[size] = mixed(gram ^ salt)
            size += 1
    return size


@compiled
def put_once(row, ends, lengths, mask, slots, out):
    """Each bucket once, in the order and the block of its first occurrence; how many there are."""
    buckets, values, blocks = out
    size, block, capacity = 0, 0, len(slots) - 1
    for place in range(ends[BLOCKS - 1]):
        while place >= ends[block]:
            block += 1
        bucket = np.int64(row[place] & mask)
        slot = np.int64((U(bucket) * GOLDEN) >> U(40)) & capacity
        while slots[slot] >= 0 and buckets[slots[slot]] != bucket:
            slot = (slot + 1) & capacity
        if slots[slot] >= 0:
            values[slots[slot]] += np.float32(1.0)
        else:
            slots[slot] = size
            buckets[size], values[size], blocks[size] = bucket, np.float32(1.0), block
            size += 1
    squares = np.zeros(BLOCKS)
    for place in range(size):
        squares[blocks[place]] += np.float64(values[place]) * np.float64(values[place])
        # every slot that was taken lies between its first choice and the next free one
        slot = np.int64((U(buckets[place]) * GOLDEN) >> U(40)) & capacity
        while slots[slot] >= 0:
            slots[slot] = -1
            slot = (slot + 1) & capacity
    for block in range(BLOCKS):
        squares[block] = lengths[block] / math.sqrt(max(squares[block], 1.0))
    for place in range(size):
        values[place] = np.float32(np.float64(values[place]) * squares[blocks[place]])
    return size


@compiled
def unique_shared(left, right):
    """How many different hashes are on the left, on the right, and on both sides."""
    left, right = np.sort(left), np.sort(right)
    lefts = rights = both = 0
    for place in range(len(left)):
        lefts += place == 0 or left[place] != left[place - 1]
    other = 0
    for place in range(len(right)):
        if place > 0 and right[place] == right[place - 1]:
            continue
        rights += 1
        while other < len(left) and left[other] < right[place]:
            other += 1
        both += other < len(left) and left[other] == right[place]
    return lefts, rights, both


@compiled
def count_marks(points, counts):
    """How often each mark occurs."""
    counts[:] = 0
    for place in range(len(points)):
        for mark in range(len(MARKS)):
            counts[mark] += points[place] == MARKS[mark]


@compiled
def describe(row, place, chars, about, unique):
    """What is said of one text: as in `extraction.facts`."""
    count, chars = about[0], max(chars, 1)
    log = LOG_WORDS[count] / 4
    row[1 + place] = log
    row[3 + place] = log * log
    row[5 + place] = about[1] / max(count, 1) / 8
    row[7 + place] = 5 * about[2] / chars
    row[9 + place] = 5 * about[3] / chars
    row[11 + place] = about[4] / chars
    row[13 + place] = 1 - unique / max(count, 1)
    row[15 + place] = min(chars, 1000) / 1000


@compiled
def put_facts(row, asked, said, ones, twos, abouts):
    """As `extraction.facts`; ``ones`` and ``twos``: hashes and sorts of the tokens."""
    row[0] = 1.0
    lefts, rights, both = unique_shared(ones[0][ones[1] > 0], twos[0][twos[1] > 0])
    describe(row, 0, len(asked), abouts[0], lefts)
    describe(row, 1, len(said), abouts[1], rights)
    row[17] = row[2] - row[1]
    row[18] = row[17] * row[17]
    left, right = np.zeros(len(MARKS), dtype=np.int64), np.zeros(len(MARKS), dtype=np.int64)
    count_marks(asked, left)
    count_marks(said, right)
    for mark in range(len(MARKS)):
        row[19 + mark] = min(left[mark], 4) / 4
        row[25 + mark] = min(right[mark], 4) / 4
        row[31 + mark] = min(abs(left[mark] - right[mark]), 4) / 2
    row[37] = both / max(rights, 1)
    lefts, rights, both = unique_shared(ones[0][ones[1] == NUMBER], twos[0][twos[1] == NUMBER])
    every = lefts + rights - both
    row[38] = both / every if every > 0 else 1.0
    row[39] = 1.0 if len(asked) > 0 and len(said) > 0 and asked[-1] == said[-1] else 0.0


@compiled
def put_blocks(ones, twos, padded, sizes, settings, rows):
    """All hashes of a pair into ``rows[0]``, the ends of its blocks into ``rows[1]``; its mode."""
    _, words, low, high = settings
    row, ends = rows
    key, spoken = U(0), 0
    for place in range(len(twos[0])):
        if twos[1][place] > 0:
            key, spoken = key * JOIN + twos[0][place], spoken + 1
    short = 0 < spoken <= CROSS_WORDS_MAX
    first = mixed(key ^ CROSS_SEED) if short else INPUT_SEED
    ends[0] = put_words(ones[0], len(ones[0]), first, words, row, 0)
    ends[1] = put_characters(padded[0, : sizes[0]], first, low, high, row, ends[0])
    if short:
        ends[2] = put_words(ones[0], len(ones[0]), INPUT_SEED, words, row, ends[1])
        ends[3] = put_words(twos[0], len(twos[0]), OUTPUT_SEED, words, row, ends[2])
    else:
        ends[2] = put_words(twos[0], len(twos[0]), OUTPUT_SEED, words, row, ends[1])
        ends[3] = put_characters(padded[1, : sizes[1]], OUTPUT_SEED, low, high, row, ends[2])
    return 1 if short else 0


@compiled
def extract_all(points, starts, tables, settings, lengths):
    """The arrays of `Bags` for all pairs of texts; ``settings``: bits, words, chars_min, chars_max."""
    bits, words, low, high = settings
    pairs = len(starts) // 2
    longest, grams = 4, 2 * words + high - low + 1
    for pair in range(pairs):
        longest = max(longest, starts[2 * pair + 2] - starts[2 * pair] + 4)
    room = (starts[2 * pairs] + 4 * pairs) * grams
    buckets, values = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.float32)
    blocks = np.empty(room, dtype=np.uint8)
    bounds, modes = np.zeros(pairs + 1, dtype=np.int64), np.zeros(pairs, dtype=np.uint8)
    facts = np.zeros((pairs, FACTS))
    capacity = 64
    while capacity < 2 * longest * grams:
        capacity *= 2
    slots, row = np.full(capacity, -1, dtype=np.int32), np.empty(longest * grams, dtype=np.uint64)
    hashes, sorts = np.empty((2, longest), dtype=np.uint64), np.empty((2, longest), dtype=np.uint8)
    padded, abouts = np.empty((2, longest), dtype=np.uint64), np.zeros((2, 5), dtype=np.int64)
    ends, sizes, mask = np.zeros(BLOCKS, dtype=np.int64), np.zeros(4, dtype=np.int64), U((1 << bits) - 1)
    for pair in range(pairs):
        asked = points[starts[2 * pair] : starts[2 * pair + 1]]
        said = points[starts[2 * pair + 1] : starts[2 * pair + 2]]
        sizes[0], sizes[1] = pad(asked, tables, padded[0]), pad(said, tables, padded[1])
        sizes[2] = cut(asked, tables, hashes[0], sorts[0], abouts[0])
        sizes[3] = cut(said, tables, hashes[1], sorts[1], abouts[1])
        ones = hashes[0, : sizes[2]], sorts[0, : sizes[2]]
        twos = hashes[1, : sizes[3]], sorts[1, : sizes[3]]
        modes[pair] = put_blocks(ones, twos, padded, sizes, settings, (row, ends))
        put_facts(facts[pair], asked, said, ones, twos, abouts)
        begin = bounds[pair]
        out = buckets[begin:], values[begin:], blocks[begin:]
        bounds[pair + 1] = begin + put_once(row, ends, lengths[modes[pair]], mask, slots, out)
    size = bounds[pairs]
    return bounds, buckets[:size].copy(), values[:size].copy(), blocks[:size].copy(), modes, facts


def extract(texts: b.Texts, tables: Tables, settings: b.BagSettings) -> b.Bags:
    """As `extraction.extract`."""
    numbers = (settings.bits, settings.words, settings.chars_min, settings.chars_max)
    return b.Bags(*extract_all(texts.points, texts.starts, tables, numbers, b.LENGTHS))
