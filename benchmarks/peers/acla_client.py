"""What every rival of the prompt optimizer shares: the same messages, the same readings, the same counted calls.

Messages are those of `meta_learning.acla.prompt` (examples are turns of the chat), replies are read by `meta_learning.acla.parsing`,
label log-probabilities by `meta_learning.llm.labels`, so that no arm has a scaffold of its own. This file needs nothing but these
and the standard library, and runs in every peer's environment.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[2] / "shared"))

from meta_learning.acla.parsing import parse_answer
from meta_learning.acla.prompt import Exemplar, Prompt
from meta_learning.llm.labels import label_logprobs

TASK_TOKENS, PROPOSER_TOKENS, PROPOSER_TEMPERATURE = 8, 128, 0.7
# The most that OpenAI's own endpoint gives, and so what the library asks for.
RANKED_COUNT = 20
# Many at once, so that the server can answer the items of one prompt in one pass.
AT_ONCE, TIMEOUT_S = 64, 3600
REWRITES = Path(__file__).parents[1] / "acla_peers" / "rewrites"

Said = dict[str, Any]
"""One answer: its ``text`` and the ``logprobs`` of the labels for its first token, None where they were not asked for or not there."""


class CapReached(Exception):
    """Raised when the meter refuses a call: the arm has spent its budget."""


def package_text(instruction: str, examples: Sequence[Sequence[str]] = ()) -> str:
    """A prompt as the one text in which packages keep it: the instruction with ``examples`` (input, answer).

    >>> print(package_text("Judge the tweet. Answer with one word.", [("nice", "positive")]))
    Judge the tweet.
    <BLANKLINE>
    Examples (1, as turns of the chat):
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


def messages_of(package: str, text: str) -> list[dict[str, str]]:
    """What the model is sent for one item under the prompt of a package.

    >>> [one["role"] for one in messages_of("Judge the tweet.", "nice")]
    ['system', 'user']
    """
    return [{"role": one.role, "content": one.text} for one in _parsed(package).messages(text)]


def read(said: Said, labels: Sequence[str], by_label: bool, bias: Mapping[str, float] | None = None) -> str | None:
    """The answer in ``said``: the most probable label (``bias`` added) or, without log-probabilities or as text, what the text says.

    With a ``bias`` the label that it favours stands where neither a log-probability nor the text names one.

    >>> answer = {"text": "Well, it is", "logprobs": {"negative": -2.0, "positive": -1.0}}
    >>> read(answer, ["negative", "positive"], by_label=True), read(answer, ["negative", "positive"], by_label=False)
    ('positive', None)
    """
    added, text = bias or {}, parse_answer(said["text"], labels)
    known: Mapping[str, float] = said["logprobs"] or ({} if text else dict.fromkeys(added, 0.0))
    if not by_label or not known:
        return text
    return max(known, key=lambda label: known[label] + added.get(label, 0.0))


@lru_cache(maxsize=256)
def _parsed(package: str) -> Prompt:
    return Prompt.parse(package)


def prepared(seed: int, task: str) -> list[str]:
    """The prepared rewrites of a task in the order of a data seed, the same for every arm."""
    lines = (REWRITES / f"{task}.txt").read_text(encoding="utf-8").splitlines()
    random.Random(f"rewrites {seed}").shuffle(lines)
    return lines


