"""Vowpal Wabbit's contextual bandits on streams of text: events and an option line in, the reward of each choice out.

Standard input: {"options": str, "chars": bool, "cost": "loss" | "gain", "seed": int, "events": [[input, [candidate, …], right], …]}.
"""

import json
import random
import re
import sys

import vowpalwabbit

TOKEN = re.compile(r"\w+|[^\w\s]")


def words(text):
    return " ".join(token.replace(":", "\u2236").replace("|", "\u2223") for token in TOKEN.findall(text.lower()))


def grams(text):
    """Characters 3 to 5 inside words, as scikit-learn's char_wb cuts them."""
    found = []
    for token in text.lower().split():
        padded = f" {token} "
        for size in (3, 4, 5):
            found += [padded[at : at + size] for at in range(max(len(padded) - size + 1, 1))]
    return " ".join(g.replace(" ", "_").replace(":", "\u2236").replace("|", "\u2223") for g in found)


def main():
    asked = json.load(sys.stdin)
    learner = vowpalwabbit.Workspace(f"--quiet --random_seed {asked['seed'] + 1} {asked['options']}")
    draws = random.Random(asked["seed"])
    rewards = []
    for text, candidates, right in asked["events"]:
        shared = f"shared |t {words(text)}" + (f" |c {grams(text)}" if asked["chars"] else "")
        lines = [f"|a {words(candidate).replace(' ', '_')} |w {words(candidate)}" for candidate in candidates]
        shares = learner.predict([shared, *lines])
        shown = draws.choices(range(len(candidates)), shares)[0]
        reward = float(shown == right)
        cost = -reward if asked["cost"] == "gain" else 1.0 - reward
        lines[shown] = f"0:{cost}:{shares[shown] / sum(shares)} {lines[shown]}"
        learner.learn([shared, *lines])
        rewards.append(int(reward))
    learner.finish()
    json.dump({"rewards": rewards, "version": vowpalwabbit.__version__}, sys.stdout)


main()
