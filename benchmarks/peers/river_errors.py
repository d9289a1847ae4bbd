"""Alarms of River's change detectors on streams of 0/1 errors: JSON in, JSON out (see `benchmarks.drift_errors`)."""

import json
import sys
import time

import river
from river import drift

DETECTORS = {
    "ADWIN": lambda **set_: drift.ADWIN(**set_),
    "Page-Hinkley": lambda **set_: drift.PageHinkley(**set_),
    "DDM": lambda **set_: drift.binary.DDM(**set_),
    "HDDM_A": lambda **set_: drift.binary.HDDMA(**set_),
    "dummy": lambda **set_: drift.DummyDriftDetector(**set_),
}


def alarms(name, settings, stream):
    detector, found = DETECTORS[name](**settings), []
    for event, error in enumerate(stream):
        detector.update(error)
        if detector.drift_detected:
            found.append(event)
    return found


def main():
    question = json.load(sys.stdin)
    began, events, answers = time.process_time(), 0, []
    for stream in question["streams"]:
        bits = [int(bit) for bit in stream]
        answers.append(alarms(question["detector"], question["settings"], bits))
        events += len(bits)
    spent = time.process_time() - began
    json.dump({"alarms": answers, "us": 1e6 * spent / max(events, 1), "version": river.__version__}, sys.stdout)


main()
