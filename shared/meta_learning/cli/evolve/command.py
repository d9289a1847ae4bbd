"""The command: order, estimate, consent, run, report.

Exit codes: 0 the run ended (also where nothing better was found) · 1 refused or failed, the message says why ·
2 the options are wrong · 3 the model does not answer, the run can be resumed · 4 nobody agreed to spend, nothing was spent ·
130 stopped on request, the run can be resumed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from meta_learning.acla.floor import with_floor
from meta_learning.acla.model_judge import CALLS_EACH
from meta_learning.acla.preparing import GATE_COUNT_MIN, labels_of, unknown_answer
from meta_learning.acla.reporting import conditions, difference
from meta_learning.acla.run import unscorable
from meta_learning.cli.evolve import options as on
from meta_learning.cli.evolve.budget import Budget, settled
from meta_learning.cli.evolve.folder import RunFolder, free_name
from meta_learning.cli.evolve.kept import kept
from meta_learning.cli.evolve.order import Order
from meta_learning.cli.evolve.running import interruptible, run, terms_of
from meta_learning.cli.evolve.screen import Screen, offered, show
from meta_learning.cli.printing import with_option
from meta_learning.errors import CallerError, Cancelled, LLMUnavailable, MetaLearningError, StoreUnavailable
from meta_learning.llm import LLM
from meta_learning.llm.batching import COUNT_MIN
from meta_learning.llm.estimate import Estimate
from meta_learning.utils.logger import DATA_FOLDER
from meta_learning.utils.provenance import without_secrets

FAILED, UNAVAILABLE, NOT_AGREED, STOPPED = 1, 3, 4, 130
PRICE = "1,000 more tokens a call must bring {:g} points (--tokens-price {:g}): it is taken off gains, not off the scores shown"
NOTHING_SPENT = "nothing was spent"
WIDTH = 160  # of a pipe: nothing is cut, few lines are folded
# What may be said to a run that goes on: nothing that could change its result.
# `base_url` only where it is the same server's: a user and password in it are not written down.
WITH_RESUME = {"resume", "yes", "data_folder", "api_key", "patience", "base_url", "floor"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody says of a life of a run, and not of the run: nothing that is part of its order."""

    patience_s: float
    agreed: bool
    floor: float | None


def evolve(
    ctx: typer.Context,
    data: on.Data = "sentiment140",
    prompt: on.Prompt = None,
    prompt_file: on.PromptFile = None,
    contract: on.Contract = None,
    layout: on.Layout = None,
    input_column: on.InputColumn = None,
    expected_column: on.ExpectedColumn = None,
    group_column: on.GroupColumn = None,
    samples: on.Samples = None,
    gate_samples: on.GateSamples = None,
    calls: on.Calls = None,
    tokens: on.Tokens = None,
    money: on.Money = None,
    seconds: on.Seconds = None,
    provider: on.Provider = None,
    model: on.Model = None,
    base_url: on.BaseUrl = None,
    api_key: on.ApiKey = None,
    iterations: on.Iterations = None,
    strategy: on.Strategy = None,
    children: on.Children = None,
    good_enough: on.GoodEnough = None,
    improvement: on.Improvement = None,
    answer_tokens: on.AnswerTokens = None,
    reasoning_tokens: on.ReasoningTokens = None,
    labels: on.Labels = None,
    judge: on.Judge = None,
    alpha: on.Alpha = None,
    tokens_price: on.TokensPrice = None,
    floor: on.Floor = None,
    ensemble: on.Ensemble = None,
    probe_items: on.ProbeItems = None,
    seed: on.Seed = None,
    cache: on.Cache = True,
    batch: on.Batch = False,
    patience: on.Patience = 60.0,
    resume: on.Resume = None,
    yes: on.Yes = False,
    data_folder: on.DataFolder = DATA_FOLDER,
) -> None:
    """Find a better prompt for DATA, within a budget; it takes over only on fresh evidence.

    For example: meta-learning evolve mails.csv --input-column text --expected-column label --prompt "Is it spam? Answer yes or no."
    --calls 300

    Exit codes: 0 the run ended, also where nothing better was found; 1 refused or failed; 2 wrong options; 3 the model does not
    answer; 4 nobody agreed to spend; 130 stopped. After 3 and 130, --resume goes on.
    """
    _carry_out(ctx, data_folder, resume)


