"""Run what is missing of the comparison and print its tables.

    python -m benchmarks.acla_peers [--task sentiment140] [--seeds 1 2 3 4 5] [--test 300] [--arms ours gepa]
        [--url http://127.0.0.1:8765/v1] [--folder data/acla_peers] [--own] [--by-label] [--report-only] [--figures docs/research]

Without ``--url`` it starts the model server (and meter) itself. Hours on two cores; breaking it off loses nothing.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path

from benchmarks.acla_peers.cells import Bench
from benchmarks.acla_peers.report import Report
from benchmarks.acla_peers.serving import serving
from benchmarks.acla_peers.settings import ARMS, cells


def main() -> None:
    """See the module."""
    said = argparse.ArgumentParser(description="The prompt optimizer against its peers.")
    said.add_argument("--task", default="sentiment140")
    said.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    said.add_argument("--test", type=int, default=300)
    said.add_argument("--arms", nargs="+", default=list(ARMS))
    said.add_argument("--url")
    said.add_argument("--folder", type=Path, default=Path("data/acla_peers"))
    said.add_argument("--at-once", type=int, default=12)
    said.add_argument("--own", action="store_true", help="the model itself proposes, instead of prepared rewrites")
    said.add_argument(
        "--by-label", action="store_true", help="read the final prompts of all arms as the most probable label, too"
    )
    said.add_argument("--report-only", action="store_true")
    said.add_argument("--figures", type=Path)
    asked = said.parse_args()
    wanted = cells(asked.task, asked.seeds, tuple(asked.arms), not asked.own)
    with ExitStack() as stack:
        url = asked.url or (
            "" if asked.report_only else stack.enter_context(serving(asked.folder / "recordings.sqlite"))
        )
        bench = Bench(asked.folder, url, asked.test, asked.at_once)
        if not asked.report_only:
            bench.run(wanted)
        if asked.by_label:
            bench.read_by_label(wanted)
    report = Report(bench, wanted)
    print(report.text())
    for path in report.figure(asked.figures) if asked.figures else []:
        print(path)


if __name__ == "__main__":
    main()
