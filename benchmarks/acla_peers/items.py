"""The tasks, and what each data seed draws of them: items to learn from, and fresh ones to test on."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meta_learning.acla.splits import item_id
from meta_learning.datasets import CommonsenseQALoader, Sentiment140Loader

DATA = Path(os.environ.get("META_LEARNING_DATA_SETS", "../shared/data"))
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Task:
    """A classification task with the prompt that every arm starts from, and how many items there are to learn from.

    ``rewrites``: the file of prepared instructions; ``is_packaged``: whether the packaged model is meant.
    """

    name: str
    seed_prompt: str
    labels: tuple[str, ...]
    rows: Callable[[int, int], list[Pair]]
    rewrites: str
    search_count: int = 200
    gate_count: int = 166
    is_packaged: bool = True


@dataclass(frozen=True, slots=True)
class Draw:
    """Items of one data seed, (input, answer): ``train`` and ``val`` to learn from, ``test`` to be asked once a final prompt."""

    train: list[Pair]
    val: list[Pair]
    test: list[Pair]

    @property
    def samples(self) -> list[dict[str, Any]]:
        """What is there to learn from, as a loader gives it."""
        return [{"input": text, "expected": label} for text, label in (*self.train, *self.val)]


def _tweets(count: int, seed: int) -> list[Pair]:
    drawn = Sentiment140Loader(DATA / "sentiment140_train_20k_head_tail.csv").get_samples(count, seed=seed)
    return [(one["input"], one["expected"]) for one in drawn]


def _bundled(count: int, seed: int) -> list[Pair]:
    drawn = Sentiment140Loader().get_samples(count, seed=seed)
    return [(one["input"], one["expected"]) for one in drawn]


def _questions(count: int, seed: int) -> list[Pair]:
    drawn = CommonsenseQALoader(DATA / "csqa_train_rand_split.jsonl").get_samples(count, seed=seed)
    return [(one["input"], one["expected"]) for one in drawn]


SENTIMENT_PROMPT = "Classify the sentiment of the tweet. Answer with one word: positive or negative."
CHOICE_PROMPT = "Answer the question. Reply with only the letter of the right choice: A, B, C, D or E."
SENTIMENT_LABELS, LETTERS = ("negative", "positive"), ("A", "B", "C", "D", "E")
TASKS = {
    one.name: one
    for one in (
        Task("sentiment140", SENTIMENT_PROMPT, SENTIMENT_LABELS, _tweets, "sentiment140"),
        Task("bundled", SENTIMENT_PROMPT, SENTIMENT_LABELS, _bundled, "sentiment140", 60, 40),
        Task("commonsense", CHOICE_PROMPT, LETTERS, _questions, "commonsense", is_packaged=False),
    )
}


def draw(task: Task, data_seed: int, test_count: int) -> Draw:
    """Distinct items, the first to learn from, the next for the test; runs of space are one space, for every arm.

    Raises:
        ValueError: there are too few distinct items.
    """
    learning = task.search_count + task.gate_count
    wanted = learning + test_count
    # A few more, in the place of repeated ones.
    rows = task.rows(wanted + 20, data_seed)
    once = {item_id(text): (" ".join(text.split()), label) for text, label in reversed(rows)}
    pairs = [once.pop(name) for text, _ in rows if (name := item_id(text)) in once]
    if len(pairs) < wanted:
        raise ValueError(f"{task.name} has only {len(pairs)} distinct items for seed {data_seed}; {wanted} are wanted")
    return Draw(pairs[: task.search_count], pairs[task.search_count : learning], pairs[learning:wanted])
