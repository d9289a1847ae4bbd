"""A real HTTP server on loopback that speaks enough of both vendors' protocols to be failed against on purpose."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Script:
    """What the server answers: ``failures`` first, one a request, as (status, headers, body); then proper replies."""

    text: str = "positive"
    logprobs: list[tuple[str, float]] = field(default_factory=list)
    failures: list[tuple[int, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    refused: tuple[str, ...] = ()
    refuses: Callable[[dict[str, Any]], str | None] = lambda body: None
    known_model: str = "known"
    counts: bool = True
    hang: threading.Event | None = None
    finish_reason: str = "stop"
    extra_choice: dict[str, Any] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def respond(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, str], dict[str, Any]]:
        self.requests.append(body)
        self.paths.append(path)
        if self.failures:
            return self.failures.pop(0)
        if body.get("model") != self.known_model:
            return (
                404,
                {},
                {"error": {"message": f"The model {body.get('model')} does not exist", "type": "not_found_error"}},
            )
        named = next((f"Unsupported parameter: '{name}'" for name in self.refused if name in body), self.refuses(body))
        if named:
            return 400, {}, {"error": {"message": named, "type": "invalid_request_error"}}
        said = self._anthropic() if path.endswith("/messages") else self._openai(body)
        return 200, {}, said if self.counts else {name: value for name, value in said.items() if name != "usage"}

    def _openai(self, body: dict[str, Any]) -> dict[str, Any]:
        choice: dict[str, Any] = {
            "index": 0,
            "finish_reason": self.finish_reason,
            "message": {"role": "assistant", "content": self.text},
        }
        if body.get("logprobs") and self.logprobs:
            top = [{"token": token, "logprob": logprob, "bytes": None} for token, logprob in self.logprobs]
            choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
        choice |= self.extra_choice
        usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": "known",
            "choices": [choice],
            "usage": usage,
        }

    def _anthropic(self) -> dict[str, Any]:
        return {
            "id": "x",
            "type": "message",
            "role": "assistant",
            "model": "known",
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "content": [{"type": "text", "text": self.text}] if self.text else [],
            "usage": {
                "input_tokens": 5,
                "output_tokens": 2,
                "cache_creation_input_tokens": 2,
                "cache_read_input_tokens": 0,
            },
        }


@contextmanager
def serving(script: Script) -> Iterator[str]:
    """The base URL of a server that follows ``script``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(script.respond, script))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        if script.hang is not None:
            script.hang.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(
    respond: Callable[..., tuple[int, dict[str, str], dict[str, Any]]], script: Script
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            script.headers.append({name.lower(): value for name, value in self.headers.items()})
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if script.hang is not None:
                script.hang.wait(30)
                return
            status, headers, said = respond(self.path, body)
            payload = json.dumps(said).encode()
            self.send_response(status)
            for name, value in {
                **headers,
                "Content-Type": "application/json",
                "Content-Length": str(len(payload)),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name is the base class's)
            """Say nothing."""

    return Handler
