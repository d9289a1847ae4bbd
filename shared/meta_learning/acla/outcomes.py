"""The matrix of everything asked: candidate × item. Every statistic is computed from it, so every call is used again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from meta_learning.acla.calibration import UNCALIBRATED, Calibration, cross_fitted, fitted, folds_of, levelled
from meta_learning.acla.parsing import is_right
from meta_learning.acla.prompt import Prompt
from meta_learning.acla.splits import Item, group_or_self


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one item. ``missing`` says why nothing did: missing is missing, never wrong.

    ``score`` is set where somebody else judged (an ``evaluation_fn``). ``price_usd`` is None where no price is known.
    """

    text: str | None = None
    label_logprobs: Mapping[str, float] | None = None
    score: float | None = None
    tokens: int = 0
    missing: str | None = None
    latency_s: float = 0.0
    price_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A prompt with its package: ``calibrated`` decides between labels by a threshold fitted on the search items."""

    prompt: Prompt
    calibrated: bool = False
    strategy: str = "seed"
    note: str = ""
    parent: str | None = None

    @property
    def version(self) -> str:
        """The name of the package: the prompt's digest, marked when calibrated."""
        return self.prompt.version + ("-c" if self.calibrated else "")


@dataclass(frozen=True, slots=True)
class _Fit:
    """A candidate's calibration: of each fold's items out of the others, and of fresh items out of all.

    ``fold_of``: by group, so that an item without log-probabilities is not judged by what others of its group said either.
    """

    known_count: int
    all: Calibration
    by_fold: Sequence[Calibration]
    fold_of: Mapping[str, int]


