"""Vowpal Wabbit's logistic, one example at a time: texts and labels in, the logit of each text before it was learnt out.

Standard input: {"texts": [str], "labels": [0 or 1, or between], "lines": {NAME: {"options": str, "chars": bool}}}.
A label between 0 and 1 is learnt as two examples with the weights y and 1 - y.
"""

import json
import re
import sys
import time

import vowpalwabbit

TOKEN = re.compile(r"\w+|[^\w\s]")


def escaped(text):
    return text.replace(":", "<c>").replace("|", "<p>").replace(" ", "_")


def characters(text):
    found = []
    for word in text.split():
        padded = f"_{word}_"
        for size in (3, 4, 5):
            found += [padded[at : at + size] for at in range(max(len(padded) - size + 1, 1))]
    return found


def features(fields, chars):
    parts = []
    for letter, field in zip("ab", fields, strict=False):
        text = field.lower()
        parts.append(f"|w{letter} {' '.join(map(escaped, TOKEN.findall(text)))}")
        if chars:
            parts.append(f"|c{letter} {' '.join(map(escaped, characters(text)))}")
    return " ".join(parts)


def online(texts, labels, options, chars):
    learner = vowpalwabbit.Workspace(f"--loss_function logistic --quiet {options}")
    found, start = [], time.process_time()
    for fields, label in zip(texts, labels, strict=True):
        said = features(fields, chars)
        if label in (0, 1):
            example = learner.parse(f"{1 if label else -1} {said}")
            found.append(learner.predict(example))
            learner.learn(example)
            learner.finish_example(example)
            continue
        found.append(learner.predict(said))
        learner.learn(f"1 {label:.4f} {said}")
        learner.learn(f"-1 {1 - label:.4f} {said}")
    spent = time.process_time() - start
    learner.finish()
    return {"logits": found, "seconds": spent}


def main():
    asked = json.load(sys.stdin)
    answers = {name: online(asked["texts"], asked["labels"], **line) for name, line in asked["lines"].items()}
    json.dump({"version": vowpalwabbit.__version__, "lines": answers}, sys.stdout)


main()
