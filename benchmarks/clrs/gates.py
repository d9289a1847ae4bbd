"""Do the gates hold bad candidates and pass harmless ones? 500 planted ones of each, judged cycle by cycle by the loop's own gates.

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.clrs.gates [seeds] [first seed]

A seed shuffles Sentiment140 (20,000 tweets) into 8,000 to train on, 4,000 to judge on in cycles of 100, and 8,000 held out. A
champion learns from 2,000 or 4,000 tweets; candidates are made from it, ten kinds of bad and five of harmless ones.

What a candidate *is* was fixed before any gate was asked, by the held-out tweets alone:

- bad: it loses at least 0.010 Brier points, or 2 points of accuracy, or, in one segment, 0.10 Brier points;
- harmless: it loses at most 0.001 Brier points, and in no segment more than 0.02;
- what is neither is counted as such and judged by nobody.

Each is frozen and judged as the loop does, beside a learner that goes on from the champion, until it is promoted, refuted,
overtaken or out of time. One that nothing but its behaviour holds comes again as its own successor, on new evidence: no newer
candidate could be worse. ``missed``: a bad one was promoted, at whichever try. ``blocked``: a harmless one was refuted or ran out of
time; one that the learner overtook made way for something better and is counted apart, and as blocked in the strict line.
Intervals are 95 % Clopper-Pearson. Settings were frozen on seed 0, which the report leaves out.
"""

from __future__ import annotations

import csv
import os
import random
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import beta

from meta_learning.clrs import LoopSettings, OnlineTextModel
from meta_learning.clrs.gating.evaluation import Answers, Case
from meta_learning.clrs.gating.judging import Docket, judge
from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.models.text_state import COUNT_MAX, DISLIKED, LIKED, SQUARES, WEIGHT

DATA = Path(os.environ.get("META_LEARNING_DATA_SETS", "../shared/data"))
TRAIN, JUDGED, HELD = slice(12_000, 20_000), slice(8_000, 12_000), slice(0, 8_000)
CYCLES, CYCLE, PROBE = 40, 100, 200
SETTINGS = LoopSettings()


@dataclass(frozen=True)
class Tweets:
    """One shuffle: pairs, scores, who wrote them, and a segment that can be seen in the text."""

    pairs: list[tuple[str, str]]
    scores: Floats
    users: list[str]
    segments: np.ndarray[tuple[int], np.dtype[np.str_]]


def tweets(seed: int) -> Tweets:
    with (DATA / "sentiment140_train_20k_head_tail.csv").open(encoding="latin-1", newline="") as file:
        rows = list(csv.reader(file))
    random.Random(seed).shuffle(rows)
    texts = [row[5] for row in rows]
    return Tweets(
        [(text, "sentiment") for text in texts],
        np.array([float(row[0] == "4") for row in rows]),
        [row[4] for row in rows],
        np.array([segment_of(text) for text in texts]),
    )


def segment_of(text: str) -> str:
    """Links 4 %, replies 42 %, short 19 %, long 7 %, the rest 28 %."""
    if "http" in text:
        return "link"
    if text.startswith("@"):
        return "reply"
    return "short" if len(text) < 50 else "long" if len(text) > 120 else "rest"


