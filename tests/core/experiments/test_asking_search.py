"""How a prompt is asked, searched for under one ledger: the best way is found, and takes over on fresh items only."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("optuna", reason="tuning is an extra")
from meta_learning.acla.store import MemoryRunStore
from meta_learning.cli import app
from meta_learning.errors import ConfigurationError
from meta_learning.experiments.tuning.asking_config import AskingConfig
from meta_learning.experiments.tuning.asking_search import AskingSearch
from meta_learning.llm import Capabilities, Reply, Request
from meta_learning.llm.scripted import ScriptedLLM
from tests.services.evolver.loopback import Model, serving

ITEMS = {
    f"text number {n} of a small collection": ("good", "bad")[hashlib.sha256(b"%d" % n).digest()[0] % 2]
    for n in range(400)
}
PROMPT = "Say whether the text is good or bad. Answer with one word: good or bad."
SETTINGS: dict[str, Any] = {
    "kind": "asking",
    "name": "texts",
    "dataset": {"name": "texts", "initial_prompt": PROMPT},
    "space": {
        "temperature": {"low": 0.0, "high": 1.0},
        "shots": {"choices": [0, 2, 4]},
        "model_name": {"choices": ["small", "large"]},
    },
    "model": {"model_name": "small"},
    "trials": 14,
    "items": 40,
    "gate_items": 80,
    "caps": {"calls": 900},
}


def chance(*keys: object) -> float:
    return int.from_bytes(hashlib.sha256(repr(keys).encode()).digest()[:4]) / 2**32


class Models:
    """Two models that are right more often the more examples they are shown and the cooler they are; ``gain`` 0: always alike."""

    def __init__(self, gain: float = 1.0, alive: int = 100_000) -> None:
        self.gain, self.alive = gain, alive
        self.asked: list[tuple[str, Request]] = []

    def connect(self, name: str | None) -> ScriptedLLM:
        def answer(request: Request) -> str:
            if len(self.asked) == self.alive:
                # As Ctrl-C does. Raised in here as an exception it would leave a task that nobody hears.
                signal.raise_signal(signal.SIGINT)
            self.asked.append((str(name), request))
            text = request.messages[-1].text
            shots = (len(request.messages) - 2) / 2 or request.messages[0].text.count("\nAnswer: ")
            skill = 0.55 + self.gain * (0.06 * shots + 0.1 * (name == "large") - 0.2 * (request.temperature or 0.0))
            right = ITEMS[text]
            wrong = "bad" if right == "good" else "good"
            return right if chance(name, request.temperature, shots, text) < skill else wrong

        return ScriptedLLM(answer, model=str(name), capabilities=Capabilities(temperature=True, concurrency_max=1))


def search(models: Models, tmp_path: Path, store: MemoryRunStore | None = None, **changes: Any) -> dict[str, Any]:
    config = AskingConfig.read(SETTINGS | changes)
    samples = [{"input": text, "expected": answer} for text, answer in ITEMS.items()]
    one = AskingSearch(config, models.connect, store or MemoryRunStore())
    return asyncio.run(one.run(lambda count: samples[:count], tmp_path))


def test_the_best_way_to_ask_is_found_and_proven_on_fresh_items_within_the_cap(tmp_path: Path) -> None:
    models = Models()
    report = search(models, tmp_path)
    assert report["outcome"] == "improved", report["reason"]
    assert (report["chosen"]["shots"], report["chosen"]["model_name"]) == (4, "large")
    assert report["trials"][0]["settings"] == {"temperature": 0.0, "shots": 0, "model_name": "small"}
    assert len(models.asked) == report["calls"] == report["spent"]["calls"] <= 900
    assert any(trial["state"] == "cut short" and trial["items"] < 40 for trial in report["trials"])
    # No answer was paid for twice, and what is shown as an example is never asked.
    digests = Counter(request.digest(name, name) for name, request in models.asked)
    assert set(digests.values()) == {1}
    inputs = {request.messages[-1].text for _, request in models.asked}
    with_examples = max(
        (request for _, request in models.asked), key=lambda one: sum(len(m.text) for m in one.messages)
    )
    said = " ".join(message.text for message in with_examples.messages[:-1])
    shown = [text for text in ITEMS if text in said]
    assert len(shown) == 4
    assert not inputs & set(shown)
    assert {ITEMS[text] for text in shown} == {"good", "bad"}
    fresh = report["gate"]["finalists"][0]["pairs_count"]
    assert fresh == report["plan"]["gate_items"] == 80


def test_where_nothing_helps_the_default_stays(tmp_path: Path) -> None:
    outcomes = [search(Models(gain=0.0), tmp_path, seed=seed)["outcome"] for seed in range(6)]
    assert outcomes.count("improved") <= 1  # alpha is 0.1
    assert {"no_evidence", "improved"} >= set(outcomes)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """The interpreter's own answer to Ctrl-C, whatever runs the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_search_that_was_interrupted_ends_as_the_unbroken_one_and_pays_nothing_twice(
    tmp_path: Path, ctrl_c: None, caplog: pytest.LogCaptureFixture
) -> None:
    unbroken, store = Models(), MemoryRunStore()
    wanted = search(unbroken, tmp_path)
    first, second = Models(alive=333), Models()
    with pytest.raises(KeyboardInterrupt):
        search(first, tmp_path, store)
    gc.collect()
    assert caplog.messages == []  # no task of it was left alone
    assert search(second, tmp_path, store) == wanted
    assert len(first.asked) + len(second.asked) == len(unbroken.asked)


