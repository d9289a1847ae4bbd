"""What somebody ordered: checked at once, kept in the run's folder, and read again by whoever goes on with the run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from meta_learning.acla.config import STRATEGIES, CurriculumConfig
from meta_learning.datasets import BaseDatasetLoader, TabularLoader, load
from meta_learning.datasets.parquet import ParquetLoader
from meta_learning.errors import CallerError, ConfigurationError, NotFound
from meta_learning.events import describe
from meta_learning.llm import LLM, connect
from meta_learning.llm.models import DEFAULTS
from meta_learning.utils.provenance import without_secrets

UNSAID: tuple[object, ...] = (None, [], ())
LAYOUTS = Literal["sentiment140", "commonsense_qa", "table"]
NAMED = ("sentiment140", "commonsense_qa")
DEFAULT_PROMPTS = {
    "sentiment140": "Decide whether the tweet is positive or negative. Answer with one word: positive or negative.",
    "commonsense_qa": "Choose the best answer to the question. Answer with the letter of the choice only.",
}
WITH_BATCHES = ("anthropic", "openai")
# What the settings of a run are called that have another name than their option.
OPTIONS = {
    "initial_prompt": "prompt",
    "max_iterations": "iterations",
    "min_performance_threshold": "good_enough",
    "improvement_threshold": "improvement",
    "children_count": "children",
    "evolution_strategies": "strategy",
    "calls_max": "calls",
    "tokens_max": "tokens",
    "money_usd_max": "money",
    "seconds_max": "seconds",
    "ensemble_size": "ensemble",
}
# What `--judge` is called where the expected answer is what a good one says.
REFERENCE = "reference"
HIDDEN = "://…@"
_PASSWORD = re.compile(r"(?<=://)([^/@:\s]*):[^/@\s]*@")
PRICED_NOBODY = "money is capped, but no price of {} is known: cap --tokens or --calls instead"


class Order(BaseModel):
    """One order, in the names of the command's options. ``samples`` and ``gate_samples`` are None until they are settled."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False
    )

    data: str
    layout: LAYOUTS
    prompt: str
    contract: str | None = None
    input_column: str = "input"
    expected_column: str = "expected"
    group_column: str | None = None
    samples: int | None = None
    gate_samples: int | None = None
    calls: int = 300
    tokens: int | None = None
    money: float | None = None
    seconds: float | None = None
    provider: str = "local"
    model: str | None = None
    base_url: str | None = None
    iterations: int = 10
    strategy: list[str] = list(STRATEGIES)
    good_enough: float = 0.7
    improvement: float = 0.05
    children: int = 3
    answer_tokens: int = 32
    reasoning_tokens: int = 256
    labels: list[str] | None = None
    judge: str | None = None
    temperature: float = 0.7
    alpha: float = 0.1
    tokens_price: float = 0.0
    ensemble: int = 1
    probe_items: int = 20
    seed: int = 0
    cache: bool = True
    batch: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Order:
        """The order that the options of the command make; those left alone keep their defaults.

        Raises:
            ConfigurationError: an option is out of bounds, or there is no prompt.
        """
        said = {name: value for name, value in options.items() if name in cls.model_fields and value not in UNSAID}
        data = said.get("data", "sentiment140")
        layout = options.get("layout") or (data if data in NAMED else "table")
        if layout not in get_args(LAYOUTS):
            raise ConfigurationError(f"--layout is {layout!r}; there are {', '.join(NAMED)}")
        prompt = _prompt(options.get("prompt"), options.get("prompt_file"), layout)
        where = data if data in NAMED else str(Path(data).absolute())
        if (labels := said.pop("labels", None)) is not None:
            said["labels"] = [label.strip() for label in labels.split(",")] if labels.strip() else []
        try:
            order = cls.model_validate(said | {"data": where, "layout": layout, "prompt": prompt})
        except ValidationError as error:
            raise ConfigurationError(_with_option(describe(error)[0])) from None
        if order.input_column == order.expected_column:
            raise ConfigurationError(f"--input-column and --expected-column are both {order.input_column!r}")
        return order

    def loader(self) -> BaseDatasetLoader:
        """The data set."""
        path = None if self.data in NAMED else self.data
        if self.layout != "table":
            return load(self.layout, path, self.group_column)
        if path is None:
            raise CallerError(f"{self.data} is no table: leave --layout out")
        if "." not in Path(path).name and not Path(path).exists():
            kinds = "a CSV, TSV, JSONL or Parquet file"
            raise NotFound(f"there is no data set {Path(path).name!r}; give {kinds}, or one of {', '.join(NAMED)}")
        kind = ParquetLoader if path.lower().endswith(".parquet") else TabularLoader
        return kind(path, input=self.input_column, expected=self.expected_column, group=self.group_column)

    def connected(self, api_key: str | None) -> LLM:
        """The model; nothing is asked of it yet.

        Raises:
            ConfigurationError: it could never answer: no address, no key, or batches that its provider does not take.
        """
        if self.base_url is not None and not _is_address(self.base_url):
            shown = without_secrets([self.base_url])[0]
            raise ConfigurationError(f"--base-url is {shown!r}; an address begins with http:// or https://")
        llm = connect(self.provider, self.model, self.base_url, api_key)
        if self.batch and self.provider not in WITH_BATCHES:
            said = f"{self.provider} takes no batches: leave --batch out, or use {' or '.join(WITH_BATCHES)}"
            raise ConfigurationError(said)
        if not _has_key(llm):
            raise ConfigurationError("Anthropic needs a key: set ANTHROPIC_API_KEY")
        return llm

    def config(self, calls: int) -> CurriculumConfig:
        """The settings of the run, with ``calls`` as its cap.

        Raises:
            ConfigurationError: an option is out of bounds.
        """
        try:
            return CurriculumConfig(
                initial_prompt=self.prompt,
                contract=self.contract,
                dataset_name=self.layout if self.layout != "table" else Path(self.data).name,
                max_iterations=self.iterations,
                min_performance_threshold=self.good_enough,
                improvement_threshold=self.improvement,
                evolution_strategies=list(self.strategy),
                llm_provider=self.provider,
                model_name=self.model or DEFAULTS.get(self.provider),
                temperature=self.temperature,
                seed=self.seed,
                alpha=self.alpha,
                gate_samples=self.gate_samples or 0,
                calls_max=calls,
                tokens_max=self.tokens,
                money_usd_max=self.money,
                seconds_max=self.seconds,
                children_count=self.children,
                answer_tokens=self.answer_tokens,
                reasoning_tokens=self.reasoning_tokens,
                tokens_price=self.tokens_price,
                ensemble_size=self.ensemble,
                probe_items=self.probe_items,
                labels=self.labels,
                judge="" if self.judge == REFERENCE else self.judge,
            )
        except ConfigurationError as error:
            raise ConfigurationError(_with_option(str(error))) from None

    @property
    def server(self) -> str:
        """A name for who answers: replies of one server are no replies of another that has a model of the same name."""
        file = str(Path(self.model).absolute()) if self.model and self.model.endswith(".gguf") else ""
        address = self.base_url and _PASSWORD.sub(r"\1@", self.base_url)
        return hashlib.sha256(f"{self.provider}\x1f{address}\x1f{file}".encode()).hexdigest()[:16]

    def without_secrets(self) -> Order:
        """The order as it is written down: whoever goes on with the run says the user and password of its server again."""
        return self.model_copy(update={"base_url": self.base_url and without_secrets([self.base_url])[0]})

    def going_on_with(self, base_url: str | None) -> Order:
        """This order, read from its folder, with the address of its server as it is said now, if at all.

        Raises:
            ConfigurationError: the address is another server's, or lacks a user and password that were not written down.
        """
        hidden = self.base_url is not None and HIDDEN in self.base_url
        if base_url is None and hidden:
            raise ConfigurationError(
                f"the user and password of {self.base_url} were not written down: say --base-url again"
            )
        said = self.model_copy(update={"base_url": base_url or self.base_url})
        if said.without_secrets().base_url != self.base_url:
            raise ConfigurationError(f"the run was begun with another --base-url: {self.base_url}")
        return said


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, half of an IPv6 address
        return False


