from __future__ import annotations

from datetime import date
from typing import Any, get_args

import pytest

from meta_learning.acla import config
from meta_learning.acla.request import STRATEGIES, EvolutionSettings, Strategy
from meta_learning.errors import ConfigurationError, UnknownModel
from meta_learning.llm import Message, Reply, Request, wrapping
from meta_learning.llm.scripted import ScriptedLLM
from meta_learning.serving.settings import read_settings
from services.evolver.models import CountedLLM, connect_model, limits_of, provider_of
from services.evolver.settings import EvolverSettings

HELLO = Request((Message("user", "hello"),))
KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "REDIS_URL", "RQ_REDIS_URL")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)  # no .env of the developer's
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


def test_every_setting_has_a_default_a_sentence_and_its_plain_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(field.description and not field.is_required() for field in EvolverSettings.model_fields.values())
    monkeypatch.setenv("RQ_REDIS_URL", "redis://queue/3")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    settings = read_settings(EvolverSettings)
    assert settings.queue_url == "redis://queue/3"
    assert "sk-secret" not in repr(settings)


def test_jobs_wait_in_the_brokers_redis_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "unix:///run/broker.sock?db=0")
    assert read_settings(EvolverSettings).queue_url == "unix:///run/broker.sock?db=0"


def test_a_setting_out_of_bounds_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("META_LEARNING_LEASE_TTL_S", "0")
    with pytest.raises(ConfigurationError, match="LEASE_TTL_S"):
        read_settings(EvolverSettings)


def test_a_request_knows_the_strategies_that_there_are() -> None:
    assert STRATEGIES == get_args(Strategy) == tuple(config.STRATEGIES)


def test_a_contract_may_end_in_a_line_break_that_the_prompt_has_not() -> None:
    asked = EvolutionSettings.read({"initial_prompt": "Judge it. Answer yes.", "contract": "Answer yes.\n"})
    assert asked.contract == "Answer yes.\n"


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"num_samples": 0}, "num_samples"),
        ({"num_samples": "20"}, "num_samples"),
        ({"dataset": "/etc/passwd"}, "dataset"),
        ({"strategies": []}, "strategies"),
        ({"strategies": ["magic"]}, "strategies"),
        ({"budget": {"calls": 0}}, "budget.calls"),
        ({"temperature": float("nan")}, "temperature"),
        ({"alpha": 0.9}, "alpha"),
        ({"tokens_price": -1.0}, "tokens_price"),
        ({"labels": ["yes", "yes"]}, "labels: one answer is no choice"),
        ({"labels": ["yes", "Yes "]}, "labels: one answer is no choice"),
        ({"labels": ["yes", " "]}, "labels: an answer must be a text"),
        ({"judge": "", "labels": ["a", "b"]}, "leave out judge or labels"),
        ({"initial_prompt": " "}, "initial_prompt: must be a text"),
        ({"initial_prompt": "Judge it.", "contract": "Say yes."}, "contract must stand in initial_prompt"),
        ({"answer_tokens": 4097}, "answer_tokens"),
        ({"reasoning_tokens": 15}, "reasoning_tokens"),
        ({"base_url": "http://169.254.169.254/"}, "base_url"),
    ],
)
def test_a_bad_request_is_refused_by_the_name_of_what_is_bad(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        EvolutionSettings.read(settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"labels": ["yes", "Yes", "no"]},
        {"labels": [], "judge": "It is kind."},
        {"initial_prompt": "Judge it. Say yes.", "contract": "Say yes."},
        {"answer_tokens": 4096, "reasoning_tokens": 16},
        {"answer_tokens": 1, "reasoning_tokens": 16_384},
    ],
)
def test_what_the_door_lets_through_its_run_takes(settings: dict[str, Any]) -> None:
    asked = EvolutionSettings.read(settings)
    taken = config.CurriculumConfig(**{"initial_prompt": "Judge it.", "dataset_name": "feedback"} | settings)
    assert {name: getattr(asked, name) for name in settings} == {name: getattr(taken, name) for name in settings}


