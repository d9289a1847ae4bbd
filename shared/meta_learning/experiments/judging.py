"""A prompt that was found somewhere, judged elsewhere: on perturbed inputs, on another data set, by another model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from meta_learning.clrs.perturbations import PERTURBATIONS
from meta_learning.errors import CallerError
from meta_learning.experiments.asking import Package, PromptAsker
from meta_learning.experiments.config import DatasetSpec, ModelSpec, Sizes
from meta_learning.experiments.drawing_items import Items, Wanted, draw
from meta_learning.experiments.evaluator import evaluate
from meta_learning.experiments.grid import GridCell
from meta_learning.experiments.loading import dataset_of
from meta_learning.experiments.predictions import Prediction, item_key, labels_of
from meta_learning.llm import LLM

KIND: Literal["judging"] = "judging"


def known_perturbation(name: str) -> str:
    """A name of `clrs.perturbations`.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in PERTURBATIONS:
        raise ValueError(f"{name!r} is none of {', '.join(PERTURBATIONS)}")
    return name


Perturbation = Annotated[str, AfterValidator(known_perturbation)]


class JudgingCell(GridCell):
    """``text`` with its weights on labels, which ``arm`` came to on ``found_on``, put to ``model`` on items of ``dataset``.

    ``count``: so many of its test items; None for all.
    """

    kind: Literal["judging"] = KIND
    arm: str
    found_on: str
    text: str
    label_bias: dict[str, float] = Field(default_factory=dict)
    dataset: DatasetSpec
    model: ModelSpec
    perturbation: Perturbation | None = None
    sizes: Sizes
    count: Annotated[int, Field(ge=1)] | None = None

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.found_on} · {self.arm} · {self.where} · seed {self.seed}"

    @property
    def where(self) -> str:
        """What differs from where it was found."""
        return self.perturbation or f"{self.dataset.name} by {self.model.title}"


async def run_judging(cell: JudgingCell, llm: LLM) -> dict[str, Any]:
    """The cell's result: the test items are those of the cell that found the prompt, where the data set is the same.

    Raises:
        LLMUnavailable: the model does not answer; run the cell again.
        CallerError: the data set has too few items.
    """
    items = await items_of(cell.dataset, cell.sizes, cell.seed)
    labels = labels_of(items.pool)
    asker = asker_of(llm, labels, cell.dataset, cell.sizes)
    test = items.test[: cell.count]
    asked = [_perturbed(sample, cell.perturbation) for sample in test]
    said = await asker.predict(Package(cell.text, cell.label_bias), asked)
    found = named_as(said, test)
    result = {
        "format": 1,
        "id": cell.id,
        "cell": cell.model_dump(mode="json"),
        "where": cell.where,
        "answering_calls": asker.calls_count,
        "evaluation": evaluate(found, labels, cell.seed),
        "predictions": [asdict(one) for one in found],
    }
    plain: dict[str, Any] = json.loads(json.dumps(result))
    return plain


def asker_of(llm: LLM, labels: Sequence[str], dataset: DatasetSpec, sizes: Sizes) -> PromptAsker:
    """What puts prompts to ``llm`` as the settings of a study say."""
    return PromptAsker(llm, labels, dataset.segment_by, sizes.answer_tokens, sizes.reasoning_tokens)


async def items_of(dataset: DatasetSpec, sizes: Sizes, seed: int) -> Items:
    """The items of a seed.

    Raises:
        CallerError: too few are left to test on.
    """
    wanted = Wanted(sizes.sample_size, sizes.gate_samples, sizes.test_samples)
    items = await draw(dataset_of(dataset), wanted, seed)
    if not items.test:
        raise CallerError(f"{dataset.name} holds too few items to test on after {sizes.sample_size} to search with")
    return items


def named_as(found: Sequence[Prediction], samples: Sequence[Mapping[str, Any]]) -> list[Prediction]:
    """Predictions under the names of the items as they were before they were perturbed, so that both can be paired."""
    return [replace(one, item=item_key(sample)) for one, sample in zip(found, samples, strict=True)]


def _perturbed(sample: Mapping[str, Any], name: str | None) -> Mapping[str, Any]:
    return sample if name is None else {**sample, "input": PERTURBATIONS[name](str(sample["input"]))}
