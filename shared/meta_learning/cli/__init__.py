"""`meta-learning`: one file a group of commands.

``operations``: ``lag`` · ``dead-letters`` · ``replay ID …`` · ``versions LOOP``, asked of a running system
``off-policy``: what a stored version would have earned on logged feedback
``data``: ``data card DATA`` · ``data feedback LOOP``, data sets and what is in them
``runs``: ``runs list`` · ``runs show RUN`` · ``runs compare RUN RUN …`` · ``runs export RUN``, experiments on this machine
``study``: ``study run FILE`` · ``study work``, grids of experiments
``tune``: settings of a loop, or of the agent that evolves prompts
``evolve``: a better prompt for a data set, within a budget
"""

from __future__ import annotations

import typer

from meta_learning.cli import data, off_policy, operations, runs, study, tune
from meta_learning.cli.evolve import evolve

EXPERIMENTS = "Experiments"

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Ask a running system, and experiment on this machine."
)
app.command(rich_help_panel=EXPERIMENTS)(evolve)
app.add_typer(data.app, name="data", rich_help_panel=EXPERIMENTS)
app.add_typer(runs.app, name="runs", rich_help_panel=EXPERIMENTS)
app.command(rich_help_panel=EXPERIMENTS)(tune.tune)
app.add_typer(study.app, name="study", rich_help_panel=EXPERIMENTS)
operations.add_to(app, "A running system")
app.command("off-policy", rich_help_panel="A running system")(off_policy.off_policy)


def main() -> None:
    """The console script."""
    app()
