"""Pairs into `Bags` with numpy alone: the reference that the compiled `kernel` equals bit for bit."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from meta_learning.clrs.models import bags as b
from meta_learning.clrs.models.codepoints import DIGIT, SPACE, TEXT_CHARS_MAX, UPPER, WORD, Codes, Ints, Kinds, Tables
from meta_learning.clrs.models.port import Floats

Hashes: TypeAlias = np.ndarray[Any, np.dtype[np.uint64]]
TOP = 1 << 64


class Field(NamedTuple):
    """One text, cut into tokens: words and single marks."""

    points: Codes
    lower: Codes
    kinds: Kinds
    tokens: Hashes
    lengths: Ints  # of the tokens
    are_words: np.ndarray[Any, np.dtype[np.bool_]]
    are_numbers: np.ndarray[Any, np.dtype[np.bool_]]


def extract(texts: b.Texts, tables: Tables, settings: b.BagSettings) -> b.Bags:
    """The bags of all pairs in ``texts``."""
    rows = [_pair(texts, pair, tables, settings) for pair in range(len(texts.starts) // 2)]
    sizes = np.array([len(row[0]) for row in rows], dtype=np.int64)
    return b.Bags(
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.concatenate([row[0] for row in rows]).astype(np.int32),
        np.concatenate([row[1] for row in rows]).astype(np.float32),
        np.concatenate([row[2] for row in rows]).astype(np.uint8),
        np.array([row[3] for row in rows], dtype=np.uint8),
        np.array([row[4] for row in rows]),
    )


def _pair(texts: b.Texts, pair: int, tables: Tables, settings: b.BagSettings) -> tuple[Any, Any, Any, int, Floats]:
    one, two, three = texts.starts[2 * pair : 2 * pair + 3].tolist()
    asked, said = field(texts.points[one:two], tables), field(texts.points[two:three], tables)
    spoken = said.tokens[said.are_words]
    mode = b.SHORT if 0 < len(spoken) <= b.CROSS_WORDS_MAX else b.LONG
    if mode == b.SHORT:
        key = mixed_one(joined_all(spoken.tolist()) ^ b.CROSS_SEED)
        parts = [
            words(asked, key, settings),
            characters(asked, key, settings),
            words(asked, b.INPUT_SEED, settings),
            words(said, b.OUTPUT_SEED, settings),
        ]
    else:
        parts = [
            words(asked, b.INPUT_SEED, settings),
            characters(asked, b.INPUT_SEED, settings),
            words(said, b.OUTPUT_SEED, settings),
            characters(said, b.OUTPUT_SEED, settings),
        ]
    return *_unique(parts, mode, settings), mode, facts(asked, said)


def _unique(parts: list[Hashes], mode: int, settings: b.BagSettings) -> tuple[Any, Any, Any]:
    """Each bucket once, in the order and the block of its first occurrence, scaled so that each block has its length."""
    owners = np.repeat(np.arange(b.BLOCKS_COUNT), [len(part) for part in parts])
    every = np.concatenate(parts) & np.uint64((1 << settings.bits) - 1)
    buckets, first, counts = np.unique(every, return_index=True, return_counts=True)
    order = np.argsort(first)
    buckets, blocks, counts = buckets[order], owners[first[order]], counts[order].astype(np.float64)
    squares = np.bincount(blocks, weights=counts * counts, minlength=b.BLOCKS_COUNT)
    scales = b.LENGTHS[mode] / np.sqrt(np.maximum(squares, 1.0))
    return buckets, counts * scales[blocks], blocks


def field(points: Codes, tables: Tables) -> Field:
    """Cut a text: runs of word characters, and every other character that is no space."""
    kinds, lower = tables.kinds[points], tables.lower[points]
    inside = (kinds & WORD) > 0
    visible = (kinds & SPACE) == 0
    after_word = np.concatenate([[False], inside[:-1]])
    before_word = np.concatenate([inside[1:], [False]])
    starts = np.flatnonzero(visible & ~(inside & after_word))
    ends = np.flatnonzero(visible & ~(inside & before_word)) + 1
    numbers = (kinds[starts] & DIGIT) > 0
    return Field(points, lower, kinds, _runs(lower, starts, ends), ends - starts, inside[starts], numbers)


def _runs(lower: Codes, starts: Ints, ends: Ints) -> Hashes:
    """The polynomial hash of each run; every power of an odd step has an inverse modulo 2**64, so sums do for all at once."""
    powers, inverses = _powers()
    terms = np.concatenate([[np.uint64(0)], (lower.astype(np.uint64) + np.uint64(1)) * inverses[: len(lower)]])
    sums = np.cumsum(terms, dtype=np.uint64)
    return (sums[ends] - sums[starts]) * powers[ends - 1]


@cache
def _powers() -> tuple[Hashes, Hashes]:
    powers, inverses, back = [1], [1], pow(b.STEP, -1, TOP)
    for _ in range(TEXT_CHARS_MAX):
        powers.append(powers[-1] * b.STEP % TOP)
        inverses.append(inverses[-1] * back % TOP)
    return np.array(powers, dtype=np.uint64), np.array(inverses, dtype=np.uint64)


def words(text: Field, seed: int, settings: b.BagSettings) -> Hashes:
    """The n-grams of tokens: all single ones, then all pairs, and so on."""
    found, grams = [], text.tokens
    for size in range(1, settings.words + 1):
        if size > 1:
            grams = grams[:-1] * np.uint64(b.JOIN) + text.tokens[size - 1 :]
        if len(grams) == 0:
            break
        found.append(mixed(grams ^ np.uint64(mixed_one(seed + size))))
    return np.concatenate(found) if found else np.zeros(0, dtype=np.uint64)


def characters(text: Field, seed: int, settings: b.BagSettings) -> Hashes:
    """The n-grams of characters inside words and their borders: no n-gram has a space in its middle."""
    padded = _padded(text)
    spaces = np.concatenate([[0], np.cumsum(padded == np.uint64(0))])
    found = []
    for size in range(settings.chars_min, settings.chars_max + 1):
        count = len(padded) - size + 1
        if count <= 0:
            break
        grams = np.zeros(count, dtype=np.uint64)
        for offset in range(size):
            grams = grams * np.uint64(b.STEP) + padded[offset : offset + count]
        middle = spaces[size - 1 : size - 1 + count] - spaces[1 : 1 + count]
        found.append(mixed(grams[middle == 0] ^ np.uint64(mixed_one(seed + 16 + size))))
    return np.concatenate(found) if found else np.zeros(0, dtype=np.uint64)


def _padded(text: Field) -> Hashes:
    """The text with one space (0) around every word, other characters as code point + 1."""
    visible = (text.kinds & SPACE) == 0
    if not visible.any():
        return np.zeros(0, dtype=np.uint64)
    codes = np.where(visible, text.lower.astype(np.uint64) + np.uint64(1), np.uint64(0))
    framed = np.concatenate([[np.uint64(0)], codes, [np.uint64(0)]])
    kept = np.concatenate([[True], (framed[1:] != 0) | (framed[:-1] != 0)])
    return np.asarray(framed[kept], dtype=np.uint64)


def mixed(hashes: Hashes) -> Hashes:
    """The finalizer of MurmurHash3: every bit of the result depends on every bit of the hash."""
    found = (hashes ^ (hashes >> np.uint64(33))) * np.uint64(b.MIX_ONE)
    found = (found ^ (found >> np.uint64(33))) * np.uint64(b.MIX_TWO)
    return found ^ (found >> np.uint64(33))


def mixed_one(number: int) -> int:
    """`mixed` of a single number."""
    return int(mixed(np.array([number % TOP], dtype=np.uint64))[0])


def joined_all(tokens: list[int]) -> int:
    """One hash for a sequence of tokens."""
    found = 0
    for token in tokens:
        found = (found * b.JOIN + token) % TOP
    return found


def facts(asked: Field, said: Field) -> Floats:
    """What can be counted: lengths, capitals, digits, marks, repetition, and what both texts share."""
    row = np.zeros(b.FACTS_COUNT)
    row[0] = 1.0
    uniques = [np.unique(text.tokens[text.are_words]) for text in (asked, said)]
    logs = [_described(row, place, text, len(uniques[place])) for place, text in enumerate((asked, said))]
    row[17] = logs[1] - logs[0]
    row[18] = row[17] * row[17]
    for place, mark in enumerate(b.MARKS):
        ones, twos = (int((text.points == mark).sum()) for text in (asked, said))
        row[19 + place] = min(ones, 4) / 4
        row[25 + place] = min(twos, 4) / 4
        row[31 + place] = min(abs(ones - twos), 4) / 2
    both = len(np.intersect1d(uniques[0], uniques[1]))
    row[37] = both / max(len(uniques[1]), 1)
    numbers = [np.unique(text.tokens[text.are_numbers]) for text in (asked, said)]
    shared = len(np.intersect1d(numbers[0], numbers[1]))
    every = len(numbers[0]) + len(numbers[1]) - shared
    row[38] = shared / every if every else 1.0
    row[39] = float(len(asked.points) > 0 and len(said.points) > 0 and asked.points[-1] == said.points[-1])
    return row


def _described(row: Floats, place: int, text: Field, unique: int) -> float:
    count, chars = int(text.are_words.sum()), max(len(text.points), 1)
    log = LOG_WORDS[count] / 4
    row[1 + place] = log
    row[3 + place] = log * log
    row[5 + place] = int(text.lengths[text.are_words].sum()) / max(count, 1) / 8
    row[7 + place] = 5 * int(((text.kinds & UPPER) > 0).sum()) / chars
    row[9 + place] = 5 * int(((text.kinds & DIGIT) > 0).sum()) / chars
    row[11 + place] = int((text.points > 127).sum()) / chars
    row[13 + place] = 1 - unique / max(count, 1)
    row[15 + place] = min(chars, 1000) / 1000
    return float(log)


LOG_WORDS = np.log1p(np.arange(TEXT_CHARS_MAX + 1))
