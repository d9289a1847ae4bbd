"""A small server on 127.0.0.1 that speaks OpenAI's chat completions: the model at the end of a real HTTP path.

It knows the answers to a data set, gives the wrong one to about every third question until the prompt mentions irony, and
mentions irony itself when it is asked to write a prompt. So there is something to find, and a run ends ``improved``.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MAGIC = "irony"
AUTHOR_SIGN = "follows this instruction"


class Model:
    """What the server knows and has seen."""

    def __init__(self, answers: Mapping[str, str], delay_s: float = 0.0, logprobs: bool = False) -> None:
        self.answers = dict(answers)
        self.labels = sorted(set(answers.values()))
        self.delay_s = delay_s
        self.logprobs = logprobs
        self.down = False
        # Habits of servers that are seen in the wild.
        self.refuses_system = self.drops_system = self.generates_on = self.has_own_system = False
        self.asked: list[str] = []
        self.at_once, self.at_once_max = 0, 0
        self._changed = threading.Condition()

    def wait_for_requests(self, count: int, timeout_s: float = 30.0) -> None:
        """Return once ``count`` requests have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.asked) >= count, timeout_s), f"{len(self.asked)} of {count}"

    def wait_for_at_once(self, count: int, timeout_s: float = 60.0) -> None:
        """Return once ``count`` requests were here at one time; until then answers take two seconds, so that no run ends first."""
        usual, self.delay_s = self.delay_s, 2.0
        with self._changed:
            assert self._changed.wait_for(lambda: self.at_once_max >= count, timeout_s), (
                f"{self.at_once_max} of {count} at once"
            )
        self.delay_s = usual

    def take(self, body: bytes) -> None:
        """Note a request."""
        with self._changed:
            self.asked.append(hashlib.sha256(body).hexdigest())
            self.at_once += 1
            self.at_once_max = max(self.at_once_max, self.at_once)
            self._changed.notify_all()

    def leave(self) -> None:
        """Note that a request was answered."""
        with self._changed:
            self.at_once -= 1

    def answer(self, messages: list[dict[str, str]]) -> str:
        """The reply, the same for the same messages."""
        said = "\n".join(message["content"] for message in messages)
        if AUTHOR_SIGN in said:
            return f"```\nMind {MAGIC}.\n```"
        text = messages[-1]["content"]
        right = next((answer for known, answer in self.answers.items() if known in text), self.labels[0])
        if MAGIC in messages[0]["content"].lower() or hashlib.sha256(text.encode()).digest()[0] % 3:
            return right
        return next(label for label in self.labels if label != right)

    def usage(self, asked: dict[str, Any], text: str) -> dict[str, int]:
        """Tokens, one a word."""
        heard = [one for one in asked["messages"] if one["role"] != "system" or not self.drops_system]
        if self.has_own_system and all(one["role"] != "system" for one in heard):
            heard.append(
                {"role": "system", "content": "You are a helpful assistant that its makers are proud of. " * 3}
            )
        prompt = 5 + sum(len(one["content"].split()) for one in heard)
        said = 99 if self.generates_on else min(len(text.split()), asked.get("max_tokens", 99))
        return {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}

    def alternatives(self, text: str) -> dict[str, Any]:
        """The first token with those that were nearly said, as the protocol has them."""
        others = [label for label in self.labels if label != text]
        top = [(text, -0.3), *((label, -2.0) for label in others), ("The", -4.0)]
        told = [{"token": token, "logprob": logprob, "bytes": None} for token, logprob in top]
        return {**told[0], "top_logprobs": told}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits 40 ms for an acknowledgement of its head
    model: Model
    ending: threading.Event

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if len(body) < int(self.headers["Content-Length"]):
            self.close_connection = True  # the caller was killed before it had asked
            return
        self.model.take(body)
        try:
            self._answer(body)
        finally:
            self.model.leave()

    def _answer(self, body: bytes) -> None:
        if self.model.down:
            self._send(503, {"error": {"message": "overloaded"}})
            return
        self.ending.wait(self.model.delay_s)
        asked = json.loads(body)
        if asked.get("logprobs") and not self.model.logprobs:
            self._send(400, {"error": {"message": "logprobs is not supported"}})
            return
        if self.model.refuses_system and any(one["role"] == "system" for one in asked["messages"]):
            self._send(400, {"error": {"message": "roles must alternate user/assistant"}})
            return
        text = self.model.answer(asked["messages"])
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        if asked.get("logprobs"):
            choice["logprobs"] = {"content": [self.model.alternatives(text)]}
        usage = self.model.usage(asked, text)
        head = {"id": "x", "object": "chat.completion", "created": 0, "model": asked["model"]}
        self._send(200, head | {"choices": [choice], "usage": usage})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        blob = json.dumps(body).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(blob)))
            self.end_headers()
            self.wfile.write(blob)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the caller was killed

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(model: Model) -> Iterator[str]:
    """Serve ``model``; the base URL."""
    ending = threading.Event()
    handler = type("Handler", (_Handler,), {"model": model, "ending": ending})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        ending.set()
        server.shutdown()
        server.server_close()
        thread.join()
