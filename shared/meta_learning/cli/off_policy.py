"""``off-policy DIGEST FEEDBACK.jsonl``: what a stored version would have earned on logged feedback."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meta_learning.cli.operations import DEFAULT_DATA, Data
from meta_learning.cli.printing import printed, refuse, table_of
from meta_learning.errors import MetaLearningError
from meta_learning.registry.store import FileStore
from meta_learning.registry.versions import manifest_of


def off_policy(
    digest: Annotated[str, typer.Argument(help="Of the version's manifest, as rankings say it.")],
    feedback: Annotated[Path, typer.Argument(help="JSON lines: events as they are, or segments of the archive.")],
    exploration: Annotated[
        str, typer.Option(help="As META_LEARNING_EXPLORATION; greedy: the best, always.")
    ] = "greedy",
    data_folder: Data = DEFAULT_DATA,
) -> None:
    """What a version would have earned on logged feedback of its loop that it has not learnt from."""
    # Here, not above: they load numerical libraries for seconds, which no other command needs.
    from meta_learning.clrs.acting import policy_named
    from meta_learning.clrs.models.loading import load_model
    from meta_learning.clrs.off_policy import METHODS, estimate, replayed
    from meta_learning.datasets.recorded import feedback_of

    table = table_of("estimate", "value", "low", "high", "n", "effective n", "clipped", "left out")
    try:
        store = FileStore(data_folder / "registry")
        version = manifest_of(store, digest)
        policy, model = policy_named(exploration), load_model(store.get(version.content))
        with feedback.open(encoding="utf-8") as lines:
            found = replayed((event for event in feedback_of(lines) if event.loop == version.loop), model, policy)
    except (MetaLearningError, OSError) as error:
        refuse(error)
    reasons = list[str]()
    for method in METHODS:
        told = estimate(found.logged, method)
        shown = (
            ["refused", "", ""] if told.refused else [f"{number:.4f}" for number in (told.value, told.low, told.high)]
        )
        reasons += [told.refused] if told.refused else []
        table.add_row(method, *shown, str(told.n), f"{told.ess:.0f}", f"{told.clipped:.1%}", str(found.left_out))
    printed(table)
    for reason in dict.fromkeys(reasons):
        typer.echo(reason)
