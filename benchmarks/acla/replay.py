"""Can the prompt optimizer's answer be trusted, and what does it cost beside the model? Whole runs over replayed outcome matrices.

    python -m benchmarks.acla.replay [--runs 100] [--ablations 25] [--calls 1000] [--seconds 540]

Per world: gain on 2,000 test items, runs that end below the seed, optimism (reported minus test; 0 where the seed stays), calls,
and CPU milliseconds per call outside the model. Arms are the optimizer, itself without one idea, and the acceptance rules of
others (`rules.py`) with our author. Runs are kept under ``data/`` as they come, by the digest of the code that made them:
a command that was cut off goes on where it stopped, and the table says how many runs each row has. Settings were tuned on worlds
numbered from 1,000 and on worlds 0 to 99; worlds from 100 on are for reporting.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks.acla import rules, worlds
from benchmarks.acla.rules import RULES, found_by
from benchmarks.acla.worlds import SEED_PROMPT, World
from meta_learning import acla
from meta_learning.acla import AdaptiveCurriculumAgent, CurriculumConfig, Prompt
from meta_learning.acla.statistics import wilson

SEARCH_COUNT = 200
# fmt: off
WORLDS: dict[str, dict[str, Any]] = {
    "some changes help": {},
    "few changes help": {"drift": -0.2},
    "nothing helps": {"drift": -0.05, "effect": 0.0},
    "all are equal": {"drift": 0.0, "effect": 0.0},
    "all are equal, logprobs": {"drift": 0.0, "effect": 0.0, "logprobs": True},
    "examples help": {"base": -0.3, "examples_drift": 0.45, "examples_effect": 0.15},
    "logprobs, leaning": {"logprobs": True, "leaning": 1.0},
    "logprobs, level": {"logprobs": True, "leaning": 0.0},
    "logprobs, examples help": {"logprobs": True, "leaning": 0.1, "base": 0.15, "examples_drift": 0.13, "examples_effect": 0.1,
                                "drift": -0.02, "effect": 0.08},
    "logprobs, leaning, examples hurt": {"logprobs": True, "leaning": 1.4, "examples_drift": -0.1, "examples_effect": 0.2,
                                         "drift": -0.1, "effect": 0.1},
    "only examples help": {"base": -0.535, "examples_drift": 0.69, "examples_effect": 0.14, "drift": -0.1, "effect": 0.05},
    "only instructions help": {"base": 0.1, "examples_drift": -0.1, "examples_effect": 0.08, "drift": 0.03, "effect": 0.15},
    "prompts lean": {"base": 0.4, "drift": -0.02, "effect": 0.05, "examples_drift": 0.0, "examples_effect": 0.1, "leaning": 1.0,
                     "leaning_spread": 2.5},
}
# fmt: on
OURS = "ours"
ABLATIONS: dict[str, dict[str, Any]] = {
    "without adaptive order": {"adaptive_order": False},
    "without calibration": {"calibrate": False},
    "without fresh gate": {"alpha": 0.5, "gate_samples": 20},
}
HEAD = "| world | arm | gain, points | improved | below seed | optimism | calls | overhead ms/call |"


@dataclass(frozen=True, slots=True)
class Run:
    """One run, judged by the truth."""

    number: int
    improved: bool
    gain: float
    optimism: float
    calls: int
    overhead_ms: float


@dataclass(frozen=True, slots=True)
class Cell:
    """One world with one arm, and the file of its runs."""

    world: str
    arm: str
    calls: int
    folder: Path

    @property
    def path(self) -> Path:
        """One line a run."""
        name = f"{self.world} {self.arm} {self.calls}".translate(str.maketrans(" :,", "___"))
        return self.folder / f"{name}.jsonl"

    def runs(self) -> dict[int, Run]:
        """What was run so far, by the number of the world."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return {one.number: one for one in (Run(**json.loads(line)) for line in lines)}

    def add(self, run: Run) -> None:
        """Keep a run."""
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(run)) + "\n")


