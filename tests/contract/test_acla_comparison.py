"""The comparison with other optimizers, on recorded answers of the packaged model: what it counts, caps and keeps."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.acla_peers import testing
from benchmarks.acla_peers.cells import Bench
from benchmarks.acla_peers.replay import BUDGET, CELLS, TEST_COUNT, restore
from benchmarks.acla_peers.scoring import differences, interval, mcnemar, outcome
from benchmarks.acla_peers.serving import serving

RECORDED = Path(__file__).parent / "acla_replay.json"
SERVES = """
import sys
from pathlib import Path
from benchmarks.acla_peers.serving import serving

with serving(Path(sys.argv[1]), replay_only=True) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("comparison")
    restore(RECORDED, folder / "recordings.sqlite")
    with serving(folder / "recordings.sqlite", replay_only=True) as url:
        bench = Bench(folder, url, TEST_COUNT, at_once=2)
        bench.run(CELLS)
        yield bench


def test_every_call_of_both_arms_is_counted_by_the_meter_and_none_is_above_the_cap(bench: Bench) -> None:
    for cell in CELLS:
        found = json.loads(bench.file(cell).read_text())
        assert found["ended"] == "finished"
        assert 90 <= found["meter"]["calls"] <= BUDGET
        assert found["meter"]["cached"] == found["meter"]["calls"]
        assert found["meter"]["prompt_tokens"] > 20 * found["meter"]["calls"]


def test_a_finished_cell_is_not_run_again(bench: Bench) -> None:
    before = [bench.file(cell).stat().st_mtime_ns for cell in CELLS]
    bench.run(CELLS)
    assert [bench.file(cell).stat().st_mtime_ns for cell in CELLS] == before


def test_the_recorded_prompts_are_compared_item_by_item_on_items_that_nobody_learnt_from(bench: Bench) -> None:
    drawn = bench.items("bundled", 7)
    assert not {text for text, _ in drawn.test} & {text for text, _ in [*drawn.train, *drawn.val]}
    random, ours = (outcome(bench, [json.loads(bench.file(cell).read_text())], BUDGET) for cell in CELLS)
    assert len(ours.rights[0]) == TEST_COUNT
    low, high = interval(differences(ours, random))
    assert low <= ours.accuracy - random.accuracy <= high
    assert 0.0 < mcnemar(ours, random) <= 1.0
    assert ours.accuracy > random.accuracy


def test_what_an_arm_held_earlier_can_be_read_off(bench: Bench) -> None:
    found = [json.loads(bench.file(cell).read_text()) for cell in CELLS]
    for one in found:
        calls = [point["calls"] for point in one["trace"]]
        assert calls == sorted(calls)
        assert calls[-1] <= BUDGET
    assert outcome(bench, found[:1], 1, 10).prompts == [found[0]["start"]["prompt"]]


def test_arms_that_come_to_the_same_prompt_at_the_same_time_ask_its_test_items_once_and_leave_no_turn_behind(
    bench: Bench, tmp_path: Path
) -> None:
    def calls() -> int:
        with urllib.request.urlopen(f"{bench.url.removesuffix('/v1')}/meter?tag=test:bundled:7") as answer:
            return int(json.load(answer)["calls"])

    package = json.loads(bench.file(CELLS[0]).read_text())["start"]
    drawn, before, together = bench.items("bundled", 7), calls(), threading.Barrier(4)

    def arm(_: int) -> list[str | None]:
        together.wait(10)
        return testing.Tested(tmp_path, "bundled", 7, drawn.test).answers(package, bench.url)

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(arm, range(4)))
    assert all(one == said[0] for one in said)
    assert calls() - before == TEST_COUNT
    assert not testing._TURNS


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_model_server_ends_with_the_process_that_started_it_however_that_is_ended(
    how: signal.Signals, tmp_path: Path
) -> None:
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(root / "shared")])}
    restore(RECORDED, tmp_path / "recordings.sqlite")
    command = [sys.executable, "-c", SERVES, str(tmp_path / "recordings.sqlite")]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, start_new_session=True, **pipes) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"http://127.0.0.1:")
            process.send_signal(how)
            assert process.wait(20) == -how
            # The server writes where its parent wrote: that ends once both have.
            process.communicate(timeout=20)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
