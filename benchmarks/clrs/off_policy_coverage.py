"""Do the intervals of the off-policy estimates cover the truth? Logged choices on real tweets and messages, simulated many times.

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.clrs.off_policy_coverage [simulations, default 500] [stream …]

A text model learns from the first 3,000 tweets (or 1,500 messages) and acts on the others; a second model, of half as much
training, is the version in question. A simulation draws ``n`` inputs with replacement, and one answer each as logged; the
truth is the mean reward that the policy in question earns on all inputs, known here because the labels are. Printed: the share of
intervals that hold the truth (nominal .95; 500 simulations leave ± .019), mean width, bias, and how many were refused (ESS < 50).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from benchmarks.clrs.bandit_regret import Event, mixed, sentiment, sms
from meta_learning.clrs import OnlineTextModel
from meta_learning.clrs.acting import policy_named
from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.off_policy import Logged, estimate

CASES = (  # logging policy, and policy in question of the second model
    ("epsilon_greedy:0.2", "greedy"),
    ("squarecb:1", "epsilon_greedy:0.1"),
    ("squarecb:1000", "greedy"),
)
WAYS = (("ips", "bootstrap"), ("ips", "bernstein"), ("snips", "bootstrap"), ("dr", "bootstrap"), ("dr", "bernstein"))


def trained(events: list[Event], count: int) -> OnlineTextModel:
    model = OnlineTextModel()
    for first in range(0, count, 100):
        rows = [
            (text, name, float(place == right))
            for text, names, right in events[first : first + 100]
            for place, name in enumerate(names)
        ]
        model.learn([(text, name) for text, name, _ in rows], np.array([score for *_, score in rows]))
    return model


def scored(model: OnlineTextModel, events: list[Event]) -> Floats:
    pairs = [(text, name) for text, names, _ in events for name in names]
    return model.predict(pairs).reshape(len(events), -1)


def simulated(
    shares: tuple[Floats, Floats], scores: Floats, right: Floats, n: int, draws: np.random.Generator
) -> Logged:
    logging, asked_about = shares
    rows = draws.integers(len(right), size=n)
    cut = draws.random((n, 1))
    shown = np.minimum((cut > logging[rows].cumsum(axis=1)).sum(axis=1), logging.shape[1] - 1)
    return Logged(
        rewards=(shown == right[rows]).astype(float),
        propensities=logging[rows, shown],
        targets=np.minimum(asked_about[rows, shown], 1.0),
        shown_values=scores[rows, shown],
        policy_values=np.clip((asked_about[rows] * scores[rows]).sum(axis=1), 0.0, 1.0),
        asked=np.ones(n),
    )


def figures(name: str, events: list[Event], learnt: int, count: int) -> Iterator[str]:
    now, then, rest = trained(events, learnt), trained(events, learnt // 2), events[learnt:]
    right = np.array([place for *_, place in rest])
    scores = scored(now, rest), scored(then, rest)
    for case, (logging, judged) in enumerate(CASES):
        shares = tuple(
            np.array([policy_named(policy).probabilities(row, learnt) for row in found])
            for policy, found in ((logging, scores[0]), (judged, scores[1]))
        )
        truth = float(shares[1][np.arange(len(right)), right].mean())
        for n in (300, 1000):
            logs = [
                simulated((shares[0], shares[1]), scores[1], right, n, np.random.default_rng([case, n, s]))
                for s in range(count)
            ]
            for method, interval in WAYS:
                found = [estimate(log, method, interval, seed=s) for s, log in enumerate(logs)]  # type: ignore[arg-type]
                told = [
                    item for item in found if item.value is not None and item.low is not None and item.high is not None
                ]
                head = f"{name} | {logging} → {judged} | {n} | {method}, {interval} | "
                if not told:
                    yield head + f"all {count} refused"
                    continue
                bounds = np.array([(item.low, item.value, item.high) for item in told])
                covered = float(((bounds[:, 0] <= truth) & (truth <= bounds[:, 2])).mean())
                width, bias = float((bounds[:, 2] - bounds[:, 0]).mean()), float(bounds[:, 1].mean() - truth)
                ess = np.mean([item.ess for item in told])
                yield head + f"{covered:.3f} | {width:.3f} | {bias:+.4f} | {ess:.0f} | {count - len(told)}"


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    print("data | logging → in question | n | estimate | coverage | width | bias | ESS | refused")
    for name, events, learnt in (("sentiment", sentiment(1), 3000), ("sms", sms(1), 1500), ("mixed", mixed(1), 3000)):
        if sys.argv[2:] and name not in sys.argv[2:]:
            continue
        for line in figures(name, events, learnt, count):
            print(line, flush=True)


if __name__ == "__main__":
    main()
