"""The images are built and docker-compose.yml is run, for real: feedback in, versions out, the broker and the trainer killed.

Grafana is left out: no image of it can be made without a registry.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.engine import BROKER, PROMETHEUS, Engine, missing, wheelhouse

ROOT = Path(__file__).parents[2]
TARGETS = ("ingest", "trainer", "evolver", "monitor")
PORTS = {"monitor": 8000, "ingest": 8001, "trainer": 8002, "evolver": 8003}
Answer = tuple[int, Any, dict[str, str]]
pytestmark = [pytest.mark.timeout(1800), pytest.mark.slow]


class System:
    """The compose project, as an operator and a producer see it."""

    def __init__(self, engine: Engine, project: Path, has_prometheus: bool) -> None:
        self.engine, self.project, self.has_prometheus = engine, project, has_prometheus
        self.key = (project / "deploy/secrets/operator_key").read_text()

    def compose(self, *arguments: str) -> str:
        """Run docker compose in the project."""
        return self.engine.docker("compose", "--project-directory", str(self.project), *arguments)

    def ask(self, service: str, path: str, body: Any = None) -> Answer:
        """One HTTP request from inside the engine's network: status, body, headers. Status 0: nobody answered."""
        url = f"http://127.0.0.1:{PORTS.get(service, 9090)}{path}"
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(url, data, headers)
        answer: Answer = self.engine.inside(_answer, request)
        return answer

    def until(self, what: str, found: Callable[[], Any], deadline_s: float = 90.0) -> Any:
        """Ask until ``found`` gives something."""
        deadline = time.monotonic() + deadline_s
        while not (value := found()):
            assert time.monotonic() < deadline, (
                f"not {what} within {deadline_s:g} s: {self.compose('logs', '--tail', '20')}"
            )
            time.sleep(0.5)
        return value

    def ready(self, *services: str) -> None:
        """Wait until every one of ``services`` can do its work."""
        for service in services:
            self.until(f"{service} ready", partial(self.is_ready, service))

    def is_ready(self, service: str) -> bool:
        """Whether the service can do its work now."""
        return self.ask(service, "/readyz")[0] == 200

    def counts(self) -> dict[str, Any]:
        """The monitor's counts of the loop."""
        status, body, _ = self.ask("monitor", "/api/loops/parcels")
        return dict(body["counts"]) if status == 200 else {}

    def learnt(self, count: int) -> dict[str, Any]:
        """Wait until ``count`` pieces are folded by the trainer and the monitor; the counts, whose sum is checked."""
        found: dict[str, Any] = self.until(
            f"{count} learnt", lambda: (c := self.counts()) and c["monitored"] == count and c["open"] == 0 and c
        )
        assert found["trained"] + found["capped"] + found["distrusted"] + found["unlearnt"] == count
        return found


def _answer(request: urllib.request.Request) -> Answer:
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, _read(answer.read()), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, _read(error.read()), dict(error.headers)
    except OSError:
        return 0, None, {}


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


def feedback(first: int, count: int) -> list[dict[str, Any]]:
    """Pieces of feedback that can be learnt: polite answers are liked."""
    return [
        {
            "event_id": f"parcel-{number}",
            "occurred_at": "2026-01-02T03:04:05Z",
            "loop": "parcels",
            "input_text": f"Where is parcel {number}?",
            "output_text": "It arrives today, thank you for asking." if number % 2 else "No idea, look yourself.",
            "feedback_score": 0.9 if number % 2 else 0.1,
        }
        for number in range(first, first + count)
    ]