def _has_key(llm: LLM) -> bool:
    """Anthropic's SDK looks for keys when it is made, and complains when it is called. Others complain at once."""
    client = getattr(llm, "client", None)
    if llm.provider != "anthropic" or client is None:
        return True
    in_headers = {"authorization", "x-api-key"} & {name.lower() for name in client.default_headers}
    return bool(in_headers) or getattr(client, "credentials", None) is not None


def _with_option(said: str) -> str:
    """A complaint that begins with the name of a setting, with the option's name.

    >>> _with_option("ensemble_size is 10; it must be a number in [1, 9]")
    '--ensemble is 10; it must be a number in [1, 9]'
    """
    name = re.split(r"[^a-z_]", said, maxsplit=1)[0]
    option = OPTIONS.get(name, name if name in Order.model_fields else "")
    return f"--{option.replace('_', '-')}{said[len(name) :]}" if option else said


def _prompt(text: str | None, file: Path | None, layout: str) -> str:
    if text is not None and file is not None:
        raise ConfigurationError("say --prompt or --prompt-file, not both")
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{file} cannot be read as a prompt: {error}") from None
    if text is None and layout not in DEFAULT_PROMPTS:
        raise ConfigurationError("say which prompt to begin with: --prompt TEXT or --prompt-file FILE")
    return text if text is not None else DEFAULT_PROMPTS[layout]
