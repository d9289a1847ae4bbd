"""Alarms of frouros's change detectors on streams of 0/1 errors: JSON in, JSON out (see `benchmarks.monitor.drift_errors`)."""

from importlib.metadata import version

from answering import answer
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


answer(alarms, version("frouros"))
