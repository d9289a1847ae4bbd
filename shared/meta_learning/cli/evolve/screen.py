"""What a run shows while it goes on: a live table on a terminal, a line an iteration elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.reporting import Snapshot, known_offers
from meta_learning.serving.ending import end

REFRESH_S = 0.5
ROWS_MAX = 15
SHORT_CHARS = 8


class Screen:
    """Shows what ``moment`` says; `iteration` is told the end of each."""

    def __init__(self, console: Console, config: CurriculumConfig) -> None:
        self.console = console
        self._config = config
        self._said = "asking the first items"

    def iteration(self, number: int, best: float, calls: int, message: str) -> None:
        """An iteration has ended."""
        self._said = f"iteration {number} of at most {self._config.max_iterations}: {message}"
        if not self.console.is_terminal:
            self.console.print(f"{self._said}; best {best:.3f} on search items, {calls} calls", highlight=False)

    @asynccontextmanager
    async def live(self, moment: Callable[[], Snapshot | None]) -> AsyncIterator[None]:
        """Redraw the table as long as the block runs; the last one stays. Not on a pipe: there lines are enough."""
        if not self.console.is_terminal:
            yield
            return
        with Live(console=self.console, auto_refresh=False) as live:
            drawing = asyncio.create_task(self._redraw(live, moment), name="screen")
            try:
                yield
            finally:
                await end(drawing)
                live.update(self._drawn(moment()), refresh=True)

    async def _redraw(self, live: Live, moment: Callable[[], Snapshot | None]) -> None:
        while True:
            live.update(self._drawn(moment()), refresh=True)
            await asyncio.sleep(REFRESH_S)

    def _drawn(self, now: Snapshot | None) -> Group:
        if now is None or not now.rows:
            return Group(Text(self._said))
        return Group(candidates(now), Text(f"{self._said}\n{spent(now, self._config)}"))


def candidates(now: Snapshot) -> Table:
    """The seed, then the others by what they gain, best first; of very many the first ones."""
    others = sorted(now.rows[1:], key=lambda row: (not row.leads, -row.items_count, -row.gain))
    rows = [*now.rows[:1], *others][:ROWS_MAX]
    paid = any(row.price_usd for row in rows)
    head = [
        "",
        "candidate",
        "made by",
        "score",
        "95 %",
        "over the\nseed, same\nitems",
        "items",
        *["US\ndollars"] * paid,
    ]
    table = _table(head, (1, 2), "▸ the best so far · over the seed: in points")
    for row in rows:
        gain = "" if row.strategy == "seed" else f"{100 * row.gain:+.1f}"
        price = "?" if row.price_usd is None else f"{row.price_usd:.4f}"
        score = (f"{row.score:.3f}", _interval(row.low, row.high), gain, str(row.items_count), *[price] * paid)
        table.add_row(_mark(row.leads), short(row.version), row.strategy, *score, style="bold" if row.leads else "")
    return table


def offered(results: Mapping[str, Any]) -> Table:
    """What a better score costs, at the end of a run: in the width of a terminal; names in full are in the report."""
    rows = known_offers(results)
    paid = any(row["price_usd"] for row in rows)
    level = f"{100 * results.get('level', 0.8):.0f} %"
    head = ["", "prompt", f"search,\n{level}", "items", f"decision,\n{level}", "items", "tokens", "sec."]
    table = _table([*head, *["$ for\n1,000"] * paid, "standing"], (1, len(head) + paid), "▸ taken")
    for row in rows:
        taken = row["version"] == results["best_version"]
        cells = [_mark(taken), short(row["version"])]
        cells += [_score(row["score"], row["low"], row["high"]), _count(row.get("search_items"))]
        cells += [_score(row["decided_score"], row["decided_low"], row["decided_high"]), _count(row["decided_items"])]
        cells += [f"{row['tokens']:.0f}", f"{row['latency_s']:.2f}"]
        cells += ["?" if row["price_usd"] is None else f"{1000.0 * row['price_usd']:.3f}"] * paid
        table.add_row(*cells, row["standing"], style="bold" if taken else "")
    return table


def _table(head: Sequence[str], texts: Sequence[int], legend: str) -> Table:
    """No cell is folded: a folded number or name is read as another. ``texts``: the columns that begin at the left."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.caption, table.caption_justify, table.caption_style = legend, "left", ""
    for number, name in enumerate(head):
        table.add_column(name, justify="left" if number in texts else "right", no_wrap=True)
    return table


def _mark(is_it: bool) -> str:
    return "▸" if is_it else ""


def short(version: str) -> str:
    """A version by the beginning of its name, which tells those of one run apart; of those that vote the first, and how many more.

    >>> short("b24fe9a6c50da2dd-c"), short("b24fe9a6c50da2dd+0123456789abcdef")
    ('b24fe9a6-c', 'b24fe9a6+1')
    """
    first, *more = version.split("+")
    name, dash, kind = first.partition("-")
    return name[:SHORT_CHARS] + dash + kind + (f"+{len(more)}" if more else "")


def _score(score: float | None, low: float | None, high: float | None) -> str:
    return "—" if score is None else f"{_two(score)} {_interval(low or 0.0, high or 0.0)}"


def _interval(low: float, high: float) -> str:
    return f"{_two(low)}–{_two(high)}"


def _two(share: float) -> str:
    return f"{share:.2f}".removeprefix("0")


def _count(items: int | None) -> str:
    return str(items) if items else "—"


def show(console: Console, table: Table) -> None:
    """Print a table; on a pipe without the blanks that make all its lines as wide."""
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        console.print(line.rstrip(), highlight=False, markup=False, soft_wrap=True)


def spent(now: Snapshot, config: CurriculumConfig) -> str:
    """One line of what is used up, of what."""
    return " · ".join(
        [
            f"{now.calls}{_of(config.calls_max)} calls",
            f"{now.tokens:,}{_of(config.tokens_max)} tokens",
            *_money(now.money_usd, config.money_usd_max),
            f"{now.seconds:.0f}{_of(config.seconds_max)} s",
        ]
    )


def _money(spent_usd: float | None, cap: float | None) -> list[str]:
    """Nothing where nothing is paid."""
    if spent_usd is None:
        return ["an unknown price"]
    return [f"{spent_usd:.4f}{_of(cap)} US dollars"] if spent_usd or cap is not None else []


def _of(cap: float | None) -> str:
    return "" if cap is None else f" of {cap:,}"
