"""River's naive Bayes on words and pairs of words, one example at a time: texts and labels in, probabilities out.

Standard input: {"texts": [[str, ...]], "labels": [0 or 1]}.
"""

import json
import sys
import time

import river
from river import feature_extraction, naive_bayes


def main():
    asked = json.load(sys.stdin)
    model = feature_extraction.BagOfWords(ngram_range=(1, 2), lowercase=True) | naive_bayes.MultinomialNB()
    found, start = [], time.process_time()
    for fields, label in zip(asked["texts"], asked["labels"], strict=True):
        text = " ".join(fields)
        found.append(model.predict_proba_one(text).get(1, 0.5))
        model.learn_one(text, int(label))
    seconds = time.process_time() - start
    json.dump({"version": river.__version__, "probabilities": found, "seconds": seconds}, sys.stdout)


main()