@dataclass
class OutcomeMatrix:
    """Answers by prompt and item. ``fitting_items`` are those that calibrations may be fitted on: the search's."""

    fitting_items: Sequence[Item] = ()
    answers: dict[str, dict[str, Answer]] = field(default_factory=dict)
    _fits: dict[str, _Fit] = field(default_factory=dict)
    _rows: dict[str, tuple[int, dict[str, float]]] = field(default_factory=dict)
    _differences: dict[tuple[str, str], tuple[tuple[int, ...], dict[str, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # By id: a fold must not depend on the order in which items were asked.
        self._fitting = sorted(self.fitting_items, key=lambda item: item.id)

    def record(self, prompt: Prompt, item: Item, answer: Answer) -> None:
        """Enter one answer."""
        self.answers.setdefault(prompt.version, {})[item.id] = answer

    def unasked(self, prompt: Prompt, items: Sequence[Item]) -> list[Item]:
        """The items for which ``prompt`` has no entry yet; its own exemplars are never asked."""
        known = self.answers.get(prompt.version, {})
        own = prompt.exemplar_ids
        return [item for item in items if item.id not in known and item.id not in own]

    def has_logprobs(self, prompt: Prompt) -> bool:
        """Whether weights on labels make another package of ``prompt``: its answers are no texts alone."""
        return any(one.label_logprobs is not None for one in self.answers.get(prompt.version, {}).values())

    def decision(self, candidate: Candidate, item: Item) -> str | None:
        """The answer that the package gives, or None."""
        answer = self._answer(candidate, item)
        said = self.said_of_labels(candidate, item)
        if said is None:
            return answer.text if answer else None
        return self.calibration(candidate, item).decision(said)

    def said_of_labels(self, candidate: Candidate, item: Item) -> Mapping[str, float] | None:
        """The log-probabilities that the package decides between; None where its text decides.

        A package with weights takes them alone where the model considered no label: one of them has to be the answer.
        """
        answer = self._answer(candidate, item)
        if answer is None or answer.missing is not None or answer.label_logprobs is not None:
            return answer.label_logprobs if answer else None
        return None if answer.text else self.calibration(candidate, item).nothing_said or None

    def score(self, candidate: Candidate, item: Item) -> float | None:
        """In [0, 1], right or wrong where we judge; None where nothing is known."""
        answer = self._answer(candidate, item)
        if answer is None or not self._is_answered(candidate, item):
            return None
        if answer.score is not None:
            return answer.score
        return float(is_right(self.decision(candidate, item), item.expected))

    def row(self, candidate: Candidate) -> Mapping[str, float]:
        """Scores on the search items, by item."""
        count = len(self.answers.get(candidate.prompt.version, {}))
        known = self._rows.get(candidate.version)
        if known is None or known[0] != count:
            scored = ((item.id, self.score(candidate, item)) for item in self.fitting_items)
            known = (count, {name: score for name, score in scored if score is not None})
            self._rows[candidate.version] = known
        return known[1]

    def scores(self, candidate: Candidate, items: Sequence[Item]) -> list[float]:
        """The known scores."""
        known = (self.score(candidate, item) for item in items)
        return [score for score in known if score is not None]

    def differences(self, better: Candidate, worse: Candidate, items: Sequence[Item]) -> list[float]:
        """Score by score, on the items that both have."""
        pairs = ((self.score(better, item), self.score(worse, item)) for item in items)
        return [one - other for one, other in pairs if one is not None and other is not None]

    def levelled_differences(self, better: Candidate, worse: Candidate) -> dict[str, float]:
        """By item that both have, the chance that each gives to the right label, once both are freed of their leanings on these items.

        With the same few answers taken from both, and none of them looked at: were each judged by its own thresholds, whoever was
        asked more would have the better ones. Finer than right and wrong, so that fewer items tell.
        """
        counts = tuple(len(self.answers.get(one.prompt.version, {})) for one in (better, worse))
        pair = (better.version, worse.version)
        known = self._differences.get(pair)
        if known is None or known[0] != counts:
            shared = [
                item for item in self._fitting if self._is_answered(better, item) and self._is_answered(worse, item)
            ]
            mine, theirs = self._levelled(better, shared), self._levelled(worse, shared)
            known = (counts, {item.id: mine[item.id] - theirs[item.id] for item in shared})
            self._differences[pair] = known
        return known[1]

    def _levelled(self, candidate: Candidate, items: Sequence[Item]) -> dict[str, float]:
        answers = self.answers.get(candidate.prompt.version, {})
        said = {item: answers[item.id].label_logprobs for item in items}
        known = [(logprobs, item.expected) for item, logprobs in said.items() if logprobs is not None]
        level = levelled(known) if known else UNCALIBRATED
        return {
            item.id: level.probability(logprobs, item.expected)
            if logprobs is not None
            else self.score(candidate, item) or 0.0
            for item, logprobs in said.items()
        }

    def _is_answered(self, candidate: Candidate, item: Item) -> bool:
        answer = self._answer(candidate, item)
        return answer is not None and answer.missing is None and item.id not in candidate.prompt.exemplar_ids

    def calibration(self, candidate: Candidate, item: Item | None = None) -> Calibration:
        """How the package weighs its labels: for a search item without having seen its answer, for any other out of all of them."""
        if not candidate.calibrated:
            return UNCALIBRATED
        fit = self._fit(candidate)
        fold = fit.fold_of.get(group_or_self(item)) if item is not None else None
        return fit.all if fold is None else fit.by_fold[fold]

    def bias(self, candidate: Candidate) -> dict[str, float]:
        """What the package adds to each label's log-probability. Empty for a candidate that is not calibrated."""
        return dict(self.calibration(candidate).bias)

    def _answer(self, candidate: Candidate, item: Item) -> Answer | None:
        return self.answers.get(candidate.prompt.version, {}).get(item.id)

    def _fit(self, candidate: Candidate) -> _Fit:
        version = candidate.prompt.version
        answers = self.answers.get(version, {})
        fit = self._fits.get(version)
        if fit is None or fit.known_count != len(answers):
            pairs = [(item, answers[item.id].label_logprobs) for item in self._fitting if item.id in answers]
            known = [(item, logprobs) for item, logprobs in pairs if logprobs is not None]
            groups = [group_or_self(item) for item, _ in known]
            folds = folds_of(groups)
            said = [(logprobs, item.expected) for item, logprobs in known]
            fit = _Fit(len(answers), fitted(said), cross_fitted(said, folds), dict(zip(groups, folds, strict=True)))
            self._fits[version] = fit
        return fit
