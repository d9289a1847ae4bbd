"""A small causal language model as a model of the loop: it learns from scalar feedback, and it can also answer."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from meta_learning.clrs.models.extras import needed
from meta_learning.clrs.models.language import low_rank
from meta_learning.clrs.models.language.adapter_trainer import AdapterTrainer, TrainingSettings
from meta_learning.clrs.models.language.base_weights import PACKAGED, BaseWeights
from meta_learning.clrs.models.language.low_rank import AdapterShape
from meta_learning.clrs.models.language.prompting import Prompting, Question
from meta_learning.clrs.models.language.replicas import Replicas
from meta_learning.clrs.models.port import Floats, Pair, digest_of_arrays
from meta_learning.clrs.models.recent_logistic import RecentLogistic
from meta_learning.errors import ConfigurationError, MalformedState

HEADER = b"MLLM2\n"
MEMO_COUNT = 4  # batches: champion and candidate are asked about the same cycle and the same probe


@dataclass(frozen=True, slots=True)
class LanguageSettings:
    """``instruction``: what the model is asked, around ``{input}``; ``chat``: as a turn in the base's template, where it has one.

    ``labels``: where the outputs are known labels, an answer is judged among them. Labels of one token each ("positive" after a
    space) cost nothing, longer ones a row of every pass. Limits are in tokens; what lies beyond is not read.
    """

    instruction: str = "{input}"
    chat: bool = True
    labels: tuple[str, ...] = ()
    input_tokens_max: int = 256
    output_tokens_max: int = 128
    seed: int = 0
    training: TrainingSettings = field(default_factory=TrainingSettings)


class LanguageModel:
    """LoRA on a frozen causal LM, trained with KTO (arXiv 2402.01306) on scores in [0, 1]; see `language.kto`.

    What it expects of an answer is a logistic function of two numbers, fitted to the last rows as they were answered before they
    were learnt. With ``labels``: the log-odds of the label under the bare base, what training has added to them, and a level
    for each label; before the first lesson, the base's own probability. Without: KTO's reward ``beta * log(policy /
    reference)``, and how much likelier the input makes the answer under the bare base, per token; before the first lesson, 0.5.

    Copies share the base; a version is the adapter, its optimiser and the calibration (three float32 for every adapter
    number: 5.5 MB on SmolLM2 with the default shape).

    >>> model = LanguageModel()                                     # doctest: +SKIP
    >>> model.learn([("fine day", "good")], np.array([1.0]))        # doctest: +SKIP
    >>> model.generate("How was the day?")                          # doctest: +SKIP
    'It was good.'

    The same calls give the same bits on one machine with one number of threads. Raises:
        ConfigurationError: the extra ``torch`` or the base weights are missing.
    """

    def __init__(
        self,
        base: BaseWeights | str | Path = PACKAGED,
        settings: LanguageSettings | None = None,
        replicas: Replicas | None = None,
    ) -> None:
        self.settings = settings or LanguageSettings()
        self.base = base if isinstance(base, BaseWeights) else BaseWeights.open(base)
        limits = self.settings.input_tokens_max, self.settings.output_tokens_max
        self._prompting = Prompting.of(
            self.base.tokenizer, self.settings.instruction, self.settings.chat, limits, self.settings.labels
        )
        self._trainer = AdapterTrainer(self.base, self.settings.training, self.settings.seed, replicas)
        self.calibration = RecentLogistic.empty(width=2 + len(self.settings.labels))
        self._memo: dict[tuple[Pair, ...], tuple[Floats, Floats]] = {}  # what the base says; shared by all copies
        self._asked: tuple[tuple[Pair, ...], Floats] | None = None
        self._version: str | None = None

    def predict(self, pairs: Sequence[Pair]) -> Floats:
        """Expected scores; before anything is learnt 0.5, or what the base makes of the labels."""
        if not pairs or not (len(self.calibration.rows) or self.settings.labels):
            return np.full(len(pairs), 0.5)
        features = self._features(pairs)
        if not len(self.calibration.rows):
            return np.asarray(1.0 / (1.0 + np.exp(-features[:, 1])))
        return self.calibration.scores(features)

    def learn(self, pairs: Sequence[Pair], targets: Floats, weights: Floats | None = None) -> None:
        """A pass of KTO over ``pairs``; the calibration learns what was expected of them before."""
        if not pairs:
            return
        costs = np.ones(len(pairs)) if weights is None else np.asarray(weights, dtype=np.float64)
        features = self._features(pairs)
        self._trainer.learn(self._questions(pairs), self._bare(pairs)[0], targets, costs)
        self.calibration.add(features, targets, costs)
        self._asked = self._version = None

    def generate(self, input_text: str, tokens_max: int = 64) -> str:
        """The label with the best expected score; without labels the likeliest answer, token by token (nothing is drawn)."""
        if labels := self.settings.labels:
            return labels[int(self.predict([(input_text, label) for label in labels]).argmax())]
        torch = needed("torch", "torch")
        prompt = self._prompting.prompt(input_text)
        ids = torch.tensor([prompt], device=self.base.device)
        with torch.no_grad(), low_rank.active(self._trainer.views()):
            found = self.base.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens_max,
                do_sample=False,
                pad_token_id=self._prompting.end or 0,
            )
        return str(self.base.tokenizer.decode(found[0, len(prompt) :], skip_special_tokens=True)).strip()

    def _features(self, pairs: Sequence[Pair]) -> Floats:
        """Shape (n, 2 + labels): what was learnt, what the bare base knows, and which label it is."""
        key = tuple(pairs)
        if self._asked is not None and self._asked[0] == key:
            return self._asked[1]
        said, known = self._bare(pairs)
        learnt = np.zeros(len(key))
        if self._trainer.step:
            policy = self._trainer.ask(self._questions(pairs), self._trainer.views())
            learnt = self.settings.training.beta * (policy - said)[:, 0]
            if self.settings.labels:
                learnt = _log_odds(policy) - known
        levels = [[float(output == label) for label in self.settings.labels] for _, output in pairs]
        features = np.column_stack([learnt, known, np.array(levels).reshape(len(key), -1)])
        self._asked = key, features
        return features

    def _bare(self, pairs: Sequence[Pair]) -> tuple[Floats, Floats]:
        """Log-probabilities of the answers under the bare base, and what they say about the answer given.

        Kept for the last few whole batches, never row by row: a row's last bits depend on the rows beside it, and a
        restored loop must find the same ones.
        """
        key = tuple(pairs)
        if (known := self._memo.get(key)) is not None:
            return known
        said = self._trainer.ask(self._questions(pairs), None)
        found = said, _log_odds(said) if self.settings.labels else self._worth(pairs, said[:, 0])
        self._memo[key] = found
        for old in list(self._memo)[:-MEMO_COUNT]:
            self._memo.pop(old, None)
        return found

    def _worth(self, pairs: Sequence[Pair], said: Floats) -> Floats:
        """How much likelier the input makes the answer than no input does, per token."""
        outputs = sorted({output for _, output in pairs})
        questions = self._questions([("", output) for output in outputs])
        plain = dict(zip(outputs, self._trainer.ask(questions, None)[:, 0], strict=True))
        lengths = {output: len(answers[0]) for output, (_, answers) in zip(outputs, questions, strict=True)}
        return np.array([(found - plain[o]) / lengths[o] for (_, o), found in zip(pairs, said, strict=True)])

    def _questions(self, pairs: Sequence[Pair]) -> list[Question]:
        return [self._prompting.question(pair) for pair in pairs]

    def copy(self) -> Self:
        """A twin that shares the base weights and copies the adapter."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._trainer, twin.calibration = self._trainer.copy(), self.calibration.copy()
        return twin

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """All that was learnt, by name."""
        trainer = self._trainer
        flats = {"adapter": trainer.flat, "first_moment": trainer.moments[0], "second_moment": trainer.moments[1]}
        return {name: flat.detach().cpu().numpy() for name, flat in flats.items()} | {
            "calibration": self.calibration.rows,
            "mass": np.append(trainer.mass, trainer.step),
        }

    def large_arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """What may be compressed: the adapter."""
        return {"adapter": self.arrays()["adapter"]}

    def with_arrays(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Self:
        """A twin with another adapter; its optimiser starts afresh."""
        twin, mine = self.copy(), self.arrays()
        none = np.zeros_like(mine["adapter"])
        twin._take({**mine, "first_moment": none, "second_moment": none, **arrays})
        twin._asked = twin._version = None
        return twin

    def version(self) -> str:
        """Digest of settings, base weights and arrays; computed once between two batches."""
        if self._version is None:
            kind = HEADER.decode() + json.dumps(asdict(self.settings), sort_keys=True) + self.base.digest
            self._version = digest_of_arrays(kind, *(array for _, array in sorted(self.arrays().items())))
        return self._version

    def dump(self) -> bytes:
        """Header, settings and the base's digest as JSON, then the arrays as safetensors; never the base weights."""
        base = {"base": self.base.digest, "source": self.base.source, "numbers": self.base.numbers}
        about = {"settings": asdict(self.settings), **base}
        head = json.dumps(about, sort_keys=True).encode()
        body: bytes = needed("safetensors.numpy", "torch").save(self.arrays())
        return HEADER + struct.pack("<I", len(head)) + head + body

    @classmethod
    def load(cls, blob: bytes, base: BaseWeights | None = None) -> Self:
        """Read `dump` back, on ``base`` or (without one) on the base that it was trained on, opened where it was found then.

        Raises:
            MalformedState: damaged, or trained on other base weights than these.
            ConfigurationError: the base weights are not here any more.
        """
        about, arrays = _parted(blob)
        try:
            settings = _settings(about["settings"])
            digest, source, numbers = (str(about[name]) for name in ("base", "source", "numbers"))
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedState(f"not a language model: {error!r}") from error
        if base is None and not source:
            raise ConfigurationError(f"these base weights ({digest[:12]}) came from no file: load with base=")
        base = base or BaseWeights.open(source, numbers=numbers)
        if base.digest != digest:
            raise MalformedState(
                f"trained on base weights {digest[:12]}; {base.source or 'these'} are {base.digest[:12]}"
            )
        model = cls(base, settings)
        model._take(arrays)
        return model

    def _take(self, arrays: dict[str, np.ndarray[Any, Any]]) -> None:
        torch = needed("torch", "torch")
        trainer, shape = self._trainer, tuple(self._trainer.flat.shape)
        try:
            flats = [arrays[name] for name in ("adapter", "first_moment", "second_moment")]
            if (
                any(flat.shape != shape for flat in flats)
                or arrays["calibration"].shape[1:] != self.calibration.rows.shape[1:]
            ):
                raise ValueError("the arrays do not fit the settings")
            trainer.flat, *moments = (torch.from_numpy(flat.copy()).to(self.base.device) for flat in flats)
            trainer.moments = moments[0], moments[1]
            trainer.mass, trainer.step = arrays["mass"][:2].copy(), int(arrays["mass"][2])
            self.calibration.rows = arrays["calibration"].copy()
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise MalformedState(f"not a language model: {error}") from error


def _log_odds(said: Floats) -> Floats:
    """The log-odds of the first answer of each row against all others."""
    return np.asarray(said[:, 0] - np.logaddexp.reduce(said[:, 1:], axis=1))


def _parted(blob: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    safetensors = needed("safetensors.numpy", "torch")
    try:
        if not blob.startswith(HEADER):
            raise ValueError("the header is missing")
        start = len(HEADER) + 4
        (length,) = struct.unpack("<I", blob[len(HEADER) : start])
        return dict(json.loads(blob[start : start + length])), dict(safetensors.load(blob[start + length :]))
    except Exception as error:  # safetensors raises errors of its own, outside of any tree
        raise MalformedState(f"not a language model: {error}") from error


def _settings(known: dict[str, Any]) -> LanguageSettings:
    training = dict(known["training"])
    shape = dict(training["shape"])
    shape["targets"] = tuple(shape["targets"])
    labels = tuple(known["labels"])
    return LanguageSettings(
        **{**known, "labels": labels, "training": TrainingSettings(**{**training, "shape": AdapterShape(**shape)})}
    )
