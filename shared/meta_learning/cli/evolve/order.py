"""What somebody ordered: checked at once, kept in the run's folder, and read again by whoever goes on with the run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from meta_learning.acla.config import STRATEGIES, CurriculumConfig
from meta_learning.datasets import BaseDatasetLoader, TabularLoader, load
from meta_learning.datasets.parquet import ParquetLoader
from meta_learning.errors import CallerError, ConfigurationError, NotFound
from meta_learning.events import describe
from meta_learning.llm import LLM, connect
from meta_learning.llm.models import DEFAULTS

UNSAID: tuple[object, ...] = (None, [], ())
NAMED = ("sentiment140", "commonsense_qa")
DEFAULT_PROMPTS = {
    "sentiment140": "Decide whether the tweet is positive or negative. Answer with one word: positive or negative.",
    "commonsense_qa": "Choose the best answer to the question. Answer with the letter of the choice only.",
}
PRICED_NOBODY = "money is capped, but no price of {} is known: cap --tokens or --calls instead"


class Order(BaseModel):
    """One order, in the names of the command's options. ``samples`` and ``gate_samples`` are None until they are settled."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False
    )

    data: str
    layout: Literal["sentiment140", "commonsense_qa", "table"]
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
        prompt = _prompt(options.get("prompt"), options.get("prompt_file"), layout)
        where = data if data in NAMED else str(Path(data).absolute())
        try:
            return cls.model_validate(said | {"data": where, "layout": layout, "prompt": prompt})
        except ValidationError as error:
            raise ConfigurationError(describe(error)[0]) from None

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
        """The model; nothing is asked of it yet."""
        return connect(self.provider, self.model, self.base_url, api_key)

    def config(self, calls: int) -> CurriculumConfig:
        """The settings of the run, with ``calls`` as its cap.

        Raises:
            ConfigurationError: an option is out of bounds.
        """
        return CurriculumConfig(
            initial_prompt=self.prompt,
            contract=self.contract,
            dataset_name=self.layout if self.layout != "table" else Path(self.data).name,
            max_iterations=self.iterations,
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
            tokens_price=self.tokens_price,
            ensemble_size=self.ensemble,
            probe_items=self.probe_items,
        )

    @property
    def server(self) -> str:
        """A name for who answers: replies of one server are no replies of another that has a model of the same name."""
        file = str(Path(self.model).absolute()) if self.model and self.model.endswith(".gguf") else ""
        return hashlib.sha256(f"{self.provider}\x1f{self.base_url}\x1f{file}".encode()).hexdigest()[:16]


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
