"""The default model: hashed texts into an ensemble of an adaptive logistic, naive Bayes and facts, mixed online."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

from meta_learning.clrs.models import text_dump
from meta_learning.clrs.models.bags import Bags, BagSettings, Texts
from meta_learning.clrs.models.codepoints import encoded, tables
from meta_learning.clrs.models.paths import Path, fastest
from meta_learning.clrs.models.port import Floats, Pair, digest_of_arrays
from meta_learning.clrs.models.text_numbers import numbers_of, table_of
from meta_learning.clrs.models.text_state import BAYES_SCALES, Rates, empty_state, log_counts
from meta_learning.errors import ConfigurationError, MalformedState

HEADER = text_dump.HEADER


@dataclass(frozen=True, slots=True)
class TextModelSettings:
    """Learning rates of the adaptive logistic, of the stack and of the calibration; naive Bayes' smoothing; the facts' prior.

    ``answer_doubt``: see `learning.answer_odds`; 0, as in models before it: all answers have the general odds.
    """

    rate: float = 0.3
    stack_rate: float = 0.05
    calibration_rate: float = 0.01
    smoothing_long: float = 2.0
    smoothing_short: float = 0.3
    facts_variance: float = 1.0
    answer_doubt: float = 2.0
    bags: BagSettings = field(default_factory=BagSettings)


class PairBags:
    """Turns pairs into `Bags`, and remembers the last two batches: champion and candidate are asked about the same pairs."""

    def __init__(self, settings: BagSettings, path: Path) -> None:
        self.settings, self.path = settings, path
        self._memo: tuple[tuple[tuple[Pair, ...], Bags], ...] = ()

    def of(self, pairs: Sequence[Pair]) -> Bags:
        """The bags of ``pairs``."""
        key = tuple(pairs)
        for known, bags in self._memo:
            if known == key:
                return bags
        points, starts = encoded([text for pair in key for text in pair])
        bags = self.path.extract(Texts(points, starts), tables(), self.settings)
        self._memo = ((key, bags), *self._memo[:1])
        return bags


class OnlineTextModel:
    """Experts on `Bags` that learn from every pair, and a stack that learns whom to believe (Wolpert 1992).

    AdaGrad logistic (Duchi et al. 2011) on scaled n-grams; naive Bayes on the presence of n-grams, by block; a Bayesian
    logistic on facts (lengths, marks, overlap, rarity) with its full covariance. A score y is learnt as a label that is true with
    weight y and false with weight 1 - y. What was said before learning also fits the calibration, so that 0.7 means 0.7.

    Memory: 4.2 MB a model (8 bytes for each of ``2 ** 19`` buckets), whatever was learnt; a loop holds up to five versions
    (`LoopModels`), for a moment six, and the bags of the last two batches. With numba (the extra ``fast``) it is compiled;
    without, numpy computes the same bits.

    >>> model = OnlineTextModel()
    >>> for _ in range(3): model.learn([("fine day", "ok"), ("bad day", "ok")], np.array([1.0, 0.0]))
    >>> good, bad = model.predict([("fine day", "ok"), ("bad day", "ok")])
    >>> bool(good > 0.5 > bad)
    True
    """

    def __init__(
        self, settings: TextModelSettings | None = None, features: PairBags | None = None, path: Path | None = None
    ) -> None:
        self.settings = settings or TextModelSettings()
        self.features = features or PairBags(self.settings.bags, path or fastest())
        self.state = empty_state(self.settings.bags, self.settings.facts_variance)
        logs = log_counts(self.settings.smoothing_long, self.settings.smoothing_short)
        rates = (
            self.settings.rate,
            self.settings.stack_rate,
            self.settings.calibration_rate,
            self.settings.answer_doubt,
        )
        self.rates = Rates(*rates, BAYES_SCALES, logs)
        self._version: str | None = None

    def predict(self, pairs: Sequence[Pair]) -> Floats:
        """Expected scores; 0.5 for everything before anything is learnt."""
        if not pairs:
            return np.zeros(0)
        return self.features.path.predict(self.state, self.features.of(pairs), self.rates)

    def learn(self, pairs: Sequence[Pair], targets: Floats, weights: Floats | None = None) -> None:
        """One pass over ``pairs``, one update a pair."""
        if not pairs:
            return
        costs = np.ones(len(pairs)) if weights is None else np.ascontiguousarray(weights, dtype=np.float64)
        lessons = np.ascontiguousarray(targets, dtype=np.float64)
        self.features.path.learn(self.state, self.features.of(pairs), lessons, costs, self.rates)
        self._version = None

    def copy(self) -> Self:
        """A twin that shares the (stateless) features and their memo, so that pairs are hashed once for both."""
        twin = type(self)(self.settings, self.features)
        twin.state, twin._version = self.state.copied(), self._version
        return twin

    def untrained(self) -> Self:
        """A model with the same settings that has learnt nothing; the features are shared."""
        return type(self)(self.settings, self.features)

    def version(self) -> str:
        """Digest of settings and arrays; computed once between two batches."""
        if self._version is None:
            kind = HEADER.decode() + json.dumps(_told(self.settings), sort_keys=True)
            self._version = digest_of_arrays(kind, *self.state)
        return self._version

    def dump(self) -> bytes:
        """Header, settings, then the arrays; about 4 bytes a touched bucket."""
        return text_dump.packed(self.state, {"settings": _told(self.settings)})

    def large_arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """What may be compressed: the table, see `text_numbers`."""
        return dict(numbers_of(self.state.table))

    def with_arrays(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Self:
        """A twin with these numbers in its table."""
        twin = self.copy()
        twin.state, twin._version = twin.state._replace(table=table_of(arrays, twin.state.table)), None
        return twin

    @classmethod
    def load(cls, blob: bytes, features: PairBags | None = None) -> Self:
        """Read `dump` back; ``features`` of another model with the same settings may be shared.

        Raises:
            MalformedState: ``blob`` is no such dump, of an older format, or is damaged.
        """
        about, body = text_dump.about_of(blob)
        try:
            known: dict[str, Any] = {"answer_doubt": 0.0} | dict(about["settings"])
            settings = TextModelSettings(**{**known, "bags": BagSettings(**known["bags"])})
            touched = int(about["touched"])
            shared = features if features is not None and features.settings == settings.bags else None
            model = cls(settings, shared)
        except (ValueError, KeyError, TypeError, ConfigurationError) as error:
            raise MalformedState(f"not a text model: {error}") from error
        model.state = text_dump.unpacked(body, touched, settings.bags)
        return model


def _told(settings: TextModelSettings) -> dict[str, Any]:
    """As a dump holds it; models from before ``answer_doubt`` keep their versions."""
    told = asdict(settings)
    if not settings.answer_doubt:
        del told["answer_doubt"]
    return told


def warm_up(path: Path | None = None) -> None:
    """Have everything compiled, or read back from the last time, before the first event waits for it.

    >>> warm_up()
    """
    model = OnlineTextModel(TextModelSettings(bags=BagSettings(bits=8)), path=path)
    pairs = [("to be", "or"), ("not to be", "that is the whole question")]
    model.learn(pairs, np.array([1.0, 0.0]))
    model.predict(pairs)
