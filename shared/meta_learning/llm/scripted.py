"""The shipped fake: a language model whose answers are a plain function.

>>> import asyncio
>>> from meta_learning.llm import Message, Request
>>> llm = ScriptedLLM(lambda request: request.messages[-1].text.upper())
>>> asyncio.run(llm.complete(Request((Message("user", "quiet"),)))).text
'QUIET'
>>> len(llm.requests)
1
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from meta_learning.errors import ParameterRefused
from meta_learning.llm import Capabilities, Reply, Request
from meta_learning.llm.batch_book import Intent
from meta_learning.llm.batch_port import Failed

Answer = str | Reply | Exception


class ScriptedLLM:
    """Answers with ``answer(request)``: a text, a whole `Reply`, or an exception to raise. Keeps every request.

    Token counts are the words of the texts, so that ledgers have something to count.
    """

    def __init__(
        self,
        answer: Callable[[Request], Answer],
        provider: str = "scripted",
        model: str = "scripted",
        capabilities: Capabilities | None = None,
    ) -> None:
        self.answer = answer
        self.provider = provider
        self.model = model
        self.capabilities = capabilities or Capabilities(temperature=True)
        self.requests: list[Request] = []
        self.closed = False

    async def complete(self, request: Request) -> Reply:
        """The scripted answer; an exception that the script returns is raised."""
        self.requests.append(request)
        answer = self.answer(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Reply):
            return answer if answer.model else replace(answer, model=self.model)
        asked = sum(len(message.text.split()) for message in request.messages)
        return Reply(answer, model=self.model, prompt_tokens=asked, completion_tokens=len(answer.split()))

    async def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True


class ScriptedBatches:
    """A batch endpoint that answers by itself after ``polls_count`` looks. Keeps every batch, and which were called off."""

    def __init__(self, answer: Callable[[Request], Answer], polls_count: int = 0) -> None:
        self.answer = answer
        self.submitted: list[Mapping[str, Request]] = []
        self.names: list[str] = []
        self.cancelled: list[str] = []
        self._polls_left = polls_count

    async def submit(self, name: str, requests: Mapping[str, Request]) -> str | Failed:
        """Take the requests."""
        self.submitted.append(requests)
        self.names.append(name)
        return str(len(self.submitted) - 1)

    async def find(self, intent: Intent, known: Collection[str]) -> str | None:
        """The batch of this name."""
        return str(self.names.index(intent.name)) if intent.name in self.names else None

    async def answers(self, batch_id: str) -> Mapping[str, Answer] | Failed | None:
        """The scripted answers, once it was looked for them often enough; none once it was called off."""
        if batch_id in self.cancelled:
            return {}
        self._polls_left -= 1
        if self._polls_left >= 0:
            return None
        return {name: self.answer(request) for name, request in self.submitted[int(batch_id)].items()}

    async def cancel(self, batch_id: str) -> None:
        """Call it off."""
        self.cancelled.append(batch_id)

    def read(self, answer: Answer, request: Request) -> Reply | None:
        """The reply; an exception that the script returned is raised, but for a refused parameter: that question is asked again."""
        if isinstance(answer, ParameterRefused):
            return None
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Reply) else Reply(answer, model="scripted")
