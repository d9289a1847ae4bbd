"""A parameter that a vendor refuses in a batch is learnt there, and no question is lost for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meta_learning.errors import CallerError
from meta_learning.llm import Reply
from meta_learning.llm.batch_book import BatchBook
from meta_learning.llm.batches import batches_of
from meta_learning.llm.batching import BatchingLLM
from meta_learning.llm.ledger import Ledger
from meta_learning.llm.metered import metered
from meta_learning.llm.openai import OpenAILLM
from tests.cli.test_batches import ITEMS, adapter, asked_all, questions
from tests.contract.batch_server import BatchServer, serving
from tests.services.evolver.loopback import Model


@pytest.mark.parametrize(("provider", "refused"), [("openai", "temperature"), ("anthropic", "output_config")])
async def test_a_parameter_that_a_batch_was_refused_for_is_learnt_and_its_questions_are_asked_without_it(
    provider: str, refused: str
) -> None:
    server, ledger = BatchServer(Model(ITEMS)), Ledger()
    server.refused = refused
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    asked = [replace(one, schema=schema if refused == "output_config" else None) for one in questions(70)]
    with serving(server) as url:
        llm = adapter(provider, url)
        batching = metered(BatchingLLM(llm, batches_of(llm), BatchBook()), ledger)
        first, second = await asked_all(batching, asked[:35]), await asked_all(batching, asked[35:])
        await batching.close()
    assert [type(one) for one in (*first, *second)] == [Reply] * 70
    assert len(server.single) == 35, "the batch's questions, once each"
    assert not any(refused in body for body in server.single)
    assert [len(lines) for lines in server.batches] == [35, 35], "the next rung is a batch that is not refused"
    assert [one.batched for one in second] == [True] * 35
    assert ledger.spent.calls == 70, "a line that a vendor refuses is not billed: each question is one call"


@pytest.mark.parametrize("name", ["max_completion_tokens", "logprobs", "temperature"])
def test_every_line_of_a_batch_may_be_refused_for_what_an_earlier_one_taught(name: str) -> None:
    request = replace(questions(1)[0], labels=("good", "bad"))
    batches = batches_of(OpenAILLM("m", base_url="http://127.0.0.1:9/v1"))
    error = {"error": {"message": f"Unsupported parameter: use '{name}' otherwise."}}
    line = {"response": {"status_code": 400, "body": error}}
    assert [batches.read(line, request) for _ in range(2)] == [None, None]


def test_a_request_that_a_batch_was_refused_for_itself_stays_refused() -> None:
    batches = batches_of(OpenAILLM("m", base_url="http://127.0.0.1:9/v1"))
    line = {"response": {"status_code": 400, "body": {"error": {"message": "the prompt is against our rules"}}}}
    with pytest.raises(CallerError, match="against our rules"):
        batches.read(line, questions(1)[0])
