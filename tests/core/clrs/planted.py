"""Loops made up with a known truth: healthy ones of several kinds, and one planted change for every pattern."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from meta_learning.clrs import Exchange
from meta_learning.clrs.coherence.diversity import diversity
from meta_learning.clrs.coherence.words import HashedPairs, weighted
from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.patterns.port import Reading
from meta_learning.clrs.patterns.watch import PatternWatch

SIZE = 100
PROBE = 200
USERS = 25
CHANGE_AT = 25
WORDS = [f"word{n}" for n in range(3000)]
STEPS = np.cumsum(1.0 / np.arange(3, 3003))
STEPS /= STEPS[-1]


@dataclass
class World:
    """One healthy loop: users with tastes and offsets, a champion that knows something, texts of Zipf words."""

    seed: int = 0
    kind: str = "steady"
    draws: np.random.Generator = field(init=False)
    sides: Floats = field(init=False)
    last: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.draws = np.random.default_rng([17, self.seed])
        self.sides = self.draws.random(PROBE)

    def texts(self, length: int) -> list[str]:
        words = np.searchsorted(STEPS, self.draws.random((SIZE, length)))
        return [" ".join(WORDS[n] for n in row) for row in words.tolist()]

    def cycle(self, number: int) -> dict[str, Any]:
        """What happened in one cycle, still to be changed by a plant."""
        users, segments = self.draws.integers(USERS, size=SIZE), self.draws.integers(3, size=SIZE)
        taste = self.draws.random(SIZE)
        said = np.clip(taste + 0.1 * self.draws.normal(size=SIZE) + 0.02 * (users % 5 - 2), 0, 1)
        knows = min(number / 30, 1.0) if self.kind == "learning" else 0.8
        guess = 0.5 + knows * 0.7 * (np.clip(taste + 0.15 * self.draws.normal(size=SIZE), 0, 1) - 0.5)
        if self.kind == "binary":
            said = (self.draws.random(SIZE) < taste).astype(float)
        share = 0.08 * number**-0.5 if self.kind == "learning" else 0.02
        self.sides = np.where(self.draws.random(PROBE) < share, self.draws.random(PROBE), self.sides)
        outputs = self.texts(6)
        if self.kind == "labels":
            outputs = [("yes", "no")[int(like > 0.5)] for like in taste]
        return {
            "inputs": self.texts(12),
            "outputs": outputs,
            "users": users,
            "segments": segments,
            "said": said,
            "guess": guess,
            "probe": self.sides,
            "state": "aligned",
        }


Plant = Callable[[World, dict[str, Any], int], None]


def collapse(world: World, made: dict[str, Any], number: int) -> None:
    for index in np.flatnonzero(world.draws.random(SIZE) < 0.25):
        made["outputs"][index] = f"thank you for your message number {index} we will answer soon"


def polarisation(world: World, made: dict[str, Any], number: int) -> None:
    made["said"] = np.clip(np.rint(made["said"]) + 0.02 * world.draws.normal(size=SIZE), 0, 1)


def bold_predictions(world: World, made: dict[str, Any], number: int) -> None:
    made["guess"] = np.rint(made["guess"]) * 0.98 + 0.01


def sycophancy(world: World, made: dict[str, Any], number: int) -> None:
    before = np.array([world.last.get(int(user), 0.5) for user in made["users"]])
    made["guess"] = np.clip(0.8 * before + 0.2 * made["guess"], 0, 1)


def topic_birth(world: World, made: dict[str, Any], number: int) -> None:
    for index in np.flatnonzero(world.draws.random(SIZE) < 0.12):
        made["inputs"][index] += " strike ferry cancelled"


def topic_death(world: World, made: dict[str, Any], number: int) -> None:
    made["inputs"] = [text.replace(" lantern festival tickets", "") for text in made["inputs"]]


def segment_divergence(world: World, made: dict[str, Any], number: int) -> None:
    made["guess"] = np.where(made["segments"] == 1, 1.0 - made["said"], 0.7 * made["said"] + 0.3 * made["guess"])


def oscillation(world: World, made: dict[str, Any], number: int) -> None:
    swinging = np.arange(PROBE) % 4 == 0
    made["probe"] = np.where(swinging & (number % 2 == 0), 1.0 - made["probe"], made["probe"])


def label_inversion(world: World, made: dict[str, Any], number: int) -> None:
    made["said"] = 1.0 - made["said"]


def plateau(world: World, made: dict[str, Any], number: int) -> None:
    made["state"], made["probe"] = "misaligned", np.linspace(0, 1, PROBE)


PLANTS: dict[str, tuple[str, Plant]] = {
    "collapse": ("collapse", collapse),
    "polarisation of feedback": ("polarisation", polarisation),
    "polarisation of predictions": ("polarisation", bold_predictions),
    "sycophancy": ("sycophancy", sycophancy),
    "topic birth": ("topic_birth", topic_birth),
    "topic death": ("topic_death", topic_death),
    "segment divergence": ("segment_divergence", segment_divergence),
    "oscillation": ("oscillation", oscillation),
    "label inversion": ("label_inversion", label_inversion),
    "plateau": ("plateau", plateau),
}
KINDS = ("steady", "learning", "binary", "labels")


def readings(world: World, watch: PatternWatch, plant: Plant | None = None, cycles: int = 50) -> Iterator[Reading]:
    """The cycles of a loop; ``plant`` changes those from the 25th on. ``watch`` counts the words, as a monitor does."""
    for number in range(1, cycles + 1):
        made = world.cycle(number)
        for index in range(0, SIZE, 9):
            made["inputs"][index] += " lantern festival tickets"
        if plant is not None and number >= CHANGE_AT:
            plant(world, made, number)
        yield reading(world, watch, made, number)


def reading(world: World, watch: PatternWatch, made: dict[str, Any], number: int) -> Reading:
    hashed = HashedPairs.of(list(zip(made["inputs"], made["outputs"], strict=True)))
    watch.topics.update(hashed)
    told = [
        Exchange("", "", user_id=f"u{user}", segment=f"s{segment}")
        for user, segment in zip(made["users"], made["segments"], strict=True)
    ]
    for user, score in zip(made["users"].tolist(), made["said"].tolist(), strict=True):
        world.last[user] = score
    return Reading(
        cycle=number,
        exchanges=told,
        scores=made["said"],
        hashed=hashed,
        topics=watch.topics,
        predictions=made["guess"],
        probe_answers=made["probe"],
        probe_scores=np.tile([0.0, 1.0], PROBE // 2),
        diversity=diversity(made["outputs"], weighted(hashed.outputs)),
        alignment_state=made["state"],
    )


def run(kind: str, seed: int, plant: Plant | None = None, cycles: int = 50) -> tuple[PatternWatch, dict[str, int]]:
    """Watch one loop; the watch at its end, and the cycle in which each pattern was first found."""
    watch = PatternWatch()
    first: dict[str, int] = {}
    for seen in readings(World(seed, kind), watch, plant, cycles):
        for name in watch.update(seen):
            first.setdefault(name, seen.cycle)
    return watch, first


def without(seen: Reading, **left_out: Any) -> Reading:
    """A reading of an application that tells less."""
    return replace(seen, **left_out)
