"""Ask the broker every few seconds how the whole deployment is doing: lags, totals, dead letters."""

from __future__ import annotations

import asyncio

from meta_learning.errors import BrokerUnavailable
from meta_learning.streams import Log
from services.monitor.view import SystemReading, View

EVERY_S = 2.0


async def read_system(log: Log) -> SystemReading:
    """One reading.

    Raises:
        BrokerUnavailable: the broker does not answer.
    """
    await log.ping()
    totals = dict(await log.totals())
    return SystemReading(
        is_broker_up=True,
        reason="",
        lags=tuple(await log.lags()),
        totals=totals,
        dead_letters_count=totals.get("dead", 0),
    )


async def watch_system(log: Log, view: View, every_s: float = EVERY_S) -> None:
    """Keep ``view.system`` fresh; while the broker is away the last numbers stay, marked as such."""
    while True:
        try:
            view.read(await read_system(log))
        except BrokerUnavailable as error:
            last = view.system
            view.read(
                SystemReading(
                    is_broker_up=False,
                    reason=str(error),
                    lags=last.lags,
                    totals=last.totals,
                    dead_letters_count=last.dead_letters_count,
                )
            )
        await asyncio.sleep(every_s)
