"""A loop's summary: a plain dict that also shows itself well in a terminal and in a notebook."""

from __future__ import annotations

from typing import Any

from meta_learning.clrs.summary.html import html_of
from meta_learning.clrs.summary.text import text_of


class Summary(dict[str, Any]):
    """What ``get_system_summary()`` returns: equal to the dict of the same content, also as JSON.

    ``print(summary)`` shows a table with a sparkline for each score; a notebook shows cards. Every key is told in
    ``docs/summary.md``.

    >>> import json
    >>> summary = Summary({"loop": "support", "cycles": 0})
    >>> json.loads(json.dumps(summary)) == summary
    True
    >>> print(summary)
    loop support · 0 cycles · 0 events · no champion yet
    """

    def __str__(self) -> str:
        return text_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)
