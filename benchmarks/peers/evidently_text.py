"""Evidently's text drift, and its preset on numeric columns: JSON in, JSON out (see `benchmarks.monitor`: `drift_text` and `cost`)."""

import json
import sys
import time
import warnings
from importlib.metadata import version

import pandas as pd

warnings.simplefilter("ignore")


LIMIT = 0.55  # its default for more than 1,000 rows of reference


def text(question):
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    evidence, spent, count = [], 0.0, 0
    definition = DataDefinition(text_columns=["text"])
    for reference, windows in question["streams"]:
        before, found = Dataset.from_pandas(pd.DataFrame({"text": reference * 2}), data_definition=definition), []
        for _, texts in windows:
            began = time.process_time()
            now = Dataset.from_pandas(pd.DataFrame({"text": texts}), data_definition=definition)
            done = Report([ValueDrift(column="text", method="abs_text_content_drift")]).run(now, before)
            spent, count = spent + time.process_time() - began, count + 1
            found.append(float(done.dict()["metrics"][0]["value"]))
        evidence.append(found)
    alarms = [[int(value > LIMIT) for value in found] for found in evidence]
    return {"evidence": evidence, "alarms": alarms, "ms": 1000 * spent / count}


def preset(question):
    from evidently import Report
    from evidently.presets import DataDriftPreset

    before, spent = pd.DataFrame(question["reference"]), []
    for window in question["windows"]:
        began = time.process_time()
        Report([DataDriftPreset()]).run(pd.DataFrame(window), before).dict()
        spent.append(time.process_time() - began)
    return {"ms": 1000 * sum(spent) / len(spent)}


def main():
    question, shown = json.load(sys.stdin), sys.stdout
    sys.stdout = sys.stderr  # the library prints
    answer = preset(question) if question["detector"] == "preset" else text(question)
    json.dump({**answer, "version": version("evidently")}, shown)


main()
