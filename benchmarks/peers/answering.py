"""What the peers that watch streams of errors share: streams in, their alarms, CPU time and version out."""

import json
import sys
import time


def answer(alarms, version):
    """Answer the question on standard input; ``alarms(detector, settings, bits)`` gives the events of its alarms."""
    question = json.load(sys.stdin)
    began, events, answers = time.process_time(), 0, []
    for stream in question["streams"]:
        bits = [int(bit) for bit in stream]
        answers.append(alarms(question["detector"], question["settings"], bits))
        events += len(bits)
    spent = time.process_time() - began
    json.dump({"alarms": answers, "us": 1e6 * spent / max(events, 1), "version": version}, sys.stdout)
