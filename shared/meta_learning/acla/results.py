"""What a run hands back, as plain JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from meta_learning.acla.endpoint import Endpoint
from meta_learning.acla.ensembles import members_of
from meta_learning.acla.judging import Ending
from meta_learning.acla.offered import Certain, in_use_of, rows_of, takeable
from meta_learning.acla.outcomes import Candidate
from meta_learning.acla.search import Search
from meta_learning.acla.splits import Splits


def results_of(search: Search, ending: Ending, splits: Splits, endpoint: Endpoint | None = None) -> dict[str, Any]:
    """The result keys of the public contract, as plain JSON. ``endpoint``: what was found out about the server, if anything."""
    winner = ending.winner or in_use_of(search)
    members, alpha = members_of(winner), search.race.config.alpha
    chosen = members[0]
    fresh = ending.gate.winner if ending.gate else None
    history = search.tracker.history
    seed_scores = search.in_use.scores(splits.search)
    seed_performance = sum(seed_scores) / len(seed_scores) if seed_scores else None
    best_scores = search.matrix.scores(chosen, splits.search)
    searched = sum(best_scores) / len(best_scores) if best_scores else None
    performance = searched
    judged = ending.gate.judged if ending.gate else None
    if judged is not None:
        # Both numbers from the same items, those that the gate judged by, whoever stays.
        seed_performance = judged.seed_score
        performance = fresh.score if fresh else judged.seed_score
    return {
        "best_performance": performance,
        "best_prompt": chosen.prompt.render(),
        "performance_history": history,
        "outcome": ending.outcome,
        "reason": ending.reason,
        "gate": ending.gate.as_dict() if ending.gate else None,
        "judged": asdict(judged) if judged else None,
        "seed_performance": seed_performance,
        "best_version": winner.version,
        "best_package": _package(search, chosen, endpoint),
        "ensemble": [_package(search, one, endpoint) for one in members] if len(members) > 1 else [],
        "price": _price(search, members),
        "endpoint": endpoint.report() if endpoint else None,
        "front": rows_of(search, ending, Certain.of(alpha, splits)),
        "level": 1.0 - 2.0 * alpha,
        "takeable": {
            one.version: [_package(search, voter, endpoint) for voter in members_of(one)]
            for one in takeable(search, ending)
        },
        "search_best": {
            "prompt": search.best.prompt.render(),
            "version": search.best.version,
            "calibrated": search.best.calibrated,
        },
        "lineage": search.tracker.lineage,
        "decisions": search.tracker.decisions,
        "items": {
            "search": len(splits.search),
            "gate": len(splits.gate),
            "duplicates": splits.duplicates_count,
            "contradictions": splits.contradictions_count,
        },
    }


def _price(search: Search, members: Sequence[Candidate]) -> dict[str, Any]:
    """What a question takes: a call for each member. ``money_usd`` is None where no price is known."""
    offers = [search.offer(one) for one in members]
    money = [one.price_usd for one in offers if one.price_usd is not None]
    return {
        "calls": len(members),
        "tokens": sum(one.tokens for one in offers),
        "money_usd": sum(money) if len(money) == len(offers) else None,
    }


def _package(search: Search, candidate: Candidate, endpoint: Endpoint | None) -> dict[str, Any]:
    """The prompt with everything that it was measured with; ``chat``: what is sent for it, in the vendors' form."""
    chat = candidate.prompt.chat()
    unheard = endpoint is not None and endpoint.system_role is False
    return {
        "prompt": candidate.prompt.render(),
        "chat": (chat.in_one_turn() if unheard else chat).as_json(),
        "blocks": candidate.prompt.as_blocks(),
        "label_bias": search.matrix.bias(candidate),
        "label_sharpness": search.matrix.calibration(candidate).sharpness,
    }
