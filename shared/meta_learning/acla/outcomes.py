"""The matrix of everything asked: candidate × item. Every statistic is computed from it, so every call is used again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from meta_learning.acla.parsing import is_right
from meta_learning.acla.prompt import Prompt
from meta_learning.acla.splits import Item


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one item. ``missing`` says why nothing did: missing is missing, never wrong.

    ``score`` is set where somebody else judged (an ``evaluation_fn``).
    """

    text: str | None = None
    label_logprobs: Mapping[str, float] | None = None
    score: float | None = None
    tokens: int = 0
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A prompt with its package: ``calibrated`` decides between labels after taking away the prompt's own leaning."""

    prompt: Prompt
    calibrated: bool = False
    strategy: str = "seed"
    note: str = ""
    parent: str | None = None

    @property
    def version(self) -> str:
        """The name of the package: the prompt's digest, marked when calibrated."""
        return self.prompt.version + ("-c" if self.calibrated else "")


@dataclass
class OutcomeMatrix:
    """Answers by prompt and item. ``leaning_items`` are the items that label calibration may look at (never their labels)."""

    leaning_items: frozenset[str] = frozenset()
    answers: dict[str, dict[str, Answer]] = field(default_factory=dict)
    _biases: dict[tuple[str, int], dict[str, float]] = field(default_factory=dict)

    def record(self, prompt: Prompt, item: Item, answer: Answer) -> None:
        """Enter one answer."""
        self.answers.setdefault(prompt.version, {})[item.id] = answer

    def unasked(self, prompt: Prompt, items: Sequence[Item]) -> list[Item]:
        """The items for which ``prompt`` has no entry yet; its own exemplars are never asked."""
        known = self.answers.get(prompt.version, {})
        return [item for item in items if item.id not in known and item.id not in prompt.exemplar_ids]

    def decision(self, candidate: Candidate, item: Item) -> str | None:
        """The answer that the package gives, or None."""
        answer = self.answers.get(candidate.prompt.version, {}).get(item.id)
        if answer is None or answer.label_logprobs is None:
            return answer.text if answer else None
        bias = self.bias(candidate)
        leaned = {label: logprob + bias.get(label, 0.0) for label, logprob in answer.label_logprobs.items()}
        return max(leaned, key=leaned.__getitem__)

    def score(self, candidate: Candidate, item: Item) -> float | None:
        """In [0, 1], or None where nothing is known."""
        answer = self.answers.get(candidate.prompt.version, {}).get(item.id)
        if answer is None or answer.missing is not None or item.id in candidate.prompt.exemplar_ids:
            return None
        if answer.score is not None:
            return answer.score
        return float(is_right(self.decision(candidate, item), item.expected))

    def scores(self, candidate: Candidate, items: Sequence[Item]) -> list[float]:
        """The known scores."""
        known = (self.score(candidate, item) for item in items)
        return [score for score in known if score is not None]

    def differences(self, better: Candidate, worse: Candidate, items: Sequence[Item]) -> list[float]:
        """Score by score, on the items that both have."""
        pairs = ((self.score(better, item), self.score(worse, item)) for item in items)
        return [one - other for one, other in pairs if one is not None and other is not None]

    def bias(self, candidate: Candidate) -> dict[str, float]:
        """What to add to each label's log-probability: minus its mean over the search items (Zhou et al., 2023, batch calibration).

        It needs no labels and no calls. Empty for a candidate that is not calibrated.
        """
        if not candidate.calibrated:
            return {}
        known = self.answers.get(candidate.prompt.version, {})
        # Asked for once an item, computed once a rung.
        key = (candidate.prompt.version, len(known))
        if key not in self._biases:
            self._biases[key] = _leaning([known[item_id] for item_id in sorted(self.leaning_items & known.keys())])
        return self._biases[key]


def _leaning(answers: Sequence[Answer]) -> dict[str, float]:
    seen = [answer.label_logprobs for answer in answers if answer.label_logprobs is not None]
    labels = seen[0] if seen else {}
    return {label: -fmean(one[label] for one in seen) for label in labels}
