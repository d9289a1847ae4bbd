"""Both vendors' batch endpoints on loopback, over what a `Model` knows; a batch is done at the first look after it came, or later."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.services.evolver.loopback import Model


class BatchServer:
    """What came in: single calls, and batches with their lines."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.single: list[dict[str, Any]] = []
        self.batches: list[list[dict[str, Any]]] = []
        self.files: dict[str, str] = {}
        self.looks: dict[str, int] = {}
        self.fails = frozenset[int]()  # lines of a batch that come back as overloaded
        self.url = ""
        self.done_at = 1
        self.names: list[str] = []
        self.cancelled = set[str]()
        self.refuses: dict[str, Any] = {}  # the error with which OpenAI's batches end as failed
        self.refused = ""  # the parameter with which a batch's lines are refused
        self.loses_the_answer = False  # to a sending: the batch is taken, and nobody hears of it
        self.empty_lists = 0  # of batches, before one shows what has come
        self.changed = threading.Condition()

    def wait_for_batches(self, count: int, timeout_s: float = 30.0) -> None:
        """Return once ``count`` batches have come."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.batches) >= count, timeout_s), len(self.batches)

    def _take(self, lines: list[dict[str, Any]], name: str = "") -> int:
        with self.changed:
            self.batches.append(lines)
            self.names.append(name)
            self.changed.notify_all()
        return len(self.batches) - 1

    def post(self, path: str, body: bytes) -> dict[str, Any]:
        if path == "/v1/files":
            lines = [line for line in body.decode().splitlines() if line.startswith('{"custom_id"')]
            self.files[f"file-{len(self.files)}"] = "\n".join(lines)
            return {"id": f"file-{len(self.files) - 1}", "object": "file", "bytes": 1, "created_at": 0} | {
                "filename": "batch.jsonl",
                "purpose": "batch",
                "status": "processed",
            }
        if path.endswith("/cancel"):
            number = path.split("/")[-2]
            self.cancelled.add(number)
            return self._anthropic_batch(int(number)) if "messages" in path else self._openai_batch(int(number))
        said = json.loads(body)
        if path == "/v1/batches":
            sent = [json.loads(line) for line in self.files[said["input_file_id"]].splitlines()]
            return self._openai_batch(self._take(sent, said.get("metadata", {}).get("meta_learning_batch", "")))
        if path == "/v1/messages/batches":
            return self._anthropic_batch(self._take(said["requests"]))
        self.single.append(said)
        return self._message(said) if path == "/v1/messages" else self._completion(said)

    def get(self, path: str) -> dict[str, Any] | str:
        if path.startswith(("/v1/batches?", "/v1/messages/batches?")):
            make = self._anthropic_batch if "messages" in path else self._openai_batch
            self.empty_lists, shown = max(0, self.empty_lists - 1), 0 if self.empty_lists else len(self.batches)
            return {"object": "list", "data": [make(n) for n in reversed(range(shown))], "has_more": False}
        *_, kind, name = path.split("/")
        if path.startswith("/v1/messages/batches/"):
            if name == "results":
                return self._results(int(kind), anthropic=True)
            return self._anthropic_batch(int(name))
        if kind == "batches":
            return self._openai_batch(int(name))
        return self._results(int(kind.removeprefix("out-")), anthropic=False)  # /v1/files/out-N/content

    def _is_done(self, name: str) -> bool:
        self.looks[name] = self.looks.get(name, -1) + 1
        return self.looks[name] >= self.done_at or name in self.cancelled

    def _openai_batch(self, number: int) -> dict[str, Any]:
        done = self._is_done(str(number))
        about: dict[str, Any] = {"id": str(number), "object": "batch", "endpoint": "/v1/chat/completions"}
        about["completion_window"] = "24h"
        about["metadata"] = {"meta_learning_batch": self.names[number]}
        about |= {"created_at": int(time.time()), "input_file_id": "f", "status": "in_progress"}
        if done and self.refuses:
            return about | {"status": "failed", "errors": {"object": "list", "data": [self.refuses]}}
        over = {
            "status": "cancelled" if str(number) in self.cancelled else "completed",
            "output_file_id": f"out-{number}",
        }
        return about | (over if done else {})

    def _anthropic_batch(self, number: int) -> dict[str, Any]:
        size = len(self.batches[number])
        counts = {"processing": size, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        status = "ended" if self._is_done(str(number)) else "in_progress"
        times = {"created_at": datetime.now(UTC).isoformat(), "expires_at": "2036-01-02T00:00:00Z"}
        about = {"id": str(number), "type": "message_batch", "processing_status": status, "request_counts": counts}
        return about | times | {"results_url": f"{self.url}/v1/messages/batches/{number}/results"}

    def _results(self, number: int, anthropic: bool) -> str:
        lines: list[str] = []
        said: dict[str, Any]
        called_off = str(number) in self.cancelled
        # Of a batch that was called off half is ready.
        ready = len(self.batches[number]) // 2 if called_off else len(self.batches[number])
        for index, line in enumerate(self.batches[number]):
            if index >= ready:
                said = {"result": {"type": "canceled"}} if anthropic else {}
                lines += [json.dumps({"custom_id": line["custom_id"]} | said)] if anthropic else []
                continue
            if self.refused and self.refused in line["params" if anthropic else "body"]:
                lines.append(json.dumps({"custom_id": line["custom_id"]} | _refusal(self.refused, anthropic)))
                continue
            failed = index in self.fails
            if anthropic:
                error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
                good = {"type": "succeeded", "message": None if failed else self._message(line["params"])}
                said = {"result": {"type": "errored", "error": error} if failed else good}
            else:
                body = {"error": {"message": "busy"}} if failed else self._completion(line["body"])
                said = {"response": {"status_code": 503 if failed else 200, "request_id": "x", "body": body}}
            lines.append(json.dumps({"custom_id": line["custom_id"]} | said))
        self.fails = frozenset()
        return "\n".join(reversed(lines)) + "\n"  # in no order that anybody promised

    def _completion(self, asked: dict[str, Any]) -> dict[str, Any]:
        text = self.model.answer(asked["messages"])
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
        choice["message"] = {"role": "assistant", "content": text}
        usage = self.model.usage(asked, text)
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": "any",
            "choices": [choice],
            "usage": usage,
        }

    def _message(self, asked: dict[str, Any]) -> dict[str, Any]:
        system = [{"role": "system", "content": one["text"]} for one in asked.get("system", [])]
        turns = [{"role": one["role"], "content": _text(one["content"])} for one in asked["messages"]]
        text = self.model.answer([*system, *turns])
        if "output_config" in asked:
            text = json.dumps({"failure": "haste", "rule": text.strip("`\n")})
        about = {"id": "x", "type": "message", "role": "assistant", "model": asked["model"], "stop_reason": "end_turn"}
        usage = {"input_tokens": 9, "output_tokens": 1}
        return about | {"stop_sequence": None, "content": [{"type": "text", "text": text}], "usage": usage}


def _refusal(name: str, anthropic: bool) -> dict[str, Any]:
    """The line of a batch for a request with a parameter that is not accepted."""
    error = {"type": "invalid_request_error", "message": f"Unsupported value: '{name}' does not support 0.0 here."}
    if anthropic:
        return {"result": {"type": "errored", "error": {"type": "error", "error": error}}}
    return {"response": {"status_code": 400, "request_id": "x", "body": {"error": error}}}


def _text(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@contextmanager
def serving(batches: BatchServer) -> Iterator[str]:
    """Its base URL, without the version that OpenAI's has and Anthropic's has not."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            said = batches.post(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.endswith("/batches") and batches.loses_the_answer:
                self.close_connection = True
                return
            self._send(said)

        def do_GET(self) -> None:
            self._send(batches.get(self.path))

        def _send(self, said: dict[str, Any] | str) -> None:
            payload = (said if isinstance(said, str) else json.dumps(said)).encode()
            self.send_response(200)
            kind = "application/x-jsonl" if isinstance(said, str) else "application/json"
            for name, value in (("Content-Type", kind), ("Content-Length", str(len(payload)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name is the base class's)
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    batches.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield batches.url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