def _carry_out(ctx: typer.Context, data_folder: Path, resume: str | None) -> None:
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    order, name = _ordered(ctx, data_folder, resume)
    wanted = Wanted(ctx.params["patience"], ctx.params["yes"] or resume is not None, ctx.params["floor"])
    elsewhere = "" if data_folder == DATA_FOLDER else f" --data-folder {data_folder}"
    resumable = f"go on with: meta-learning evolve --resume {name}{elsewhere}"
    try:
        folder = RunFolder(data_folder, name)
        llm = order.connected(ctx.params["api_key"])
        asyncio.run(_evolve(order, llm, folder, console, wanted))
    except Cancelled as error:
        _end(f"{error}\n{resumable}", STOPPED)
    except KeyboardInterrupt:
        _end(*((resumable, STOPPED) if folder.is_kept else (NOTHING_SPENT, NOT_AGREED)))
    except LLMUnavailable as error:
        _end(f"{error}\nwhat was paid for is kept; {resumable}", UNAVAILABLE)
    except (StoreUnavailable, OSError) as error:
        _end(f"{error}\nwhat was paid for is kept; {resumable}" if folder.is_kept else str(error), FAILED)
    except MetaLearningError as error:
        _end(with_option(error), FAILED)


def _ordered(ctx: typer.Context, data_folder: Path, resume: str | None) -> tuple[Order, str]:
    """A new order with a name for its run, or that of an earlier one."""
    given = {name for name in ctx.params if _is_given(ctx, name)}
    if resume is not None and (others := sorted(given - WITH_RESUME)):
        raise typer.BadParameter(f"a run goes on as it was ordered: leave out {_spelled(others)}", ctx)
    try:
        if resume is not None:
            return RunFolder(data_folder, resume).order().going_on_with(ctx.params["base_url"]), resume
        order = Order.of(ctx.params)
        return order, free_name(data_folder, datetime.now())
    except (MetaLearningError, OSError) as error:
        _end(str(error), FAILED)


def _spelled(names: Iterable[str]) -> str:
    return ", ".join(name if name == "data" else f"--{name.replace('_', '-')}" for name in names)


def _is_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


async def _evolve(order: Order, llm: LLM, folder: RunFolder, console: Console, wanted: Wanted) -> None:
    try:
        budget = await settled(order, order.loader(), llm)
        order = budget.order
        _refuse_what_nobody_can_judge(budget)
        about = _about(order, budget, llm)
        for name, value in (*about.items(), *_decision(budget).items(), ("run", f"{folder.run_id}, in {folder.path}")):
            console.print(f"{name:<10} {value}", highlight=False, markup=False)
        with folder.locked():
            if not wanted.agreed:
                await _ask()
            folder.keep(order)
            screen = Screen(console, budget.config)
            results = await run(order, budget, llm, folder, screen, wanted.patience_s)
            if wanted.floor is not None:
                results = with_floor(results, wanted.floor)
            report = folder.report(results, order, about)
    finally:
        await llm.close()
    _say(results, order, report, console)


def _refuse_what_nobody_can_judge(budget: Budget) -> None:
    """What the run would find out of its data before its first call is found out before anybody agrees to spend.

    Raises:
        CallerError: answers are free text, or none of the labels.
    """
    search, config = budget.splits.search, budget.config
    items = (*search, *budget.splits.gate)
    if config.judge is None and (why := unscorable(search, labels_of(config, items), config.dataset_name)):
        raise CallerError(why)
    if config.labels and (unknown := unknown_answer(config, items)) is not None:
        raise CallerError(f"{unknown!r} is expected of an item and is none of --labels {','.join(config.labels)}")


def _about(order: Order, budget: Budget, llm: LLM) -> dict[str, str]:
    guess, parts = budget.estimate, budget.splits
    groups = f", of {parts.groups_counts[0]} and {parts.groups_counts[1]} groups" if parts.groups_counts else ""
    price = {"price": PRICE.format(100 * order.tokens_price, order.tokens_price)} if order.tokens_price else {}
    batches = {"batches": _batches(order)} if order.batch else {}
    caps = {"calls": order.calls, "tokens": order.tokens, "US dollars": order.money, "seconds": order.seconds}
    return {
        "data set": f"{order.data}: {len(parts.search)} items to search on, {_fresh(budget)}{groups}",
        "prompt": kept(budget),
        "model": f"{llm.model} ({without_secrets([order.base_url or order.provider])[0]})",
        "budget": ", ".join(f"{cap:,} {name}" for name, cap in caps.items() if cap is not None),
        "estimate": f"up to {guess.calls:,} calls, {guess.tokens_low:,} to {guess.tokens_high:,} tokens, {_money(guess)}",
    } | (price | batches)


