"""What every rival of the prompt optimizer shares: the same messages, the same parser, the same counted calls.

Messages are rendered by `meta_learning.acla.prompt`, so that no arm has a scaffold of its own; a reply is read as the label that
occurs first in it. This file needs nothing but that and the standard library, and runs in every peer's environment.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[2] / "shared"))

from meta_learning.acla.prompt import Exemplar, Prompt

TASK_TOKENS, PROPOSER_TOKENS, PROPOSER_TEMPERATURE = 8, 256, 0.7
# Many at once, so that the server can answer the items of one prompt in one pass.
AT_ONCE, TIMEOUT_S = 16, 3600
REWRITES = Path(__file__).parents[1] / "acla_peers" / "rewrites.txt"


class CapReached(Exception):
    """Raised when the meter refuses a call: the arm has spent its budget."""


def system_text(instruction: str, examples: Sequence[Sequence[str]] = ()) -> str:
    """The system message: the instruction with ``examples`` (input, answer) in the one format of all arms.

    >>> print(system_text("Judge the tweet. Answer with one word.", [("nice", "positive")]))
    Judge the tweet.
    <BLANKLINE>
    Examples:
    <BLANKLINE>
    Input: nice
    Answer: positive
    <BLANKLINE>
    Answer with one word.
    """
    if not examples:
        return instruction
    shown = tuple(Exemplar(" ".join(text.split()), answer) for text, answer in examples)
    return Prompt.parse(instruction).edit(exemplars=shown).render()


def label_of(reply: str, labels: Sequence[str]) -> str | None:
    """The label that occurs first in ``reply``, or None.

    >>> label_of("Positive, not negative", ["negative", "positive"]), label_of("Hm", ["negative", "positive"])
    ('positive', None)
    """
    said = reply.casefold()
    found = [(said.index(label.casefold()), label) for label in labels if label.casefold() in said]
    return min(found)[1] if found else None


def prepared(seed: int) -> list[str]:
    """The prepared rewrites in the order of a data seed, the same for every arm."""
    lines = REWRITES.read_text(encoding="utf-8").splitlines()
    random.Random(f"rewrites {seed}").shuffle(lines)
    return lines


class Client:
    """Calls of one cell, counted; ``tag`` is what the meter knows the cell by."""

    def __init__(self, url: str, tag: str, labels: Sequence[str], seed: int = 0, rewrites: Sequence[str] = ()) -> None:
        self.rewrites = rewrites
        self.written = 0
        self.labels = labels
        self.seed = seed
        self.calls = 0
        self.refused = 0
        self._url = urlsplit(url)
        self._tag = tag
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []

    def ask(self, messages: list[dict[str, str]], purpose: str = "task") -> str:
        """The text of one reply.

        Raises:
            CapReached: the meter's cap for this cell is reached.
            RuntimeError: the server does not answer as it should; never a wrong answer.
        """
        is_task = purpose != "proposer"
        body: dict[str, Any] = {
            "model": "local",
            "messages": messages,
            "max_tokens": {"task": TASK_TOKENS, "prepared": 1}.get(purpose, PROPOSER_TOKENS),
            "temperature": 0 if is_task else PROPOSER_TEMPERATURE,
        }
        if not is_task:
            # Sampled proposals must differ between runs and repeats, and be the same when a run is repeated.
            body["seed"] = 10_000 * self.seed + self.calls
        status, said = self._post(json.dumps(body), {"x-purpose": "task" if purpose == "task" else "proposer"})
        if status == 429:
            self.refused += 1
            raise CapReached(self._tag)
        if status != 200:
            raise RuntimeError(f"HTTP {status}: {said[:200]}")
        with self._lock:
            self.calls += 1
        return str(json.loads(said)["choices"][0]["message"]["content"] or "")

    def reply(self, system: str, text: str) -> str:
        """The model's reply to one item under a system message."""
        return self.ask([{"role": "system", "content": system}, {"role": "user", "content": text}])

    def replies(self, systems: Sequence[str], texts: Sequence[str]) -> list[str]:
        """Replies to pairs of system message and item, several at once."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(self.reply, systems, texts))

    def write(self, brief: str) -> str:
        """What the model writes as a proposer; with prepared ``rewrites`` the next of them, at the price of a call all the same."""
        if self.rewrites:
            self.ask([{"role": "user", "content": f"rewrite {self.written}"}], purpose="prepared")
            self.written += 1
            return self.rewrites[(self.written - 1) % len(self.rewrites)]
        return self.ask([{"role": "user", "content": brief}], purpose="proposer")

    def score(self, system: str, items: Sequence[Sequence[str]]) -> list[float]:
        """Right or wrong on (input, answer) pairs."""
        replies = self.replies([system] * len(items), [text for text, _ in items])
        return [
            float(label_of(reply, self.labels) == answer) for reply, (_, answer) in zip(replies, items, strict=True)
        ]

    def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().close()

    def _post(self, body: str, headers: dict[str, str]) -> tuple[int, str]:
        try:
            return self._posted(self._idle_link(), body, headers)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # An idle connection that the server has closed meanwhile: the request was not taken.
            return self._posted(self._link(), body, headers)

    def _idle_link(self) -> http.client.HTTPConnection:
        try:
            return self._idle.pop()
        except IndexError:
            return self._link()

    def _link(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(str(self._url.hostname), self._url.port, timeout=TIMEOUT_S)

    def _posted(self, link: http.client.HTTPConnection, body: str, headers: dict[str, str]) -> tuple[int, str]:
        sent = {"Authorization": f"Bearer {self._tag}", "Content-Type": "application/json", **headers}
        try:
            link.request("POST", self._url.path.rstrip("/") + "/chat/completions", body, sent)
            answer = link.getresponse()
            said = answer.status, answer.read().decode()
        except BaseException:
            link.close()
            raise
        self._idle.append(link)
        return said


def answer(optimize: Callable[[Client, dict[str, Any]], dict[str, Any]]) -> None:
    """Run ``optimize(client, question) -> {"system", "reported", "trace", ...}`` on the question on standard input.

    What libraries print goes to standard error. An arm that the cap stopped says so in ``ended``.
    """
    out, sys.stdout = sys.stdout, sys.stderr
    question = json.load(sys.stdin)
    rewrites = prepared(question["seed"]) if question["prepared"] else ()
    client = Client(question["url"], question["tag"], question["labels"], question["seed"], rewrites)
    found = optimize(client, question)
    client.close()
    found["calls_counted"] = client.calls
    found.setdefault("ended", "cap" if client.refused else "finished")
    json.dump(found, out)
