"""Several prompts that were promoted together: served as one version, and voted with as they were measured."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

import pytest

from meta_learning.acla import Prompt
from meta_learning.acla.ensembles import vote as measured_vote
from meta_learning.acla.outcomes import Answer, Candidate, OutcomeMatrix
from meta_learning.acla.splits import read_items
from meta_learning.client import FeedbackClient
from meta_learning.client.answers import prompt_of
from meta_learning.client.voting import Said, Voter, vote
from meta_learning.errors import CallerError
from meta_learning.events import PromptPromoted
from meta_learning.registry.prompts import Voter as Kept
from meta_learning.registry.prompts import prompt_blob
from meta_learning.registry.versions import Manifest, publish
from meta_learning.streams import Limits
from meta_learning.streams.memory import MemoryLog
from meta_learning.streams.memory_broker import MemoryBroker
from tests.services.ingest.serving import door

LABELS = ("good", "bad", "so so")


def test_an_application_gets_all_voters_with_their_price_under_one_version() -> None:
    fake = MemoryBroker()
    kept = [Kept(text="Judge it.", label_bias={"good": 0.5}, label_sharpness=2.0), Kept(text="Decide.")]
    price = {"calls": 2, "tokens": 61.5, "money_usd": None}
    with door(MemoryLog(2, Limits(), fake)) as served:
        content = served.store.put(prompt_blob("Judge it.", None, kept))
        manifest = Manifest(kind="prompt", loop="support", version="v2", content=content, numbers={"price": price})
        digest = publish(served.store, manifest)
        log = MemoryLog(2, Limits(), fake)
        promoted = PromptPromoted(event_id="e", occurred_at=datetime.now(UTC), loop="support", version="v2")
        asyncio.run(log.publish("support", [promoted], {"prompt:support": digest}))
        with FeedbackClient(served.url) as client:
            prompt = client.prompt("support")
    assert (prompt.prompt_version, prompt.text, prompt.price) == ("v2", "Judge it.", price)
    assert prompt.voters == (Voter("Judge it.", {"good": 0.5}, 2.0), Voter("Decide."))
    assert [one.messages("Fine.")[0]["content"] for one in prompt.voters] == ["Judge it.", "Decide."]
    assert prompt.vote(["good", "bad"]) == "good"
    with pytest.raises(CallerError, match="1 answers of 2 voters"):
        prompt.vote(["good"])


def test_a_prompt_that_was_promoted_with_weights_on_its_labels_answers_with_them() -> None:
    fake, bias = MemoryBroker(), {"bad": 0.5, "good": 0.0}
    with door(MemoryLog(2, Limits(), fake)) as served:
        content = served.store.put(prompt_blob("Judge it.", {"task": "Judge it.", "label_bias": bias}))
        digest = publish(served.store, Manifest(kind="prompt", loop="support", version="v2", content=content))
        promoted = PromptPromoted(event_id="e", occurred_at=datetime.now(UTC), loop="support", version="v2")
        asyncio.run(MemoryLog(2, Limits(), fake).publish("support", [promoted], {"prompt:support": digest}))
        with FeedbackClient(served.url) as client:
            prompt = client.prompt("support")
    assert prompt.vote([{"good": -0.6, "bad": -0.8}]) == "bad"
    assert prompt.vote([None]) == "bad"
    assert prompt.vote(["good"]) == "good"


def test_a_client_does_not_guess_what_an_older_door_does_not_say() -> None:
    prompt = prompt_of({"text": "Judge it.", "prompt_version": "v1", "voters": [{"text": "Judge it."}]})
    for messages in (prompt.messages, prompt.voters[0].messages):
        with pytest.raises(CallerError, match="too old"):
            messages("Fine.")


@pytest.mark.parametrize("number", range(6))
def test_an_application_votes_as_the_run_did_that_measured_it(number: int) -> None:
    rng = random.Random(number)
    items = read_items([{"input": f"text {n}", "expected": rng.choice(LABELS)} for n in range(40)])
    matrix = OutcomeMatrix(items)
    calibrated = [True] * 3 if number % 2 else [True, False, rng.random() < 0.5]
    members = [Candidate(Prompt(task=f"Judge {n}."), one) for n, one in enumerate(calibrated)]
    for member in members:
        for item in items:
            logprobs = {label: rng.gauss(-2.0, 1.0) for label in LABELS}
            matrix.record(
                member.prompt, item, Answer(text=max(logprobs, key=logprobs.__getitem__), label_logprobs=logprobs)
            )
    voters = [Voter(one.prompt.render(), matrix.bias(one), matrix.calibration(one).sharpness) for one in members]
    fresh = read_items([{"input": f"fresh {n}", "expected": "good"} for n in range(40)])
    for item in fresh:
        said: list[Said] = []
        for member in members:
            logprobs = {label: rng.gauss(-2.0, 1.0) for label in LABELS}
            matrix.record(member.prompt, item, Answer(text="good", label_logprobs=logprobs))
            said.append(logprobs)
        # A fresh item is weighed with what was fitted before it came.
        assert vote(voters, said) == measured_vote(matrix, members, item)