class Maker:
    """Makes candidates out of one champion of ``size`` tweets; each is its predictions for all tweets that judge it."""

    def __init__(self, data: Tweets, size: int, seed: int) -> None:
        self.data, self.size = data, size
        self.draws = np.random.default_rng([11, seed, size])
        self.model = OnlineTextModel()
        self.bags = self.model.features.of(data.pairs[: JUDGED.stop])
        self.order = np.arange(TRAIN.start, TRAIN.stop)
        self.taught(self.model, self.order[:size])
        self.champion = self.said(self.model)

    def taught(self, model: OnlineTextModel, where: np.ndarray, scores: Floats | None = None) -> OnlineTextModel:
        """``model`` after these tweets, in cycles."""
        scores = self.data.scores if scores is None else scores
        for start in range(0, len(where), CYCLE):
            part = where[start : start + CYCLE]
            model.learn([self.data.pairs[at] for at in part], scores[part])
        return model

    def said(self, model: OnlineTextModel) -> Floats:
        """What a model says to every tweet that judges it."""
        found = model.features.path.predict(model.state, self.bags, model.rates)
        return np.asarray(np.round(found, 6), dtype=np.float64)

    def fresh(self) -> OnlineTextModel:
        """A model that knows nothing, with the same features."""
        return OnlineTextModel(self.model.settings, self.model.features)

    def noisy(self, share: float) -> Floats:
        """Noise on the weights that were learnt, of so many of their standard deviations."""
        twin = self.model.copy()
        table = twin.state.table
        on = table[:, SQUARES] > 0
        weights = table[on, WEIGHT].view(np.int16).astype(np.float64)
        weights += self.draws.normal(0.0, share * float(weights.std()), size=len(weights))
        table[on, WEIGHT] = np.clip(np.round(weights), -32767, 32767).astype(np.int16).view(np.uint16)
        counts = table[on][:, [LIKED, DISLIKED]].astype(np.float64)
        counts *= np.exp(self.draws.normal(0.0, share, size=counts.shape))
        table[np.flatnonzero(on)[:, None], [LIKED, DISLIKED]] = np.clip(np.round(counts), 0, COUNT_MAX).astype(
            np.uint16
        )
        return self.said(twin)

    # -- bad ones -----------------------------------------------------------------------------------------------------

    def flipped_weights(self) -> Floats:
        """A part of the buckets, or all of them, with what is liked and what is disliked changed round."""
        twin = self.model.copy()
        table = twin.state.table
        on = np.flatnonzero(self.draws.random(len(table)) < self.draws.choice([0.1, 0.3, 1.0]))
        table[on, WEIGHT] = (-table[on, WEIGHT].view(np.int16)).view(np.uint16)
        table[on[:, None], [LIKED, DISLIKED]] = table[on[:, None], [DISLIKED, LIKED]]
        return self.said(twin)

    def flipped_part(self) -> Floats:
        """Trained like the champion, with 10 to 40 % of the labels flipped."""
        scores, lied = self.data.scores.copy(), self.draws.random(len(self.data.scores)) < self.draws.uniform(0.1, 0.4)
        scores[lied] = 1.0 - scores[lied]
        return self.said(self.taught(self.fresh(), self.order[: self.size], scores))

    def flipped_cycles(self) -> Floats:
        """The champion after two to seven more cycles of flipped labels."""
        count = CYCLE * int(self.draws.integers(2, 8))
        where = self.draws.permutation(self.order[self.size :])[:count]
        return self.said(self.taught(self.model.copy(), where, 1.0 - self.data.scores))

    def ruined_segment(self) -> Floats:
        """The opposite of what the champion says, in one segment."""
        said, name = self.champion.copy(), self.draws.choice(["link", "reply", "short", "long"])
        there = self.data.segments[: JUDGED.stop] == name
        said[there] = 1.0 - said[there]
        return said

    def silent_segment(self) -> Floats:
        """The same extreme answer to everything in one segment."""
        said, name = self.champion.copy(), self.draws.choice(["reply", "short", "long", "rest"])
        there = self.data.segments[: JUDGED.stop] == name
        said[there] = self.draws.choice([0.05, 0.95])
        return said

    def collapsed(self) -> Floats:
        """One answer to everything."""
        return np.full(JUDGED.stop, round(float(self.draws.uniform(0.3, 0.7)), 6))

    def noise(self) -> Floats:
        """Much noise on the weights."""
        return self.noisy(self.draws.uniform(0.7, 2.0))

    def one_user(self) -> Floats:
        """Twenty passes over what one busy user wrote, all of it with one mood."""
        busy = [user for user, count in Counter(self.data.users[TRAIN]).most_common(20) if count >= 4]
        user = str(self.draws.choice(busy))
        where = np.array([at for at in self.order if self.data.users[at] == user])
        scores = np.full(len(self.data.scores), float(self.draws.integers(2)))
        return self.said(self.taught(self.model.copy(), np.tile(where, 20), scores))

    def subtle(self) -> Floats:
        """Between the champion and a model of shuffled labels: about 2 to 5 points of accuracy lost."""
        scores = self.draws.permutation(self.data.scores)
        wrong = self.said(self.taught(self.fresh(), self.order[: self.size], scores))
        share = self.draws.uniform(0.2, 0.45)
        return np.round((1.0 - share) * self.champion + share * wrong, 6)

    def forgetful(self) -> Floats:
        """Trained on a fifth to three fifths of the tweets."""
        return self.said(self.taught(self.fresh(), self.order[: int(self.size * self.draws.uniform(0.2, 0.6))]))

    # -- harmless ones ------------------------------------------------------------------------------------------------

    def retrained(self) -> Floats:
        """As many other tweets (where there are that many) in another order."""
        return self.said(self.taught(self.fresh(), self.draws.permutation(self.order)[: self.size]))

    def reordered(self) -> Floats:
        """The same tweets in another order."""
        return self.said(self.taught(self.fresh(), self.draws.permutation(self.order[: self.size])))

    def next_cycle(self) -> Floats:
        """One more cycle."""
        return self.more(CYCLE)

    def more_data(self) -> Floats:
        """Three to fourteen more cycles."""
        return self.more(CYCLE * int(self.draws.integers(3, 15)))

    def more(self, count: int) -> Floats:
        """The champion after ``count`` more tweets."""
        return self.said(self.taught(self.model.copy(), self.draws.permutation(self.order[self.size :])[:count]))

    def tiny_noise(self) -> Floats:
        """Little noise on the weights."""
        return self.noisy(self.draws.uniform(0.02, 0.15))


BAD: tuple[Callable[[Maker], Floats], ...] = (
    Maker.flipped_weights,
    Maker.flipped_part,
    Maker.flipped_cycles,
    Maker.ruined_segment,
    Maker.silent_segment,
    Maker.collapsed,
    Maker.noise,
    Maker.one_user,
    Maker.subtle,
    Maker.forgetful,
)
HARMLESS: tuple[Callable[[Maker], Floats], ...] = (
    Maker.retrained,
    Maker.reordered,
    Maker.next_cycle,
    Maker.more_data,
    Maker.tiny_noise,
)


