"""The options of the command, with what each of them means. Those that say their default in words are None until said."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meta_learning.acla.config import STRATEGIES
from meta_learning.cli.evolve.order import NAMED
from meta_learning.cli.printing import refuse

DATA, PROMPT, BUDGET, MODEL = "Data", "Prompt", "Budget", "Model"
SEARCH, DECISION, RUN = "Search", "Decision", "Run"


def _known(names: list[str] | None) -> list[str] | None:
    for name in names or []:
        if name not in STRATEGIES:
            refuse(f"--strategy: there is no {name!r}; there are {', '.join(STRATEGIES)}")
    return names


Data = Annotated[
    str, typer.Argument(help=f"{' or '.join(NAMED)} (bundled samples), or a CSV, TSV, JSONL or Parquet file.")
]
Prompt = Annotated[str | None, typer.Option(rich_help_panel=PROMPT, metavar="TEXT", help="The prompt to begin with.")]
PromptFile = Annotated[Path | None, typer.Option(rich_help_panel=PROMPT, metavar="FILE", help="The same, as a file.")]
Contract = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=PROMPT,
        metavar="TEXT",
        help="The words of the prompt that say how to answer: they are kept. (default: guessed; '': none)",
    ),
]
Layout = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=DATA, metavar="NAME", help="sentiment140 or commonsense_qa, for their official files."
    ),
]
InputColumn = Annotated[
    str | None, typer.Option(rich_help_panel=DATA, metavar="COLUMN", help="What is asked. (default: input)")
]
ExpectedColumn = Annotated[
    str | None, typer.Option(rich_help_panel=DATA, metavar="COLUMN", help="The right answer. (default: expected)")
]
GroupColumn = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=DATA,
        metavar="COLUMN",
        help="The user, thread or source: none is both searched and decided on. (default: none)",
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(rich_help_panel=DATA, metavar="N", min=1, help="Items to search on. (default: by the calls)"),
]
GateSamples = Annotated[
    int | None,
    typer.Option(rich_help_panel=DATA, metavar="N", min=0, help="Fresh items to decide on. (default: by the calls)"),
]
Calls = Annotated[
    int | None, typer.Option(rich_help_panel=BUDGET, metavar="N", min=1, help="Cap on model calls. (default: 300)")
]
Tokens = Annotated[int | None, typer.Option(rich_help_panel=BUDGET, metavar="N", min=1, help="Cap on tokens.")]
Money = Annotated[float | None, typer.Option(rich_help_panel=BUDGET, metavar="X", min=0.0, help="Cap on US dollars.")]
Seconds = Annotated[
    float | None,
    typer.Option(rich_help_panel=BUDGET, metavar="X", min=0.0, help="Cap on seconds, over all lives of the run."),
]
Provider = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=MODEL, metavar="NAME", help="local, transformers, anthropic or openai. (default: local)"
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=MODEL, metavar="NAME", help="Its model, or a GGUF file. (default: the provider's entry)"
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(rich_help_panel=MODEL, metavar="URL", help="Another server that speaks the provider's protocol."),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=MODEL,
        metavar="KEY",
        envvar="META_LEARNING_LLM_API_KEY",
        help="For --base-url; vendors' keys are found where their SDKs look.",
    ),
]
Iterations = Annotated[
    int | None, typer.Option(rich_help_panel=SEARCH, metavar="N", min=0, help="At most so many. (default: 10)")
]
Strategy = Annotated[
    list[str] | None,
    typer.Option(
        rich_help_panel=SEARCH,
        metavar="NAME",
        callback=_known,
        help=f"Only this one of {', '.join(STRATEGIES)}; repeat for more, whose prompts are merged, too. (default: all)",
    ),
]
Children = Annotated[
    int | None,
    typer.Option(rich_help_panel=SEARCH, metavar="N", min=1, help="New prompts of an iteration. (default: 3)"),
]
GoodEnough = Annotated[
    float | None,
    typer.Option(
        rich_help_panel=SEARCH,
        metavar="X",
        min=0.0,
        max=1.0,
        help="A score, surely reached, at which the search may end early; 1: never. (default: 0.7)",
    ),
]
Improvement = Annotated[
    float | None,
    typer.Option(
        rich_help_panel=SEARCH,
        metavar="X",
        min=0.0,
        max=1.0,
        help="A gain worth searching on for, once the score is good enough. (default: 0.05)",
    ),
]
AnswerTokens = Annotated[
    int | None,
    typer.Option(rich_help_panel=MODEL, metavar="N", min=1, help="The most that an answer may take. (default: 32)"),
]
ReasoningTokens = Annotated[
    int | None,
    typer.Option(
        rich_help_panel=MODEL, metavar="N", min=16, help="The same, where a prompt asks to think first. (default: 256)"
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=DATA,
        metavar="A,B,…",
        help="All answers that there are, as in `yes,no,unclear`; '': texts, no labels. "
        "(default: those that are seen, if they are few)",
    ),
]
Judge = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=DATA,
        metavar="TEXT",
        help="Answers are free texts, which the model judges at a second call each: what makes one good, in a sentence, "
        "or `reference` for: it says the same as the expected one.",
    ),
]
TokensPrice = Annotated[
    float | None,
    typer.Option(
        rich_help_panel=BUDGET,
        metavar="X",
        min=0.0,
        help="The score that 1,000 more tokens a call must bring to be worth it. (default: 0)",
    ),
]
Floor = Annotated[
    float | None,
    typer.Option(
        rich_help_panel=DECISION,
        metavar="X",
        min=0.0,
        max=1.0,
        help="Take the cheapest prompt that is surely this good, of yours and those that are proven.",
    ),
]
Alpha = Annotated[
    float | None,
    typer.Option(
        rich_help_panel=DECISION,
        metavar="X",
        min=0.0001,
        max=0.5,
        help="The chance of calling a useless prompt better. (default: 0.1)",
    ),
]
Ensemble = Annotated[
    int | None,
    typer.Option(rich_help_panel=SEARCH, metavar="N", min=1, help="Up to so many prompts may vote. (default: 1)"),
]
ProbeItems = Annotated[
    int | None,
    typer.Option(
        rich_help_panel=MODEL,
        metavar="N",
        min=0,
        help="Questions asked twice, to see how much the model wavers. (default: 20)",
    ),
]
Seed = Annotated[
    int | None, typer.Option(rich_help_panel=SEARCH, metavar="N", min=0, help="Of all that is random. (default: 0)")
]
Cache = Annotated[bool, typer.Option(rich_help_panel=RUN, help="Use answers that earlier runs paid for.")]
Batch = Annotated[
    bool,
    typer.Option(
        rich_help_panel=RUN,
        help="Send large rungs as batches (anthropic, openai): cheaper, and hours instead of seconds.",
    ),
]
Patience = Annotated[
    float, typer.Option(rich_help_panel=MODEL, metavar="X", min=0.0, help="Seconds to wait for a silent model.")
]
Resume = Annotated[str | None, typer.Option(rich_help_panel=RUN, metavar="RUN", help="Go on with this run.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", rich_help_panel=RUN, help="Do not ask before spending.")]
DataFolder = Annotated[
    Path,
    typer.Option(
        rich_help_panel=RUN, metavar="FOLDER", envvar="META_LEARNING_DATA_FOLDER", help="Where runs are kept."
    ),
]
