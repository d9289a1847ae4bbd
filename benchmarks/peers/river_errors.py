"""Alarms of River's change detectors on streams of 0/1 errors: JSON in, JSON out (see `benchmarks.monitor.drift_errors`)."""

import river
from answering import answer
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


answer(alarms, river.__version__)