@pytest.mark.parametrize("name", ["answer_tokens", "reasoning_tokens"])
def test_the_most_that_an_answer_may_take_is_bounded_as_in_the_library(name: str) -> None:
    assert getattr(EvolutionSettings(), name) == getattr(config.CurriculumConfig("Judge it.", "feedback"), name)


@pytest.mark.parametrize(
    ("asked", "service", "provider"),
    [
        ({}, {}, "local"),
        ({}, {"openai_base_url": "http://127.0.0.1:9/v1"}, "openai"),
        ({}, {"openai_api_key": "k"}, "openai"),
        ({}, {"openai_api_key": "k", "anthropic_api_key": "k"}, "anthropic"),
        ({}, {"openai_api_key": "k", "llm_provider": "local"}, "local"),
        ({"provider": "openai"}, {"llm_provider": "local"}, "openai"),
    ],
)
def test_whoever_has_a_key_answers_unless_somebody_says_otherwise(
    asked: dict[str, Any], service: dict[str, Any], provider: str
) -> None:
    assert provider_of(EvolutionSettings.read(asked), EvolverSettings(**service)) == provider


def test_a_provider_without_a_key_and_a_retired_model_are_clear_errors() -> None:
    with pytest.raises(ConfigurationError, match="key"):
        connect_model(EvolutionSettings.read({"provider": "openai"}), EvolverSettings())
    with pytest.raises(UnknownModel, match="retired"):
        connect_model(
            EvolutionSettings.read({"provider": "openai", "model_name": "gpt-4"}), EvolverSettings(openai_api_key="k")
        )


def test_a_request_never_exceeds_the_caps_of_the_service() -> None:
    asked = EvolutionSettings.read({"budget": {"calls": 500, "seconds": 1000.0, "money_usd": 9.0}})
    limits = limits_of(asked, EvolverSettings(evolution_calls_max=100, evolution_money_max_usd=2.0), _scripted())
    assert (limits.calls, limits.seconds, limits.money_usd) == (100, 1000.0, 2.0)


def test_money_can_only_be_capped_where_a_price_is_known() -> None:
    nobody_knows = CountedLLM(_scripted(), lambda counts: None)
    nobody_knows.provider = "openai"
    with pytest.raises(ConfigurationError, match="money_usd"):
        limits_of(EvolutionSettings.read({"budget": {"money_usd": 1.0}}), EvolverSettings(), nobody_knows)
    assert limits_of(EvolutionSettings.read({}), EvolverSettings(), nobody_knows).money_usd is None


async def test_calls_are_counted_by_purpose_and_failed_ones_as_well() -> None:
    counted: list[dict[str, float]] = []
    assert isinstance(await CountedLLM(_scripted(), counted.append).complete(HELLO), Reply)
    assert counted[0]["calls|scripted|task"] == 1

    def fail(request: Request) -> str:
        raise UnknownModel("no such model")

    with pytest.raises(UnknownModel):
        await CountedLLM(ScriptedLLM(fail), counted.append).complete(HELLO)
    assert counted[1] == {"calls|scripted|task": 1, "failures|scripted|task": 1}


def _scripted() -> ScriptedLLM:
    return ScriptedLLM(lambda request: "hi")


def test_a_model_is_refused_from_the_day_after_its_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Later(date):
        @classmethod
        def today(cls) -> Later:
            return cls(2027, 1, 15)

    service = EvolverSettings(openai_api_key="k")
    assert connect_model(EvolutionSettings.read({"provider": "openai", "model_name": "gpt-4.1"}), service)
    monkeypatch.setattr(wrapping, "date", Later)
    with pytest.raises(UnknownModel, match=r"retired 'gpt-4\.1'"):
        connect_model(EvolutionSettings.read({"provider": "openai", "model_name": "gpt-4.1"}), service)


def test_a_batch_is_sent_by_one_worker() -> None:
    assert EvolutionSettings.read({"batch": True}).batch
    with pytest.raises(ConfigurationError, match="sent by one worker"):
        EvolutionSettings.read({"batch": True, "workers": 2})