def truth(maker: Maker, candidate: Floats) -> str:
    """Bad, harmless or neither, by the held-out tweets alone."""
    true, segments = maker.data.scores[HELD], maker.data.segments[HELD]
    champion, mine = maker.champion[HELD], candidate[HELD]
    lost = (mine - true) ** 2 - (champion - true) ** 2
    right = ((champion >= 0.5) == (true >= 0.5)).mean() - ((mine >= 0.5) == (true >= 0.5)).mean()
    worst = max(lost[segments == name].mean() for name in np.unique(segments))
    if lost.mean() >= 0.010 or right >= 0.02 or worst >= 0.10:
        return "bad"
    return "harmless" if lost.mean() <= 0.001 and worst <= 0.02 else "neither"


def learners(maker: Maker) -> list[Floats]:
    """What the learner says in each cycle: it goes on from the champion with the tweets that judge the candidate."""
    model, found = maker.model.copy(), []
    for start in range(JUDGED.start, JUDGED.stop, CYCLE):
        found.append(maker.said(model)[start : start + CYCLE])
        maker.taught(model, np.arange(start, start + CYCLE))
    return found


def judged(maker: Maker, candidate: Floats, learner: list[Floats]) -> tuple[str, int]:
    """What became of a candidate, and after how many cycles."""
    docket, true, segments = Docket(), maker.data.scores, maker.data.segments
    for number in range(CYCLES):
        here = slice(JUDGED.start + number * CYCLE, JUDGED.start + (number + 1) * CYCLE)
        parts = {
            str(name): tuple(np.flatnonzero(segments[here] == name).tolist()) for name in np.unique(segments[here])
        }
        said = Answers(
            candidate=candidate[here],
            champion=maker.champion[here],
            probe_candidate=candidate[:PROBE],
            probe_champion=maker.champion[:PROBE],
            learner=learner[number] if docket.cycles else None,
        )
        case = Case(said, true[here], {}, parts, maker.size // CYCLE + number, "champion", "candidate")
        decision, docket = judge(case, docket, SETTINGS)
        if decision.outcome == "promoted":
            return "promoted", number + 1
        last = decision.reasons[-1]
        if decision.then in {"drop", "restart"} and "nothing but its behaviour" not in last:
            how = "overtaken" if "learner" in last else "out of time" if "neither" in last else "refuted"
            return how, number + 1
    return "out of time", CYCLES


def trials(seed: int) -> Iterator[tuple[str, str, str, int]]:
    """(true kind, how it was made, what became of it, after how many cycles) of 25 bad and 25 harmless candidates."""
    data = tweets(seed)
    makers = [Maker(data, size, seed) for size in (2_000, 4_000)]
    beside = [learners(maker) for maker in makers]
    for wanted, ways, rounds in (("bad", BAD, 25), ("harmless", HARMLESS, 25)):
        found, tried = 0, 0
        while found < rounds and tried < 4 * rounds:
            way, which = ways[tried % len(ways)], (tried // len(ways)) % 2
            candidate, tried = way(makers[which]), tried + 1
            kind = truth(makers[which], candidate)
            if kind != wanted:
                yield "neither", way.__name__, kind, 0
                continue
            found += 1
            yield wanted, way.__name__, *judged(makers[which], candidate, beside[which])


def interval(count: int, total: int) -> str:
    low = beta.ppf(0.025, count, total - count + 1) if count else 0.0
    high = beta.ppf(0.975, count + 1, total - count) if count < total else 1.0
    return f"{count} of {total} = {count / max(total, 1):.1%} ({low:.1%} … {high:.1%})"


def report(found: list[tuple[str, str, str, int]]) -> None:
    by_kind: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for true, way, became, cycles in found:
        by_kind[true, way].append((became, cycles))
    for (true, way), cases in sorted(by_kind.items()):
        told = dict(Counter(became for became, _ in cases))
        took = statistics.median(cycles for _, cycles in cases)
        print(f"  {true:9s}{way:17s}{len(cases):4d}  median {took:4.1f} cycles  {told}")
    bad = [became for true, _, became, _ in found if true == "bad"]
    harmless = [became for true, _, became, _ in found if true == "harmless"]
    print(f"missed   {interval(bad.count('promoted'), len(bad))}")
    refused = sum(became in {"refuted", "out of time"} for became in harmless)
    print(f"blocked  {interval(refused, len(harmless))}")
    print(f"blocked, overtaken ones counted too  {interval(refused + harmless.count('overtaken'), len(harmless))}")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    found, started = list[tuple[str, str, str, int]](), time.process_time()
    for seed in range(first, first + count):
        found += trials(seed)
    print(f"seeds {first} to {first + count - 1}, {time.process_time() - started:.0f} CPU-s, {SETTINGS}")
    report(found)


if __name__ == "__main__":
    main()
