"""`meta-learning`: one file a group of commands.

``operations``: ``lag`` · ``dead-letters`` · ``replay ID …`` · ``versions LOOP`` · ``off-policy DIGEST FILE``: a running system
``runs``: ``runs list`` · ``runs show RUN`` · ``runs compare RUN RUN …`` · ``runs export RUN``, experiments on this machine
``study``: ``study run FILE`` · ``study work``, grids of experiments
``evolve``: a better prompt for a data set, with a budget
"""

from __future__ import annotations

import typer

from meta_learning.cli import operations, runs, study
from meta_learning.cli.evolve import evolve

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Ask a running system, and experiment on this machine."
)
operations.add_to(app)
app.command()(evolve)
app.add_typer(runs.app, name="runs")
app.add_typer(study.app, name="study")


def main() -> None:
    """The console script."""
    app()