def checkout(folder: Path) -> Path:
    """What a clone would hold, with the wheels beside it."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listing.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    shutil.copytree(wheelhouse(ROOT / "requirements.lock"), folder / "wheelhouse", copy_function=_link)
    return folder


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    if reason := missing():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="engine-", ignore_cleanup_errors=True) as folder:
        engine = Engine(Path(folder), f"engine{os.getpid()}")
        try:
            if reason := engine.start():
                pytest.skip(f"dockerd does not start here: {reason}")
            engine.import_base()
            yield engine
        finally:
            engine.stop()


@pytest.fixture(scope="module")
def system(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    project = checkout(tmp_path_factory.mktemp("project"))
    build = ["build", "--network", "none", "--quiet", "--build-arg", "BASE=base:bookworm"]
    build += ["--build-arg", "PIP_OPTIONS=--no-index --find-links /lock"]
    for target in TARGETS:
        engine.docker(*build, "--target", target, "--tag", f"meta-learning-{target}", str(project))
    engine.build_small("broker:test", BROKER)
    prometheus = shutil.which("prometheus")
    if prometheus:
        engine.build_small("prometheus:test", PROMETHEUS, [Path(prometheus)])
    engine.environment |= {"BROKER_IMAGE": "broker:test", "PROMETHEUS_IMAGE": "prometheus:test"}
    subprocess.run([project / "deploy/new_secrets.sh"], check=True, capture_output=True)
    system = System(engine, project, prometheus is not None)
    try:
        wanted = ["broker", *TARGETS, *(["prometheus"] if prometheus else [])]
        system.compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", "180", *wanted)
        yield system
    finally:
        system.compose("down", "--volumes", "--timeout", "20")


def test_every_service_becomes_ready(system: System) -> None:
    system.ready(*TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_without_rights_or_tools(system: System, target: str) -> None:
    def inside(command: str) -> str:
        return system.compose("exec", "-T", target, "sh", "-c", command)

    assert inside("id -u") == "10001"
    assert inside("touch /app/x 2>/dev/null || echo refused") == "refused"
    assert inside("ls /venv/bin | grep -cE '^(pip|pytest|ruff|mypy)' || true") == "0"
    assert inside("touch /data/x && rm /data/x && echo kept") == "kept"


def test_feedback_becomes_versions(system: System) -> None:
    status, answer, _ = system.ask("ingest", "/v1/feedback/batch", feedback(0, 300))
    assert (status, {item["outcome"] for item in answer["items"]}) == (200, {"accepted"})
    assert sum(system.learnt(300)["cycles"].values()) == 3
    candidates = ["No idea, look yourself.", "It arrives today, thank you."]
    body = {"input_text": "Where is it?", "candidates": candidates, "explore": False}
    status, answer, _ = system.ask("ingest", "/v1/loops/parcels/rank", body)
    assert status == 200
    assert "thank you" in json.dumps(answer["candidates"][0])


def test_the_operators_door_wants_the_key(system: System) -> None:
    right, system.key = system.key, "wrong"
    try:
        assert system.ask("monitor", "/api/loops")[0] == 401
    finally:
        system.key = right
    assert system.ask("monitor", "/api/loops")[0] == 200


def test_prometheus_scrapes_all_four(system: System) -> None:
    if not system.has_prometheus:
        pytest.skip("prometheus is not installed (Debian: prometheus)")

    def value(query: str) -> float | None:
        _, answer, _ = system.ask("prometheus", f"/api/v1/query?query={urllib.parse.quote(query)}")
        found = answer["data"]["result"] if answer else []
        return float(found[0]["value"][1]) if found else None

    system.until("all four scraped", lambda: value("sum(up)") == 4.0)
    system.until("coherence there", lambda: value('meta_learning_coherence_score{loop="parcels"}') is not None)


def test_a_killed_broker_is_said_and_forgotten(system: System) -> None:
    system.compose("kill", "--signal", "KILL", "broker")
    _, answer, headers = system.until(
        "refused", lambda: (a := system.ask("ingest", "/v1/feedback", feedback(300, 1)[0]))[0] == 503 and a
    )
    assert answer["status"] == 503
    assert int(headers["retry-after"]) >= 1
    assert system.ask("ingest", "/readyz")[0] == 503
    assert system.ask("ingest", "/healthz")[0] == 200
    system.compose("start", "broker")
    system.ready(*TARGETS)
    _, answer, _ = system.ask("ingest", "/v1/feedback/batch", feedback(0, 400))
    outcomes = [item["outcome"] for item in answer["items"]]
    assert outcomes[:300] == ["duplicate"] * 300
    assert set(outcomes[300:]) <= {"accepted", "duplicate"}
    assert sum(system.learnt(400)["cycles"].values()) == 4


def test_a_killed_trainer_goes_on_from_its_last_commit(system: System) -> None:
    system.compose("kill", "--signal", "KILL", "trainer")
    assert system.ask("ingest", "/v1/feedback/batch", feedback(400, 100))[0] == 200
    system.compose("start", "trainer")
    assert sum(system.learnt(500)["cycles"].values()) == 5


def test_the_evolver_runs_the_packaged_model(system: System) -> None:
    settings = {
        "dataset": "sentiment140",
        "num_samples": 20,
        "gate_samples": 20,
        "max_iterations": 1,
        "budget": {"calls": 70},
    }
    status, asked, _ = system.ask("monitor", "/api/loops/parcels/evolutions", {"settings": settings})
    assert status == 202

    def ended() -> Any:
        _, answer, _ = system.ask("monitor", "/api/evolutions")
        runs = answer["evolutions"] if answer else []
        return next((run for run in runs if run["run_id"] == asked["run_id"] and run["state"] == "ended"), None)

    run = system.until("evolution ended", ended, deadline_s=240)
    assert run["outcome"] not in {"failed", "cancelled"}, run["reason"]


def test_services_end_by_themselves_when_asked(system: System) -> None:
    system.compose("stop", "--timeout", "20", *TARGETS)
    states = system.compose("ps", "--all", "--format", "json")
    codes = {row["Service"]: row["ExitCode"] for row in map(json.loads, states.splitlines())}
    assert {codes[target] for target in TARGETS} <= {0, 143}, codes
