"""Ask the broker every few seconds how the whole deployment is doing: lags, totals, dead letters."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from meta_learning.errors import BrokerUnavailable
from meta_learning.streams import Log
from services.monitor.view import SystemReading, View

EVERY_S = 2.0


async def read_system(log: Log, view: View) -> SystemReading:
    """One reading.

    Raises:
        BrokerUnavailable: the broker does not answer.
    """
    await log.ping()
    # Before the broker is asked: whatever is monitored now was accepted before, so accepted - monitored never falls below 0.
    counts = view.counts()
    totals = dict(await log.totals())
    return SystemReading(
        is_broker_up=True,
        reason="",
        lags=tuple(await log.lags()),
        totals=totals,
        counts=counts,
        dead_letters_count=totals.get("dead", 0),
    )


async def watch_system(log: Log, view: View, every_s: float = EVERY_S) -> None:
    """Keep ``view.system`` fresh; while the broker is away the last numbers stay, marked as such."""
    while True:
        try:
            view.read(await read_system(log, view))
        except BrokerUnavailable as error:
            view.read(replace(view.system, is_broker_up=False, reason=str(error)))
        await asyncio.sleep(every_s)
