"""Write `docs/summary.md` from the keys of a summary: `python -m docs.generate.summary`."""

from __future__ import annotations

from pathlib import Path

from meta_learning.clrs.summary.keys import KEYS

PAGE = Path(__file__).parents[1] / "summary.md"
HEAD = """# The summary of a loop

Written by `python -m docs.generate.summary` from the code; do not edit by hand. `ClosedLoopSystem.get_system_summary()` returns a
plain dict that prints as a table and shows as cards in a notebook. The monitor folds the same events with the same functions: at
equal offset its gauges, its page and this dict say the same.

`*` stands for names that differ from loop to loop, `[]` for the items of a list, `...` for all that lies below.

"""


def page() -> str:
    """The whole page."""
    rows = [f"| `{key}` | {said} |\n" for key, said in KEYS.items()]
    return HEAD + "| key | what it says |\n|---|---|\n" + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
