"""The summary is a plain dict, complete and documented, and fit to be seen."""

from __future__ import annotations

import json
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from docs.generate import summary as generated
from meta_learning.clrs import ClosedLoopSystem, LoopMonitor, Summary
from meta_learning.clrs.summary.keys import KEYS, paths, told
from meta_learning.clrs.summary.text import WIDTH
from tests.core.clrs.streams import labelled

NASTY = "<script>alert(1)</script>\x1b[2J"


@pytest.fixture(scope="module")
def summary() -> Summary:
    """Of a loop that learnt for a while, and whose users then turned round."""
    clrs, draws = ClosedLoopSystem(cycle_size=50, loop="support"), np.random.default_rng(0)
    rows = labelled(1300, 1) + labelled(300, 2, flipped=True)
    for number, (asked, answered, score) in enumerate(rows):
        clrs.collect_feedback(
            asked, answered, score, {"segment": (NASTY, "fi")[number % 2]}, user_id=f"u{draws.integers(9)}"
        )
    return clrs.get_system_summary()


def test_it_equals_the_plain_dict_also_as_json(summary: Summary) -> None:
    plain = dict(summary)
    assert summary == plain
    assert json.loads(json.dumps(summary)) == plain
    assert json.dumps(summary) == json.dumps(plain)


def test_every_key_is_documented_and_every_documented_key_is_there(summary: Summary) -> None:
    found = set(paths(summary))
    assert [path for path in sorted(found) if told(path) is None] == []
    named = {told(path) for path in found}
    sometimes = {"coherence.by_perturbation.*"}
    assert {key for key in KEYS if key not in named} <= sometimes


def test_the_page_is_what_the_keys_say() -> None:
    assert generated.PAGE.read_text(encoding="utf-8") == generated.page()
    assert Path(generated.PAGE).name == "summary.md"


def test_the_text_has_a_line_for_each_score_and_no_line_is_too_long(summary: Summary) -> None:
    lines = str(summary).splitlines()
    assert lines[0].startswith("loop support · 32 cycles · 1,600 events · champion ")
    for name in ("drift", "alignment", "coherence"):
        line = next(line for line in lines if line.startswith(name))
        assert f"{summary[name]['current']:.2f}" in line
        assert any(block in line for block in "▁▂▃▄▅▆▇█")
    assert any(line.startswith("patterns") and "label inversion" in line for line in lines)
    assert max(len(line) for line in lines) <= WIDTH


def test_words_of_users_neither_move_the_cursor_nor_run_in_a_notebook(summary: Summary) -> None:
    assert summary["alignment"]["worst_segment"]["segment"] in (NASTY, "fi")
    nasty = Summary({**summary, "alarms": [{"cycle": 1, "alarm": "drift", "sentence": NASTY}], "loop": NASTY})
    assert not [letter for letter in str(nasty) if letter != "\n" and unicodedata.category(letter) == "Cc"]
    assert "<script" not in nasty._repr_html_()
    assert "&lt;script&gt;" in nasty._repr_html_()


def test_the_notebook_gets_well_formed_self_contained_html(summary: Summary) -> None:
    class Tags(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []
            self.counts: dict[str, int] = {}

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert not {name for name, _ in attrs} & {"src", "href", "onclick", "onload"}
            self.open.append(tag)
            self.counts[tag] = self.counts.get(tag, 0) + 1

        def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.counts[tag] = self.counts.get(tag, 0) + 1

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    tags = Tags()
    tags.feed(summary._repr_html_())
    assert tags.open == []
    assert (tags.counts["svg"], tags.counts["polyline"], tags.counts["polygon"]) == (3, 3, 3)


def test_a_loop_that_has_seen_nothing_shows_that_it_collects() -> None:
    fresh = ClosedLoopSystem().get_system_summary()
    assert str(fresh).count("collecting") == 3
    assert fresh._repr_html_().count("collecting") == 3
    assert "no champion yet" in str(fresh)


def test_alarms_are_kept_with_their_cycle_and_begin_once(summary: Summary) -> None:
    named = [alarm["alarm"] for alarm in summary["alarms"]]
    assert "pattern:label_inversion" in named
    inverted = next(alarm for alarm in summary["alarms"] if alarm["alarm"] == "pattern:label_inversion")
    assert 27 <= inverted["cycle"] <= 32
    assert named.count("pattern:label_inversion") == 1


def test_a_version_that_took_charge_is_listed_with_its_cycle(summary: Summary) -> None:
    promoted = [line["cycle"] for line in summary["history"] if line["decision"] == "promoted"]
    assert [version["cycle"] for version in summary["versions"]] == promoted
    assert summary["versions"][-1]["version"] == summary["champion_version"]


def test_a_monitor_restored_says_the_same(summary: Summary) -> None:
    clrs = ClosedLoopSystem(cycle_size=50)
    for asked, answered, score in labelled(400, 3):
        clrs.collect_feedback(asked, answered, score, {"segment": "fi"}, user_id="ann")
    again = LoopMonitor.load(clrs.monitor.dump(), clrs.settings)
    assert again.summary() == clrs.monitor.summary()
    assert again.dump() == clrs.monitor.dump()