def test_the_decision_is_paid_for_whatever_is_capped(tmp_path: Path) -> None:
    for caps in ({"calls": 400}, {"calls": 5000, "tokens": 12_000}):
        report = search(Models(), tmp_path, caps=caps)
        assert "cut short" in report["reason"]
        assert report["gate"] is not None, report["reason"]
        assert report["spent"]["tokens"] <= caps.get("tokens", 10**9)


def test_a_temperature_that_a_model_does_not_take_is_said_not_measured(tmp_path: Path) -> None:
    def connect(name: str | None) -> ScriptedLLM:
        return ScriptedLLM(lambda request: Reply("good", "small", sampling="not_accepted"), model="small")

    config = AskingConfig.read(SETTINGS)
    samples = [{"input": text, "expected": answer} for text, answer in ITEMS.items()]
    with pytest.raises(ConfigurationError, match="takes no temperature"):
        asyncio.run(AskingSearch(config, connect, MemoryRunStore()).run(lambda count: samples[:count], tmp_path))


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"shots": {"choices": [2, 4]}}, "default"),
        ({"temperature": {"low": 0.5, "high": 1.0}}, "between 0 and"),
        ({"model_name": {"choices": ["large"]}}, "default"),
        ({"top_p": {"low": 0.0, "high": 1.0}}, "top_p"),
    ],
)
def test_a_space_without_the_default_or_with_an_unknown_setting_is_refused(space: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        AskingConfig.read(SETTINGS | {"space": space})


def test_the_command_searches_over_a_real_server_and_pays_nothing_when_run_again(tmp_path: Path) -> None:
    table = tmp_path / "items.csv"
    table.write_text("input,expected\n" + "".join(f"{text},{answer}\n" for text, answer in list(ITEMS.items())[:160]))
    model = Model(ITEMS)
    with serving(model) as url:
        settings = tmp_path / "asking.toml"
        settings.write_text(
            f'kind = "asking"\nname = "served"\ntrials = 3\nitems = 16\ngate_items = 20\n'
            f'[dataset]\nname = "items"\npath = "{table}"\ninput = "input"\nexpected = "expected"\n'
            f'initial_prompt = "{PROMPT}"\n[model]\nprovider = "openai"\nmodel_name = "m"\nbase_url = "{url}"\n'
            f"[caps]\ncalls = 130\n[space]\nshots = {{ choices = [0, 2] }}\ntemperature = {{ low = 0.0, high = 1.0 }}\n"
        )
        result = CliRunner().invoke(app, ["tune", str(settings), "--data-folder", str(tmp_path / "data")])
        assert result.exit_code == 0, result.output
        asked = len(model.asked)
        again = CliRunner().invoke(app, ["tune", str(settings), "--data-folder", str(tmp_path / "data")])
    assert "ask with: shots 0" in result.output or "improved:" in result.output, result.output
    assert again.output == result.output
    assert len(model.asked) == asked <= 130