def run(number: int, world: dict[str, Any], arm: str, calls_max: int) -> Run:
    truth = World(number, **world)
    llm, model_s = truth.model(), 0.0
    reply = llm.answer

    def timed(request: Any) -> Any:
        nonlocal model_s
        started = time.process_time()
        answer = reply(request)
        model_s += time.process_time() - started
        return answer

    llm.answer = timed
    started = time.process_time()
    if arm in RULES:
        samples = truth.samples(SEARCH_COUNT + calls_max // 6)
        found = asyncio.run(found_by(arm, llm, samples, SEED_PROMPT, calls_max, number))
        prompt, bias, score, calls = found.prompt, {}, found.score, found.calls
        improved = prompt.version != Prompt.parse(SEED_PROMPT).version
    else:
        results = _searched(truth, llm, ABLATIONS.get(arm, {}), calls_max)
        package, score, calls = results["best_package"], results["best_performance"], results["calls"]
        prompt, bias = Prompt.parse(package["prompt"]), package["label_bias"]
        improved = results["outcome"] == "improved"
    overhead_s = time.process_time() - started - model_s
    before, after = truth.accuracy(Prompt.parse(SEED_PROMPT), {}), truth.accuracy(prompt, bias)
    return Run(number, improved, after - before, score - after if improved else 0.0, calls, 1000 * overhead_s / calls)


def _searched(truth: World, llm: Any, changes: dict[str, Any], calls_max: int) -> dict[str, Any]:
    settings: dict[str, Any] = {"gate_samples": calls_max // 6, "max_iterations": 60, "seed": truth.number} | changes
    config = CurriculumConfig(SEED_PROMPT, "world", calls_max=calls_max, **settings)
    return asyncio.run(AdaptiveCurriculumAgent(config, llm).run_curriculum(truth.samples, num_samples=SEARCH_COUNT))


def plan(runs: int, ablations: int, calls: int, folder: Path, only: str) -> Iterator[tuple[Cell, int]]:
    """Every cell with the number of its runs; our own arm first, everywhere."""
    for arm, count in [(OURS, runs), *((rule, runs) for rule in RULES), *((one, ablations) for one in ABLATIONS)]:
        for world, settings in WORLDS.items():
            if (arm != "without calibration" or settings.get("logprobs")) and only in arm:
                yield Cell(world, arm, calls, folder), count


def row(cell: Cell, numbers: range) -> str:
    runs = [one for number, one in cell.runs().items() if number in numbers]
    if len(runs) < 2:
        return ""
    gains, biases = [one.gain for one in runs], [one.optimism for one in runs]
    below, improved = sum(one < 0 for one in gains), sum(one.improved for one in runs)
    return (
        f"| {cell.world} | {cell.arm} | {_points(gains)} | {_share(improved, len(runs))} | {_share(below, len(runs))} "
        f"| {_points(biases)} | {fmean(one.calls for one in runs):.0f} | {fmean(one.overhead_ms for one in runs):.2f} |"
    )


def _points(values: list[float]) -> str:
    return f"{100 * fmean(values):+.2f} ± {196 * stdev(values) / sqrt(len(values)):.2f}"


def _share(count: int, total: int) -> str:
    low, high = wilson(count, total)
    return f"{count}/{total} ({100 * low:.0f}–{100 * high:.0f} %)"


def folder_of_this_code() -> Path:
    """Runs of other code are other runs."""
    files = [*Path(acla.__file__).parent.rglob("*.py"), Path(worlds.__file__), Path(rules.__file__)]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(files))).hexdigest()[:12]
    folder = Path("data") / "benchmarks" / "acla_replay" / digest
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (("runs", 100), ("ablations", 25), ("calls", 1000), ("first", 100)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no run after so many")
    parser.add_argument("--only", default="", help="arms whose name holds this")
    asked = parser.parse_args()
    started, cells = (
        time.monotonic(),
        list(plan(asked.runs, asked.ablations, asked.calls, folder_of_this_code(), asked.only)),
    )
    for cell, count in cells:
        known = cell.runs()
        for number in range(asked.first, asked.first + count):
            if number not in known and time.monotonic() - started < asked.seconds:
                cell.add(run(number, WORLDS[cell.world], cell.arm, cell.calls))
    print(HEAD + "\n" + "|---" * 8 + "|")
    for cell, count in cells:
        print(row(cell, range(asked.first, asked.first + count)))


if __name__ == "__main__":
    main()
