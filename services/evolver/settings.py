"""The evolver's settings. The worker's horses read them again at the start of each job: they are processes of their own."""

from __future__ import annotations

from typing import Literal

from pydantic import AliasChoices, Field, SecretStr

from meta_learning.serving.settings import Settings
from meta_learning.streams import Limits


class EvolverSettings(Settings):
    """Where the jobs wait, how many run at once, which model answers, and the caps that no request may exceed."""

    evolver_port: int = Field(8003, ge=0, le=65535, description="Port of the evolver's health and metrics doors.")
    rq_redis_url: str | None = Field(
        None,
        validation_alias=AliasChoices("RQ_REDIS_URL", "META_LEARNING_RQ_REDIS_URL"),
        description="Redis of the job queue, where REDIS_URL is a cluster: RQ does not run on one. Default: REDIS_URL.",
    )
    evolver_workers_count: int = Field(
        1,
        ge=1,
        le=64,
        description="Worker processes: so many ACLA runs at the same time, or several at one (`workers`).",
    )
    llm_provider: Literal["auto", "anthropic", "openai", "local", "transformers"] = Field(
        "auto",
        description="Who answers where a request says `auto`; `auto` here: whoever has a key, else the local model.",
    )
    llm_model: str | None = Field(
        None,
        min_length=1,
        max_length=128,
        description="Model where a request names none; default: the provider's entry.",
    )
    anthropic_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("ANTHROPIC_API_KEY", "META_LEARNING_ANTHROPIC_API_KEY"),
        description="Key for Anthropic.",
    )
    openai_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("OPENAI_API_KEY", "META_LEARNING_OPENAI_API_KEY"),
        description="Key for OpenAI, or for the server at OPENAI_BASE_URL.",
    )
    openai_base_url: str | None = Field(
        None,
        validation_alias=AliasChoices("OPENAI_BASE_URL", "META_LEARNING_OPENAI_BASE_URL"),
        description="Address of any server that speaks OpenAI's chat completions (vLLM, llama.cpp, Ollama).",
    )
    local_threads_count: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Threads of the local model; default: half of the cores, since it spins when it must share one.",
    )
    llm_concurrency_max: int | None = Field(
        None, ge=1, le=1024, description="Model calls on their way at once, per worker; default: the provider's."
    )
    llm_timeout_s: float = Field(60.0, gt=0, le=600, description="How long one model call may take, in seconds.")
    llm_outage_wait_s: float = Field(
        10.0,
        ge=0,
        le=300,
        description="How long a run waits with back-off for a silent model before it steps aside, in seconds.",
    )
    llm_outage_retries_count: int = Field(
        8,
        ge=0,
        le=1000,
        description="How often a run that stepped aside for a silent model comes back before it gives up.",
    )
    evolution_calls_max: int = Field(
        20_000, ge=1, description="Cap on the model calls of one run, whatever it asks for."
    )
    evolution_seconds_max: float = Field(
        7_200.0, gt=0, le=86_400, description="Cap on the seconds of one run, whatever it asks for."
    )
    evolution_money_max_usd: float | None = Field(
        50.0, gt=0, description="Cap on the US dollars of one run, whatever it asks for; empty for none."
    )
    evolution_retries_count: int = Field(
        3, ge=1, le=20, description="How often a run is taken up again after its process died or failed."
    )
    lease_ttl_s: float = Field(
        4.0,
        ge=1,
        le=60,
        description="Silence after which a running job counts as dead and is given to a successor, in seconds.",
    )

    @property
    def queue_url(self) -> str:
        """The Redis of the job queue."""
        return self.rq_redis_url or self.redis_url

    @property
    def log_limits(self) -> Limits:
        """The log's bounds that matter to one who publishes."""
        return Limits(identity_window_s=self.identity_window_s)
