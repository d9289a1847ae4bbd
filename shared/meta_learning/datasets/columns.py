"""Which column of somebody's file is the input, which the output, and which the score.

>>> find_columns(["segid", "original", "translation", "mean"]).score
'mean'
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from meta_learning.errors import CallerError, MalformedDataset

_ALIASES: dict[str, tuple[str, ...]] = {
    "input": ("input_text", "input", "prompt", "question", "query", "request", "source", "original", "src"),
    "output": ("output_text", "output", "response", "answer", "reply", "completion", "translation", "target", "mt"),
    "score": (
        "feedback_score",
        "score",
        "rating",
        "feedback",
        "mean",
        "human_score",
        "reward",
        "stars",
        "thumbs",
        "label",
    ),
    "user": ("user_id", "user", "rater", "annotator"),
    "event": ("event_id",),
    "metadata": ("metadata",),
}
_REQUIRED = ("input", "output", "score")


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the columns in the file, as it spells them; any row may lack the optional ones."""

    input: str
    output: str
    score: str
    user: str = "user_id"
    event: str = "event_id"
    metadata: str = "metadata"

    def describe(self) -> str:
        """One clause for a person to check."""
        return f"input from {self.input!r}, output from {self.output!r}, score from {self.score!r}"


def find_columns(
    header: Iterable[str], chosen: Mapping[str, str] | None = None, row: int = 1, hint: str = ""
) -> Columns:
    """Match a header with the names that such files use; ``chosen`` (field → column) goes before any guess.

    Where two columns could be meant, the name that says more wins: ``feedback_score`` before ``score`` before ``label``.
    ``hint`` ends the message about a missing column.

    Raises:
        CallerError: ``chosen`` names a field that does not exist.
        MalformedDataset: a column is missing; the message lists what there is and how to declare it.
    """
    names = list(header)
    chosen = dict(chosen or {})
    if unknown := sorted(set(chosen) - set(_ALIASES)):
        raise CallerError(f"columns: there is no field {unknown[0]!r}; the fields are {', '.join(_ALIASES)}")
    found = {field: _find(names, aliases, chosen.get(field)) for field, aliases in _ALIASES.items()}
    missing = [field for field in _ALIASES if found[field] is None and (field in _REQUIRED or field in chosen)]
    if missing:
        raise MalformedDataset(
            f"no column for {' and '.join(missing)} among {', '.join(map(repr, names[:20])) or 'no columns at all'}; "
            f"name them, for instance columns={{'input': 'text', 'output': 'reply', 'score': 'stars'}}{hint and '; ' + hint}",
            row=row,
        )
    return Columns(**{field: name for field, name in found.items() if name is not None})


def check_two(asked: str, expected: str) -> tuple[str, str]:
    """The columns of question and answer, if they are two.

    >>> check_two("text", "kind")
    ('text', 'kind')

    Raises:
        CallerError: they are one, so that every question would be its own answer.
    """
    if asked == expected:
        raise CallerError(f"{asked!r} is named as the column of the input and of the expected answer; they must be two")
    return asked, expected


def _find(names: list[str], aliases: tuple[str, ...], chosen: str | None) -> str | None:
    if chosen is not None:
        return chosen if chosen in names else None
    spelled = {_plain(name): name for name in reversed(names)}
    return next((spelled[alias] for alias in aliases if alias in spelled), None)


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")
