"""What a run shows while it goes on: a live table on a terminal, a line an iteration elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.reporting import Row, Snapshot, offers
from meta_learning.serving.ending import end

REFRESH_S = 0.5
ROWS_MAX = 15


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
        if now is None:
            return Group(Text(self._said))
        return Group(candidates(now), Text(f"{self._said}\n{spent(now, self._config)}"))


def candidates(now: Snapshot) -> Table:
    """The seed, then the others by what they gain, best first; of very many the first ones."""
    table = Table(box=None, padding=(0, 2), header_style="bold")
    for column in ("candidate", "made by", "score", "95 % interval", "over the seed", "calls", "US dollars"):
        table.add_column(column, justify="left" if column in ("candidate", "made by") else "right")
    others = sorted(now.rows[1:], key=lambda row: (not row.leads, -row.items_count, -row.gain))
    for row in [*now.rows[:1], *others][:ROWS_MAX]:
        table.add_row(*_cells(row), style="bold" if row.leads else "")
    return table


def _cells(row: Row) -> tuple[str, ...]:
    mark = "▸ " if row.leads else "  "
    gain = "" if row.strategy == "seed" else f"{100 * row.gain:+.1f}"
    price = "?" if row.price_usd is None else f"{row.price_usd:.4f}"
    interval = f"{row.low:.3f} to {row.high:.3f}"
    return mark + row.version, row.strategy, f"{row.score:.3f}", interval, gain, str(row.items_count), price


def offered(results: Mapping[str, Any]) -> Table:
    """What a better score costs, at the end of a run."""
    head, rows = offers(results)
    table = Table(box=None, padding=(0, 2), header_style="bold")
    for number, name in enumerate(head):
        table.add_column(name, justify="left" if number in (0, len(head) - 1) else "right", overflow="fold")
    for row in rows:
        table.add_row(*row, style="bold" if row[-1].endswith("taken") else "")
    return table


def spent(now: Snapshot, config: CurriculumConfig) -> str:
    """One line of what is used up, of what."""
    money = (
        "an unknown price" if now.money_usd is None else f"{now.money_usd:.4f}{_of(config.money_usd_max)} US dollars"
    )
    return (
        f"{now.calls}{_of(config.calls_max)} calls · {now.tokens:,}{_of(config.tokens_max)} tokens · {money} · "
        f"{now.seconds:.0f}{_of(config.seconds_max)} s"
    )


def _of(cap: float | None) -> str:
    return "" if cap is None else f" of {cap:,}"