class Client:
    """Calls of one cell, counted; ``tag`` is what the meter knows it by. ``by_label``: replies are decided by log-probabilities."""

    def __init__(self, url: str, tag: str, labels: Sequence[str], *, by_label: bool = False, seed: int = 0,
                 rewrites: Sequence[str] = ()) -> None:  # fmt: skip
        self.rewrites = rewrites
        self.written = 0
        self.labels = labels
        self.by_label = by_label
        self.seed = seed
        self.calls = 0
        self.refused = 0
        self._url = urlsplit(url)
        self._tag = tag
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []

    def ask(self, messages: list[dict[str, str]], purpose: str = "task") -> str:
        """The text of one reply; as a proposer, sampled.

        Raises:
            CapReached: the meter's cap for this cell is reached.
            RuntimeError: the server does not answer as it should; never a wrong answer.
        """
        if purpose == "task":
            return str(self._asked(messages, purpose, {"max_tokens": TASK_TOKENS, "temperature": 0})["text"])
        # Sampled proposals must differ between runs and repeats, and be the same when a run is repeated.
        tokens = 1 if purpose == "prepared" else PROPOSER_TOKENS
        how = {"max_tokens": tokens, "temperature": PROPOSER_TEMPERATURE, "seed": 10_000 * self.seed + self.calls}
        return str(self._asked(messages, "proposer", how)["text"])

    def reply(self, messages: list[dict[str, str]]) -> str:
        """The reply to a task's messages: its text, or the label that it was decided to be."""
        if not self.by_label:
            return self.ask(messages)
        how = {"max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": RANKED_COUNT}
        said = self._asked(messages, "task", how)
        return read(said, self.labels, by_label=True) or str(said["text"])

    def replies(self, packages: Sequence[str], texts: Sequence[str]) -> list[str]:
        """Replies to pairs of prompt and item, several at once."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda package, text: self.reply(messages_of(package, text)), packages, texts))

    def both_readings(self, package: str, texts: Sequence[str]) -> list[Said]:
        """Text and log-probabilities of every item's answer, for tests: one call an item."""
        how = {"max_tokens": TASK_TOKENS, "temperature": 0, "logprobs": True, "top_logprobs": RANKED_COUNT}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda text: self._asked(messages_of(package, text), "task", how), texts))

    def write(self, brief: str) -> str:
        """What the model writes as a proposer; with prepared ``rewrites`` the next of them, at the price of a call all the same."""
        if self.rewrites:
            self.ask([{"role": "user", "content": f"rewrite {self.written}"}], purpose="prepared")
            self.written += 1
            return self.rewrites[(self.written - 1) % len(self.rewrites)]
        return self.ask([{"role": "user", "content": brief}], purpose="proposer")

    def score(self, package: str, items: Sequence[Sequence[str]]) -> list[float]:
        """Right or wrong on (input, answer) pairs."""
        replies = self.replies([package] * len(items), [text for text, _ in items])
        return [
            float(parse_answer(reply, self.labels) == answer) for reply, (_, answer) in zip(replies, items, strict=True)
        ]

    def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().close()

    def _asked(self, messages: list[dict[str, str]], purpose: str, how: dict[str, Any]) -> Said:
        body = {"model": "local", "messages": messages, **how}
        status, said = self._post(json.dumps(body), {"x-purpose": purpose})
        if status == 429:
            self.refused += 1
            raise CapReached(self._tag)
        if status != 200:
            raise RuntimeError(f"HTTP {status}: {said[:200]}")
        with self._lock:
            self.calls += 1
        choice = json.loads(said)["choices"][0]
        ranked = (choice["logprobs"] or {}).get("content") or []
        first = [(one["token"], one["logprob"]) for one in ranked[0]["top_logprobs"]] if ranked else []
        return {"text": choice["message"]["content"] or "", "logprobs": label_logprobs(first, self.labels)}

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
    """Run ``optimize(client, question) -> {"package", "reported", "trace", ...}`` on the question on standard input.

    What libraries print goes to standard error. An arm that the cap stopped says so in ``ended``.
    """
    out, sys.stdout = sys.stdout, sys.stderr
    question = json.load(sys.stdin)
    client = Client(
        question["url"], question["tag"], question["labels"], by_label=question["by_label"], seed=question["seed"],
        rewrites=prepared(question["seed"], question["task"]) if question["prepared"] else (),
    )  # fmt: skip
    found = optimize(client, question)
    client.close()
    found["calls_counted"] = client.calls
    found.setdefault("ended", "cap" if client.refused else "finished")
    json.dump(found, out)
