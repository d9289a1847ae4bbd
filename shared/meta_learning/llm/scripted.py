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

from collections.abc import Callable
from dataclasses import replace

from meta_learning.llm import Capabilities, Reply, Request

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
