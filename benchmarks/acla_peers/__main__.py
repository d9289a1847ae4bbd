"""Run what is missing of the comparison and print its tables.

    python -m benchmarks.acla_peers [--task sentiment140] [--seeds 9 10 11 12 13] [--test 300] [--arms ours gepa]
        [--url http://127.0.0.1:8765/v1] [--model FILE] [--threads 1] [--folder data/acla_peers] [--own] [--report-only]
        [--figures docs/research]

Without ``--url`` it starts the model server (and meter) itself. Hours on two cores; breaking it off loses nothing. Tables need
`seed`, `ours` and a rival. ``--model`` (or the variable META_LEARNING_BENCH_MODEL) is the file of the larger model, for tasks that
are not asked of the packaged one.
"""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from pathlib import Path

from benchmarks.acla_peers.cells import Bench
from benchmarks.acla_peers.items import TASKS
from benchmarks.acla_peers.report import Report
from benchmarks.acla_peers.serving import serving
from benchmarks.acla_peers.settings import PLANS, RIVALS, cells


def _recordings(model: Path | None) -> str:
    """The file of the answers of a model."""
    return f"recordings-{Path(model).stem}.sqlite" if model else "recordings.sqlite"


def main() -> None:
    """See the module."""
    said = argparse.ArgumentParser(description="The prompt optimizer against its peers.")
    said.add_argument("--task", default="sentiment140")
    said.add_argument("--seeds", type=int, nargs="+", default=[9, 10, 11, 12, 13])
    said.add_argument("--test", type=int, default=300)
    said.add_argument("--arms", nargs="+", default=[], help="default: the task's")
    said.add_argument("--url")
    said.add_argument("--folder", type=Path, default=Path("data/acla_peers"))
    said.add_argument("--at-once", type=int, default=12)
    said.add_argument("--own", action="store_true", help="the model itself proposes, instead of prepared rewrites")
    said.add_argument("--model", type=Path, default=os.environ.get("META_LEARNING_BENCH_MODEL"))
    said.add_argument("--threads", type=int, default=1)
    said.add_argument("--report-only", action="store_true")
    said.add_argument("--figures", type=Path)
    asked = said.parse_args()
    wanted = cells(asked.task, asked.seeds, tuple(asked.arms), not asked.own)
    model = None if TASKS[asked.task].is_packaged else asked.model
    if model is None and not TASKS[asked.task].is_packaged and not (asked.url or asked.report_only):
        said.error(f"{asked.task} is asked of a larger model: say its file with --model (benchmarks/acla_protocol.md)")
    with ExitStack() as stack:
        url = asked.url or (
            ""
            if asked.report_only
            else stack.enter_context(
                serving(asked.folder / _recordings(model), model=model, threads_count=asked.threads)
            )
        )
        bench = Bench(asked.folder, url, asked.test, asked.at_once)
        if not asked.report_only:
            bench.run(wanted)
            bench.ask_more(wanted)
    compared = set(asked.arms or PLANS[asked.task].arms)
    if not (compared >= {"seed", "ours"} and compared & set(RIVALS)):
        return
    report = Report(bench, wanted)
    print(report.text())
    for path in report.figure(asked.figures) if asked.figures else []:
        print(path)


if __name__ == "__main__":
    main()
