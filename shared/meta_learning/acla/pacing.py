"""When to stop searching, so that what is left of the time, the tokens and the money still pays for a decision."""

from __future__ import annotations

from meta_learning.acla.planning import GatePlan
from meta_learning.llm.ledger import Ledger

# Of each cap: at least this much is for searching, however dear a call; the gate then may not come to its end.
SEARCH_SHARE_MIN = 1 / 3
# How much dearer or slower than until now the calls may get before the gate no longer fits.
DEARER = 1.4


def only_gate_fits(ledger: Ledger, plan: GatePlan, concurrency: int, batch_wait_s: float = 0.0) -> bool:
    """Whether what is left of some cap is what a gate of one finalist takes, at the rate of the calls so far.

    ``batch_wait_s``: how long a batch may take, where there are batches: the gate sends one for each prompt, one after the
    other, and the search has to be back from its last one by then.
    """
    paid = [entry for entry in ledger.entries if not entry.cached]
    if not paid:
        return False
    caps, spent, count = ledger.caps, ledger.spent, len(paid)
    alone_s = [entry.latency_s for entry in paid if not entry.batched]
    prompts_count = (1 + plan.incumbents_count) * plan.calls_each
    # A prompt at a time is asked its items: no more than those are ever on their way, however many a batch would take.
    held_count = min(max(1, concurrency), plan.items_count)
    rates = (
        (
            caps.seconds,
            ledger.seconds,
            sum(alone_s) / max(1, len(alone_s)) / max(1, concurrency),
            (1 + prompts_count) * batch_wait_s,
        ),
        (caps.tokens, float(spent.tokens), spent.tokens / count, held_count * ledger.largest.tokens),
        (
            caps.money_usd,
            spent.money_usd or 0.0,
            (spent.money_usd or 0.0) / count,
            held_count * ledger.largest.money_usd,
        ),
    )
    return any(
        _is_due(cap, used, DEARER * rate * prompts_count * plan.items_count + held) for cap, used, rate, held in rates
    )


def _is_due(cap: float | None, used: float, gate: float) -> bool:
    return cap is not None and used >= max(SEARCH_SHARE_MIN * cap, cap - gate)
