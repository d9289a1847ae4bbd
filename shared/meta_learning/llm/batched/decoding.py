"""From rows of tokens to answers: prompts in one pass, then one token a pass for all rows that are not done.

Rows are padded on the left, so that all of them end at the same place and only the logits there are computed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from meta_learning.llm.batched.prefixes import SHARED_MIN, Prefixes, common_length
from meta_learning.llm.batched.prompts import Row, text_of
from meta_learning.llm.batched.weights import Weights


class Decoder:
    """Answers groups of rows; ``ended`` is told each row as soon as it is done, ``abandoned`` asked whether to go on with one.

    Beginnings of fewer than ``shared_min`` tokens are not shared; None: none is.
    """

    def __init__(
        self,
        weights: Weights,
        ended: Callable[[Row], None],
        abandoned: Callable[[Row], bool],
        shared_min: int | None = SHARED_MIN,
    ) -> None:
        self._weights, self._ended, self._abandoned = weights, ended, abandoned
        self._torch = importlib.import_module("torch")
        self._new_cache = importlib.import_module("transformers").DynamicCache
        self._prefixes = Prefixes()
        self._shared_min = shared_min if weights.shares_prefixes else None

    def answer(self, rows: Sequence[Row]) -> None:
        """Answer ``rows`` (of similar length, and with a common beginning if possible) to their ends."""
        with self._torch.inference_mode():
            logits, cache, mask = self._prompts(rows)
            self._keep_first(rows, logits)
            alive, lengths = list(rows), [len(row.prompt) for row in rows]
            while True:
                self._say(alive, logits)
                staying = [place for place, row in enumerate(alive) if not self._over(row)]
                if not staying:
                    return
                if len(staying) < len(alive):
                    alive, lengths = [alive[place] for place in staying], [lengths[place] for place in staying]
                    cache.batch_select_indices(self._tensor(staying))
                    mask = mask[self._tensor(staying)]
                mask = self._torch.cat([mask, mask.new_ones(len(alive), 1)], dim=1)
                logits = self._pass(
                    self._tensor([[row.said[-1]] for row in alive]), mask, self._tensor([[n] for n in lengths]), cache
                )
                lengths = [length + 1 for length in lengths]

    def _prompts(self, rows: Sequence[Row]) -> tuple[Any, Any, Any]:
        """Logits after each prompt (rows, vocabulary), the cache, and the mask of what in it is no padding."""
        cache, shared = self._beginning([row.prompt for row in rows])
        rests = [row.prompt[shared:] for row in rows]
        width = max(map(len, rests))
        ids = self._tensor([[0] * (width - len(rest)) + rest for rest in rests])
        mask = self._tensor([[1] * shared + [0] * (width - len(rest)) + [1] * len(rest) for rest in rests])
        places = (mask.cumsum(dim=1) - 1).clamp_(min=0)[:, shared:]
        return self._pass(ids, mask, places, cache), cache, mask

    def _beginning(self, prompts: list[list[int]]) -> tuple[Any, int]:
        """A cache that holds what all prompts begin with, for as many rows, and how many tokens that are."""
        cache = self._new_cache(config=self._weights.model.config)
        if self._shared_min is None:
            return cache, 0
        # One token at least must be left for each row to end on.
        shared = min(common_length(prompts[0], prompt[:-1]) for prompt in prompts)
        known, layers = self._prefixes.known(prompts[0][:shared])
        if len(prompts) == 1:
            # Worth a pass of its own if the one before began alike: then the next probably will.
            shared = max(known, self._prefixes.repeated(prompts[0][:shared]))
        if shared < self._shared_min:
            return cache, 0
        # A little more that is shared by accident, the same first word of some tweets, is not worth a pass.
        if known >= self._shared_min and shared - known < self._shared_min:
            shared = known
        else:
            layers = self._computed(prompts[0][:shared], layers, known)
        for number, (keys, values) in enumerate(layers):
            cache.update(*(one.expand(len(prompts), -1, -1, -1) for one in (keys, values)), number)
        return cache, shared

    def _computed(self, tokens: list[int], layers: list[tuple[Any, Any]], known: int) -> list[tuple[Any, Any]]:
        cache = self._new_cache(config=self._weights.model.config)
        for number, (keys, values) in enumerate(layers):
            cache.update(keys, values, number)
        mask = self._tensor([[1] * len(tokens)])
        self._pass(self._tensor([tokens[known:]]), mask, mask.cumsum(dim=1)[:, known:] - 1, cache)
        computed = [(layer.keys, layer.values) for layer in cache.layers]
        self._prefixes.keep(tokens, computed)
        return computed

    def _pass(self, ids: Any, mask: Any, places: Any, cache: Any) -> Any:
        said = self._weights.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=places,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return said.logits[:, -1].float()

    def _keep_first(self, rows: Sequence[Row], logits: Any) -> None:
        wanting = [place for place, row in enumerate(rows) if row.wants_first]
        if wanting:
            for place, first in zip(wanting, self._torch.log_softmax(logits[wanting], dim=1).cpu(), strict=True):
                rows[place].first = first

    def _say(self, rows: Sequence[Row], logits: Any) -> None:
        """The next token of each row: the most probable one, or a draw by the row's own numbers."""
        likeliest = logits.argmax(dim=1).tolist()
        for place, row in enumerate(rows):
            row.said.append(self._drawn(row, logits[place]) if row.temperature > 0.0 else likeliest[place])

    def _drawn(self, row: Row, logits: Any) -> int:
        sums = self._torch.softmax(logits.double() / row.temperature, dim=0).cumsum(dim=0)
        point = self._torch.tensor(row.draws.random(), dtype=sums.dtype, device=sums.device) * sums[-1]
        return min(int(self._torch.searchsorted(sums, point, right=True)), len(sums) - 1)

    def _over(self, row: Row) -> bool:
        """Whether a row is done; if so it was told."""
        if self._abandoned(row):
            return True
        row.ended = row.said[-1] in self._weights.ends or (row.stop != () and self._stopped(row))
        over = row.ended or len(row.said) >= row.tokens_max
        if over:
            self._ended(row)
        return over

    def _stopped(self, row: Row) -> bool:
        return len(text_of(row, self._weights)) < len(
            self._weights.tokenizer.decode(row.said, skip_special_tokens=True)
        )

    def _tensor(self, numbers: Any) -> Any:
        return self._torch.tensor(numbers, device=self._weights.device)
