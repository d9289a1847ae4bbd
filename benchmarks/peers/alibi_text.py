"""Text drift by alibi-detect's classifier and by a plain C2ST: JSON in, JSON out (see `benchmarks.monitor.drift_text`)."""

import json
import sys
import time
import warnings
from importlib.metadata import version

import numpy as np
from alibi_detect.cd import ClassifierDrift
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

warnings.simplefilter("ignore")


def c2st(reference):
    def evidence(window):
        texts, labels = reference + window, np.arange(len(reference) + len(window)) >= len(reference)
        model = make_pipeline(
            TfidfVectorizer(token_pattern=r"\w+|[^\w\s]", sublinear_tf=True),
            LogisticRegression(class_weight="balanced"),
        )
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        found = cross_val_predict(model, texts, labels, cv=folds, method="predict_proba")[:, 1]
        return float(roc_auc_score(labels, found)), None

    return evidence


def classifier(reference):
    # The embedding is fitted on other texts than it is tested on would be better still; half of the reference is what there is.
    embed = make_pipeline(TfidfVectorizer(token_pattern=r"\w+|[^\w\s]"), TruncatedSVD(32, random_state=0)).fit(
        reference[:500]
    )
    detector = ClassifierDrift(
        embed.transform(reference),
        LogisticRegression(),
        backend="sklearn",
        p_val=0.05,
        preds_type="probs",
        n_folds=5,
        seed=0,
    )

    def evidence(window):
        found = detector.predict(embed.transform(window))["data"]
        return float(found["distance"]), int(found["is_drift"])

    return evidence


def main():
    question = json.load(sys.stdin)
    make = {"c2st": c2st, "classifier": classifier}[question["detector"]]
    evidence, alarms, spent, count = [], [], 0.0, 0
    for reference, windows in question["streams"]:
        detect, found = make(reference), []
        began = time.process_time()
        for _, texts in windows:
            found.append(detect(texts))
        spent, count = spent + time.process_time() - began, count + len(windows)
        evidence.append([value for value, _ in found])
        alarms.append([alarm for _, alarm in found])
    name = "alibi-detect" if question["detector"] == "classifier" else "scikit-learn"
    answer = {"evidence": evidence, "ms": 1000 * spent / count, "version": f"{name} {version(name)}"}
    json.dump(answer | ({"alarms": alarms} if question["detector"] == "classifier" else {}), sys.stdout)


main()
