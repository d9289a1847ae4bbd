"""One cell: an arm on the items of one data seed with one budget, run against the metered model."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean
from typing import Any

import openai

from benchmarks.acla_peers.items import TASKS, Draw
from benchmarks.peers import ask
from benchmarks.peers.acla_client import (
    AT_ONCE,
    PROPOSER_TOKENS,
    TASK_TOKENS,
    CapReached,
    Client,
    package_text,
    prepared,
)
from meta_learning.acla import AdaptiveCurriculumAgent, CurriculumConfig
from meta_learning.acla.prompt import Prompt
from meta_learning.llm import Capabilities, Message, Reply, Request
from meta_learning.llm.openai import OpenAILLM

PEERS = {
    "mipro": ("gepa", "acla_mipro.py"),
    "gepa": ("gepa", "acla_gepa.py"),
    "capo": ("promptolution", "acla_capo.py"),
}
# An arm with this at its end is the same rival, and its metric sees the most probable label instead of the text.
BY_LABEL = "-label"
MARK_EVERY = 20
TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Cell:
    """An arm, its settings, and what it runs on."""

    task: str
    arm: str
    seed: int
    budget: int
    settings: dict[str, Any] = field(default_factory=dict)
    prepared: bool = True

    @property
    def name(self) -> str:
        """Of its file, and of its tag at the meter."""
        return f"{self.arm}:{self.task}:{self.seed}:b{self.budget}{'' if self.prepared else '.own'}"

    @property
    def kind(self) -> str:
        """How the answers to its prompts are read."""
        return "label" if self.arm.endswith(BY_LABEL) or self.arm == "ours" else "text"

    @property
    def method(self) -> str:
        """The arm, whatever it reads."""
        return self.arm.removesuffix(BY_LABEL)


def run(cell: Cell, url: str, tag: str, items: Draw) -> dict[str, Any]:
    """What the arm found: the package, the score that it reports, and what it would have answered earlier (``trace``)."""
    began, worked = time.perf_counter(), time.thread_time()
    task, start = TASKS[cell.task], package_of(TASKS[cell.task].seed_prompt, cell.kind)
    if cell.method in PEERS:
        found = _peer(cell, url, tag, items)
    elif cell.method == "random":
        with closing(Client(url, tag, task.labels, by_label=cell.kind == "label")) as client:
            found = _random_few_shot(cell, client, items)
    elif cell.method == "seed":
        found = {"package": start, "reported": None, "trace": [], "ended": "finished"}
    else:
        found = asyncio.run(_ours(cell, url, tag, items))
    found["cpu_s"], found["wall_s"] = time.thread_time() - worked, time.perf_counter() - began
    # What an arm would answer before it has anything of its own.
    found["start"] = start
    return asdict(cell) | found


def package_of(prompt: str, kind: str) -> dict[str, Any]:
    """A prompt whose answers are read as ``text`` or as the most probable ``label``."""
    return {"kind": kind, "prompt": prompt, "bias": {}}


def _peer(cell: Cell, url: str, tag: str, items: Draw) -> dict[str, Any]:
    environment, program = PEERS[cell.method]
    task = TASKS[cell.task]
    question = {
        "url": url, "tag": tag, "labels": task.labels, "seed_prompt": task.seed_prompt, "calls_max": cell.budget,
        "train": items.train, "val": items.val, "settings": cell.settings, "seed": cell.seed, "prepared": cell.prepared,
        "task": task.rewrites, "by_label": cell.kind == "label",
    }  # fmt: skip
    found: dict[str, Any] = ask(environment, program, question, timeout_s=2 * TIMEOUT_S)
    for one in (found, *found["trace"]):
        one["package"] = package_of(one["package"], cell.kind)
    return found


def _random_few_shot(cell: Cell, client: Client, items: Draw) -> dict[str, Any]:
    """The control: sets of examples drawn at random, each scored on the same validation items, the best one taken."""
    task, rng = TASKS[cell.task], random.Random(f"few-shot {cell.seed}")
    val = items.val[: cell.settings["val_count"]]
    trace: list[dict[str, Any]] = []
    ended, count = "finished", 0
    while client.calls + len(val) <= cell.budget:
        shown = rng.sample(items.train, rng.choice(cell.settings["shots"])) if count else []
        package = package_text(task.seed_prompt, shown)
        count += 1
        try:
            score = fmean(client.score(package, val))
        except CapReached:
            ended = "cap"
            break
        if not trace or score > trace[-1]["reported"]:
            trace.append({"calls": client.calls, "package": package_of(package, cell.kind), "reported": score})
    best = trace[-1]
    return {"package": best["package"], "reported": best["reported"], "trace": trace, "ended": ended, "tried": count}


class Watched:
    """The model as the optimizer sees it; notes who leads at every twentieth call. ``blind`` hides that labels can be scored."""

    provider = "openai"
    model = "local"

    def __init__(self, llm: OpenAILLM, blind: bool) -> None:
        self._llm, self._blind = llm, blind
        self.rewrites: list[str] = []
        self.author: openai.AsyncOpenAI | None = None
        self.calls = self._written = 0
        self.agent: AdaptiveCurriculumAgent | None = None
        self.trace: list[dict[str, Any]] = []

    @property
    def capabilities(self) -> Capabilities:
        """Those of the endpoint, or without log-probabilities."""
        return (
            Capabilities(temperature=True, concurrency_max=AT_ONCE)
            if self._blind
            else replace(self._llm.capabilities, concurrency_max=AT_ONCE)
        )

    async def complete(self, request: Request) -> Reply:
        """One call."""
        if request.purpose == "proposer" and self.author is not None:
            return await self._prepared()
        reply = await self._llm.complete(request)
        self.calls += 1
        if self.calls % MARK_EVERY == 0:
            self._note()
        return reply

    async def _prepared(self) -> Reply:
        """The next prepared rewrite; the meter counts a call of a proposer."""
        assert self.author is not None
        place, self._written = self._written, self._written + 1
        counted = Request((Message("user", f"rewrite {place}"),), purpose="proposer", max_tokens=1)
        reply = await OpenAILLM("local", client=self.author).complete(counted)
        self.calls += 1
        return replace(reply, text=self.rewrites[place % len(self.rewrites)])

    async def close(self) -> None:
        """Close the connections."""
        if self.author is not None:
            await self.author.close()
        await self._llm.close()

    def _note(self) -> None:
        moment = self.agent.snapshot() if self.agent else None
        leader = next((one for one in moment.rows if one.leads), None) if moment else None
        if moment is None or leader is None:
            return
        by_text = self._blind or Prompt.parse(moment.leader).thinks_aloud
        package = package_of(moment.leader, "text" if by_text else "label") | {"bias": dict(moment.leader_bias)}
        self.trace.append({"calls": self.calls, "package": package, "reported": leader.score})


def _author(url: str, tag: str) -> openai.AsyncOpenAI:
    """A client of the same endpoint whose calls are marked as those of a proposer."""
    return openai.AsyncOpenAI(base_url=url, api_key=tag, timeout=TIMEOUT_S, default_headers={"x-purpose": "proposer"})


async def _ours(cell: Cell, url: str, tag: str, items: Draw) -> dict[str, Any]:
    task, blind = TASKS[cell.task], cell.arm == "ours-text"
    samples = items.samples
    config = CurriculumConfig(
        task.seed_prompt, cell.task, llm_provider="openai", model_name="local", calls_max=cell.budget, seed=cell.seed,
        gate_samples=len(items.val), answer_tokens=TASK_TOKENS, reasoning_tokens=16, proposal_tokens=PROPOSER_TOKENS,
        calibrate=not blind, **cell.settings,
    )  # fmt: skip
    watched = Watched(
        OpenAILLM("local", base_url=url, api_key=tag, timeout_s=TIMEOUT_S),
        blind,
    )
    if cell.prepared:
        watched.rewrites, watched.author = prepared(cell.seed, task.rewrites), _author(url, tag)
    agent = AdaptiveCurriculumAgent(config, watched)
    watched.agent = agent
    try:
        results = await agent.run_curriculum(lambda count: samples[:count], num_samples=len(items.train))
    finally:
        await watched.close()
    best = results["best_package"]
    by_text = blind or Prompt.parse(best["prompt"]).thinks_aloud or results["scoring"] == "text"
    return {
        "package": package_of(best["prompt"], "text" if by_text else "label") | {"bias": best["label_bias"]},
        "reported": results["best_performance"], "trace": watched.trace, "ended": "finished",
        "outcome": results["outcome"], "reason": results["reason"], "plan": results["plan"], "lineage": results["lineage"],
        "gate": results["gate"], "decisions": results["decisions"], "calls_counted": results["calls"],
    }  # fmt: skip
