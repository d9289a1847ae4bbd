"""The command: order, estimate, consent, run, report.

Exit codes: 0 the run ended (also where nothing better was found) · 1 refused or failed, the message says why ·
2 the options are wrong · 3 the model does not answer, the run can be resumed · 4 nobody agreed to spend, nothing was spent ·
130 stopped on request, the run can be resumed.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from click.core import ParameterSource
from rich.console import Console
from rich.text import Text

from meta_learning.acla.reporting import difference
from meta_learning.cli.evolve.budget import Budget, divided, settled
from meta_learning.cli.evolve.folder import RunFolder
from meta_learning.cli.evolve.order import NAMED, Order
from meta_learning.cli.evolve.running import run
from meta_learning.cli.evolve.screen import Screen
from meta_learning.errors import Cancelled, ConfigurationError, LLMUnavailable, MetaLearningError
from meta_learning.llm import LLM
from meta_learning.utils.logger import DATA_FOLDER

FAILED, UNAVAILABLE, NOT_AGREED, STOPPED = 1, 3, 4, 130
# What may be said to a run that goes on: nothing that could change its result.
WITH_RESUME = {"resume", "yes", "data_folder", "api_key"}


def evolve(
    ctx: typer.Context,
    data: Annotated[
        str, typer.Argument(help=f"{' or '.join(NAMED)} (bundled samples), or a CSV, TSV, JSONL or Parquet file.")
    ] = "sentiment140",
    prompt: Annotated[str | None, typer.Option(help="The prompt to begin with.")] = None,
    prompt_file: Annotated[Path | None, typer.Option(help="The same, as a file.")] = None,
    layout: Annotated[
        str | None, typer.Option(help="sentiment140 or commonsense_qa, for their official files.")
    ] = None,
    input_column: Annotated[str | None, typer.Option(help="What is asked. (default: input)")] = None,
    expected_column: Annotated[str | None, typer.Option(help="The right answer. (default: expected)")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Items to search on. (default: by the calls)")] = None,
    gate_samples: Annotated[
        int | None, typer.Option(min=0, help="Fresh items to decide on. (default: by the calls)")
    ] = None,
    calls: Annotated[int | None, typer.Option(min=1, help="Cap on model calls. (default: 300)")] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Cap on tokens.")] = None,
    money: Annotated[float | None, typer.Option(min=0.0, help="Cap on US dollars.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.0, help="Cap on seconds, over all lives of the run.")] = None,
    provider: Annotated[
        str | None, typer.Option(help="local, anthropic or openai. (default: local, the packaged model)")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Its model, or a GGUF file. (default: the provider's entry)")
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="Another server that speaks the provider's protocol.")] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="META_LEARNING_LLM_API_KEY", help="For --base-url; vendors' keys are found where their SDKs look."
        ),
    ] = None,
    iterations: Annotated[int | None, typer.Option(min=0, help="At most so many. (default: 10)")] = None,
    strategy: Annotated[list[str] | None, typer.Option(help="Only this one; repeat for more. (default: all)")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="The chance of calling a useless prompt better. (default: 0.1)")
    ] = None,
    ensemble: Annotated[int | None, typer.Option(min=1, help="Up to so many prompts may vote. (default: 1)")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of all that is random. (default: 0)")] = None,
    cache: Annotated[bool, typer.Option(help="Use answers that earlier runs paid for.")] = True,
    resume: Annotated[str | None, typer.Option(help="Go on with this run.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before spending.")] = False,
    data_folder: Annotated[
        Path, typer.Option(envvar="META_LEARNING_DATA_FOLDER", help="Where runs are kept.")
    ] = DATA_FOLDER,
) -> None:
    """Find a better prompt for DATA, within a budget; it takes over only on fresh evidence.

    Ends with 0 when the run ended (also where nothing better was found), 1 when it was refused or failed, 2 on wrong options,
    3 when the model does not answer and 130 when it was stopped (--resume goes on with it), 4 when nobody agreed to spend.
    """  # fmt: skip
    console = Console(width=None if sys.stdout.isatty() else 160)
    try:
        folder, order = _ordered(ctx, data_folder, resume)
        with folder.locked():
            asyncio.run(_evolve(order, folder, console, api_key, yes or resume is not None))
    except Cancelled as error:
        _end(f"{error}\ngo on with: meta-learning evolve --resume {folder.run_id}", STOPPED)
    except LLMUnavailable as error:
        _end(
            f"{error}\nwhat was paid for is kept; go on with: meta-learning evolve --resume {folder.run_id}",
            UNAVAILABLE,
        )
    except MetaLearningError as error:
        _end(str(error), FAILED)


def _ordered(ctx: typer.Context, data_folder: Path, resume: str | None) -> tuple[RunFolder, Order]:
    """A new run, or an earlier one as it was ordered."""
    if resume is None:
        order = Order.of(ctx.params)
        order = divided(order, len(order.loader()))
        folder = RunFolder.new(data_folder, datetime.now())
        folder.keep(order)
        return folder, order
    given = [name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if others := sorted(set(given) - WITH_RESUME):
        raise typer.BadParameter(f"a run goes on as it was ordered: leave out {', '.join(others)}", ctx)
    folder = RunFolder(data_folder, resume)
    return folder, folder.order()


async def _evolve(order: Order, folder: RunFolder, console: Console, api_key: str | None, agreed: bool) -> None:
    llm = order.connected(api_key)
    try:
        budget = await settled(order, order.loader(), llm)
        about = _about(order, budget, llm)
        for name, value in (*about.items(), ("run", f"{folder.run_id}, in {folder.path}")):
            console.print(f"{name:<10} {value}", highlight=False, markup=False)
        if not agreed:
            _ask()
        results = await run(order, budget, llm, folder, Screen(console, budget.config))
    finally:
        await llm.close()
    report = folder.report(results, order, about)
    _say(results, order, report, console)


def _about(order: Order, budget: Budget, llm: LLM) -> dict[str, str]:
    guess, plan, parts = budget.estimate, budget.plan, budget.splits
    money = "at an unknown price"
    if guess.money_low_usd is not None and guess.money_high_usd is not None:
        money = f"{guess.money_low_usd:.4f} to {guess.money_high_usd:.4f} US dollars"
    caps = {"calls": order.calls, "tokens": order.tokens, "US dollars": order.money, "seconds": order.seconds}
    warning = f" — {plan['warning']}" if plan["warning"] else ""
    return {
        "data set": f"{order.data}: {len(parts.search)} items to search on, {len(parts.gate)} fresh ones to decide on",
        "model": f"{llm.model} ({order.base_url or order.provider})",
        "budget": ", ".join(f"{cap:,} {name}" for name, cap in caps.items() if cap is not None),
        "estimate": f"up to {guess.calls:,} calls, {guess.tokens_low:,} to {guess.tokens_high:,} tokens, {money}",
        "decision": (
            f"{plan['gate_items']} fresh items for {plan['finalists']} finalist(s), {plan['calls_kept']} calls kept for it; "
            f"power for +5 points: {100 * plan['power_for_5_points']:.0f} %; "
            f"a gain of {100 * plan['detectable_gain']:.0f} points is seen in 80 %{warning}"
        ),
    }


def _ask() -> None:
    if not sys.stdin.isatty():
        raise ConfigurationError("nobody is there to agree: say --yes to spend without being asked")
    if not typer.confirm("spend that?"):
        _end("nothing was spent", NOT_AGREED)


def _say(results: dict[str, Any], order: Order, report: Path, console: Console) -> None:
    console.print(f"\n{results['outcome']}: {results['reason']}", highlight=False, markup=False, style="bold")
    colours = {"+": "green", "-": "red"}
    for line in difference(order.prompt, results["best_prompt"]) or ["the prompt stays as it is"]:
        console.print(Text(line, style=colours.get(line[:1], "")))
    console.print(f"\nreport: {report / 'report.md'}", highlight=False, markup=False)
    if results["outcome"] == "failed":
        raise typer.Exit(FAILED)


def _end(said: str, code: int) -> None:
    typer.echo(f"meta-learning: {said}", err=True)
    raise typer.Exit(code)
