"""Alarms of frouros's change detectors on streams of 0/1 errors: JSON in, JSON out (see `benchmarks.drift_errors`)."""

import json
import sys
import time
from importlib.metadata import version

from frouros.detectors.concept_drift import CUSUM, HDDMA, CUSUMConfig, HDDMAConfig

DETECTORS = {
    "frouros CUSUM": lambda set_: CUSUM(config=CUSUMConfig(**set_)),
    "frouros HDDM_A": lambda set_: HDDMA(config=HDDMAConfig(**set_)),
}


def alarms(name, settings, stream):
    detector, found = DETECTORS[name](settings), []
    for event, error in enumerate(stream):
        detector.update(value=error)
        if detector.drift:
            found.append(event)
            detector.reset()
    return found


def main():
    question = json.load(sys.stdin)
    began, events, answers = time.process_time(), 0, []
    for stream in question["streams"]:
        bits = [int(bit) for bit in stream]
        answers.append(alarms(question["detector"], question["settings"], bits))
        events += len(bits)
    spent = time.process_time() - began
    json.dump({"alarms": answers, "us": 1e6 * spent / max(events, 1), "version": version("frouros")}, sys.stdout)


main()