def _fresh(budget: Budget) -> str:
    """The fresh items; where the calls do not reach all of them even for one finalist, how many calls would."""
    there, reached = len(budget.splits.gate), budget.plan["gate_items"]
    if not 0 < reached < there:
        return f"{there} fresh ones to decide on"
    each = 1 if budget.config.judge is None else CALLS_EACH
    wanted = 3 * each * (1 + budget.config.ensemble_size) * there
    more = f"--calls {wanted}" if budget.estimate.calls == budget.order.calls else f"a budget for {wanted:,} calls"
    return f"{there} fresh ones are there; the calls reach {reached} of them ({more} would reach {there})"


def _batches(order: Order) -> str:
    direct = f"rungs below {COUNT_MIN} questions are asked directly"
    wait_s = terms_of(order).wait_s_max
    if wait_s is None:
        return f"up to 24 hours each; {direct}"
    return f"called off after {wait_s:,.0f} s each, so that there is time for a decision; {direct}, and so is what did not come"


def _money(guess: Estimate) -> str:
    if guess.money_low_usd is None or guess.money_high_usd is None:
        return "at an unknown price"
    return f"{guess.money_low_usd:.4f} to {guess.money_high_usd:.4f} US dollars" if guess.money_high_usd else "no money"


def _decision(budget: Budget) -> dict[str, str]:
    plan = budget.plan
    if not plan["gate_items"]:
        few = f"none: that takes {GATE_COUNT_MIN} fresh items or more, and {budget.left} are left"
        return _alike(budget) | {
            "decision": few,
            "warning": "the best of a search flatters: do not trust it without fresh items",
        }
    finalists = "one finalist" if plan["finalists"] == 1 else f"{plan['finalists']} finalists"
    said = _alike(budget) | {
        "decision": f"{plan['gate_items']} fresh items for {finalists}, {plan['calls_kept']} calls kept for it",
        "power": f"{100 * plan['power_for_5_points']:.0f} % for a true gain of 5 points; "
        f"80 % for one of {100 * plan['detectable_gain']:.0f} points",
    }
    return said | (
        {"warning": f"{plan['warning']}: more --calls and --gate-samples see more"} if plan["warning"] else {}
    )


def _alike(budget: Budget) -> dict[str, str]:
    return {"beware": f"\n{'':<11}".join(budget.beware)} if budget.beware else {}


async def _ask() -> None:
    if not sys.stdin.isatty():
        _end("nobody is there to agree: say --yes to spend without being asked", NOT_AGREED)
    await asyncio.sleep(0)  # a Ctrl-C that came before the question is heard now, and not after the answer
    try:
        with interruptible():
            agreed = typer.confirm("spend that?")
    except typer.Abort:
        typer.echo()
        agreed = False
    if not agreed:
        _end(NOTHING_SPENT, NOT_AGREED)


def _say(results: dict[str, Any], order: Order, report: Path, console: Console) -> None:
    console.print(f"\n{results['outcome']}: {results['reason']}", highlight=False, markup=False, style="bold")
    if (table := offered(results)).row_count:
        show(console, table)
    if pick := results.get("pick"):
        console.print(f"by your floor: {pick['reason']}", highlight=False, markup=False)
    for line in conditions(results):
        console.print(line, highlight=False, markup=False)
    colours = {"+": "green", "-": "red"}
    weighed = bool((results.get("best_package") or {}).get("label_bias"))
    same = "the text of the prompt stays as it is" if weighed else "the prompt stays as it is"
    for line in difference(order.prompt, results["best_prompt"]) or [same]:
        console.print(Text(line, style=colours.get(line[:1], "")))
    if weighed:
        console.print(
            f"weights on its labels belong to it: use {report / 'package.json'}, not the text alone",
            highlight=False,
            markup=False,
        )
    console.print(f"\nreport: {report / 'report.md'}", highlight=False, markup=False)
    if results["outcome"] == "failed":
        raise typer.Exit(FAILED)


def _end(said: str, code: int) -> NoReturn:
    typer.echo(f"meta-learning: {said}", err=True)
    raise typer.Exit(code)
