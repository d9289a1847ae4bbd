"""Every figure says what it should, survives what is missing, and stays readable in grey and to the colour-blind."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meta_learning.errors import CallerError
from meta_learning.utils import MetaLearningVisualizer
from meta_learning.utils.figures import curves, drawing, lineage, naming, palette, pareto
from meta_learning.utils.figures.histories import read_history

pytest.importorskip("matplotlib", reason="figures are an extra")

HISTORY: list[Any] = [
    {"iteration": n, "score": s, "low": s - 0.1, "high": s + 0.1, "calls": 40 * n, "prompt_version": f"v{s}"}
    for n, s in enumerate((0.5, 0.5, 0.6, 0.65))
]
BIRTHS = [
    {
        "iteration": 1,
        "version": "b",
        "parent": "a",
        "strategy": "ablation",
        "note": "",
        "items_count": 8,
        "gain": 0.1,
        "kept": True,
    },
    {
        "iteration": 2,
        "version": "c",
        "parent": "b",
        "strategy": "few_shot",
        "note": "",
        "items_count": 0,
        "gain": 0.0,
        "kept": False,
    },
    {
        "iteration": 3,
        "version": "b",
        "parent": "c",
        "strategy": "ablation",
        "note": "",
        "items_count": 8,
        "gain": -0.1,
        "kept": False,
    },
]
# Machado, Oliveira and Fernandes (2009), severity 1: linear RGB as a protanope and as a deuteranope sees it.
PROTANOPIA = np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]])
DEUTERANOPIA = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])

COMPARED = [
    {"arm": "meta @ 300", "against": "static", "gain": gain, "low": gain - 0.04, "high": gain + 0.04, "alpha": 0.05}
    | {"p_adjusted": 0.001 if gain > 0.05 else 0.4}
    for gain in (0.1, 0.01)
]
CURVE = [{"labels": count, "score": 0.6, "low": 0.5, "high": 0.7} for count in (25, 400)]
Draw = Callable[[MetaLearningVisualizer, str], list[Path]]
FIGURES: dict[str, Draw] = {
    "curriculum": lambda v, name: v.plot_curriculum_learning(performance_history=HISTORY, save_name=name),
    "comparison": lambda v, name: v.plot_comparison(
        meta_prompting_history=HISTORY, baseline_history=[0.5] * 4, save_name=name
    ),
    "clrs": lambda v, name: v.plot_clrs_metrics(
        drift_scores=[None, 0.1], alignment_scores=[0.5, 0.6], coherence_scores=[None, None], save_name=name
    ),
    "anytime": lambda v, name: v.plot_anytime(dict.fromkeys("abcd", HISTORY), name),
    "lineage": lambda v, name: v.plot_lineage(BIRTHS, name),
    "strategies": lambda v, name: v.plot_strategies(BIRTHS, name),
    "confusion": lambda v, name: v.plot_confusion([[3, 1], [0, 2]], ["costs $5", "costs $6"], save_name=name),
    "drift": lambda v, name: v.plot_drift({"text": [None, 0.1, 0.5]}, [2], save_name=name),
    "reliability": lambda v, name: v.plot_reliability([{"confidence": 0.6, "accuracy": 0.5, "count": 3}], 0.1, name),
    "satisfaction": lambda v, name: v.plot_satisfaction({f"world {n}": [0.5, 0.6] for n in range(7)}, name),
    "pareto": lambda v, name: v.plot_pareto([{"name": "a", "cost": 1, "score": 0.5}], save_name=name),
    "gains": lambda v, name: v.plot_gains(COMPARED, name),
    "labels": lambda v, name: v.plot_labels({"lora": CURVE, "text model": CURVE[:1]}, name),
}
NOTHING: dict[str, Draw] = {
    "curriculum": lambda v, name: v.plot_curriculum_learning(performance_history=[None, None], save_name=name),
    "comparison": lambda v, name: v.plot_comparison(meta_prompting_history=[], baseline_history=[None], save_name=name),
    "clrs": lambda v, name: v.plot_clrs_metrics(
        drift_scores=[], alignment_scores=[], coherence_scores=[], save_name=name
    ),
    "anytime": lambda v, name: v.plot_anytime({"a": []}, name),
    "lineage": lambda v, name: v.plot_lineage([], name),
    "strategies": lambda v, name: v.plot_strategies([], name),
    "drift": lambda v, name: v.plot_drift({"text": [None]}, save_name=name),
    "reliability": lambda v, name: v.plot_reliability([], save_name=name),
    "satisfaction": lambda v, name: v.plot_satisfaction({}, name),
    "pareto": lambda v, name: v.plot_pareto([], save_name=name),
    "gains": lambda v, name: v.plot_gains([], name),
    "labels": lambda v, name: v.plot_labels({"lora": []}, name),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_png_and_a_vector_drawing_with_the_same_bytes_each_time(name: str, tmp_path: Path) -> None:
    png, svg = FIGURES[name](MetaLearningVisualizer(tmp_path / "one"), name)
    again = FIGURES[name](MetaLearningVisualizer(tmp_path / "two", forms=["svg"]), f"{name}.svg")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert svg.read_bytes() == again[0].read_bytes()
    assert b"<dc:date>" not in svg.read_bytes()


@pytest.mark.parametrize("name", NOTHING)
def test_a_figure_of_nothing_says_so_instead_of_failing(name: str, tmp_path: Path) -> None:
    paths = NOTHING[name](MetaLearningVisualizer(tmp_path, forms=["svg"]), name)
    assert paths[0].stat().st_size > 1000


def test_series_stay_apart_in_grey_and_stand_out_from_the_paper() -> None:
    greys = [palette.lightness(colour) for colour in palette.SERIES]
    assert greys == sorted(greys)
    assert min(b - a for a, b in pairwise(greys)) >= 12
    assert all(palette.lightness(palette.PAPER) - grey >= 20 for grey in greys)
    assert len(set(palette.MARKERS)) == len(set(palette.DASHES)) == len(palette.SERIES)


def test_more_series_than_colours_never_look_alike_in_grey() -> None:
    looks = [palette.look(number) for number in range(palette.LOOKS_MAX)]
    assert len({look.marker for look in looks}) == len(looks)
    assert len({(look.colour, look.dash) for look in looks}) == len(looks)
    with pytest.raises(CallerError, match="at most 15 series"):
        palette.look(palette.LOOKS_MAX)


def _boxes(figure: Any) -> list[Any]:
    """Where the names of a figure lie, in pixels; without the lines that lead to them."""
    from matplotlib.offsetbox import AnnotationBbox
    from matplotlib.text import Annotation, Text

    figure.draw_without_rendering()
    (axes,) = figure.axes
    found = [child for child in axes.get_children() if isinstance(child, AnnotationBbox | Annotation)]
    return [Text.get_window_extent(one) if isinstance(one, Text) else one.get_window_extent() for one in found]


@pytest.mark.parametrize("count", [2, 4, 11, 15])
def test_names_of_lines_cover_neither_each_other_nor_the_lines_even_where_all_end_alike(count: int) -> None:
    with drawing.styled():
        figure = curves.anytime({f"only:strategy_{n}": read_history(HISTORY) for n in range(count)})
        boxes = _boxes(figure)
    right = figure.axes[0].get_window_extent().x1
    assert len(boxes) == count
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(right < box.x0 and box.x1 <= figure.bbox.width for box in boxes)


def test_a_best_score_by_calls_is_drawn_as_steps_since_nobody_had_the_scores_between() -> None:
    points = [{"iteration": n, "score": 0.5 + n / 10, "calls": 20 * n, "low": 0.4, "high": 0.9} for n in range(3)]
    with drawing.styled():
        by_calls, by_iteration = (
            curves.anytime({"a": read_history(points)}),
            curves.anytime({"a": read_history([0.5, 0.6])}),
        )
    assert by_calls.axes[0].get_xlabel() == "model calls spent"
    assert [line.get_drawstyle() for line in by_calls.axes[0].lines[:1]] == ["steps-post"]
    assert [line.get_drawstyle() for line in by_iteration.axes[0].lines[:1]] == ["default"]


def test_the_first_prompt_with_thresholds_is_no_candidate_of_the_lineage() -> None:
    birth = {"iteration": 0, "parent": "s", "kept": False, "gain": 0.1, "items_count": 9}
    births = [birth | {"version": "s-c", "strategy": "calibration"}, birth | {"version": "a", "strategy": "ablation"}]
    with drawing.styled():
        figure = lineage.tree(births)
    said = figure.axes[0].get_title(loc="left") + " ".join(text.get_text() for text in figure.axes[0].texts)
    assert "Lineage: 1 candidates" in said


@pytest.mark.parametrize("count", [5, 12])
def test_names_of_points_do_not_cover_each_other_where_points_lie_on_each_other(count: int) -> None:
    points = [
        {"name": f"without:strategy_{n}", "cost": 62, "score": 0.6, "low": 0.5, "high": 0.7} for n in range(count)
    ]
    with drawing.styled():
        boxes = _boxes(pareto.front(points, "calls"))
    assert len(boxes) == count
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_of_too_many_runs_those_that_end_best_are_drawn_and_the_title_says_so() -> None:
    with drawing.styled():
        figure = curves.anytime({f"arm {n}": read_history([0.5, 0.5 + n / 100]) for n in range(30)})
        assert len(pareto.front([{"name": n, "cost": n, "score": 0.5} for n in range(30)], "calls").axes) == 1
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "Best score by iteration, the best 15 of 30"
    assert {line.get_label() for line in axes.get_lines()} == {f"arm {n}" for n in range(15, 30)}


def test_places_keep_their_order_and_their_distance_within_the_panel() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        wanted = rng.uniform(-0.1, 1.1, size=rng.integers(1, 12)).tolist()
        places = naming.spread(wanted, 0.07, 0.0, 1.0)
        ordered = [place for _, place in sorted(zip(wanted, places, strict=True))]
        assert min((b - a for a, b in pairwise(ordered)), default=1.0) >= 0.07 - 1e-5
        assert 0.0 <= ordered[0] <= ordered[-1] <= 1.0 + 1e-5


def test_text_is_readable_on_paper() -> None:
    assert palette.contrast(palette.INK, palette.PAPER) >= 7
    assert palette.contrast(palette.FAINT, palette.PAPER) >= 4.5
    assert palette.contrast(palette.ALARM, palette.PAPER) >= 4.5
    assert palette.contrast(palette.PAPER, palette.SHADES[3]) >= 4.5
    assert palette.contrast(palette.INK, palette.SHADES[2]) >= 4.5


@pytest.mark.parametrize("vision", [np.eye(3), PROTANOPIA, DEUTERANOPIA], ids=["normal", "protanopia", "deuteranopia"])
def test_series_stay_apart_for_the_colour_blind(vision: Any) -> None:
    seen = [_lab(vision @ _linear(colour)) for colour in palette.SERIES]
    # A difference of 2 is just noticeable side by side; lines lie apart.
    assert min(float(np.linalg.norm(one - other)) for one, other in combinations(seen, 2)) >= 20


def _linear(colour: str) -> Any:
    values = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _lab(linear: Any) -> Any:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = (to_xyz @ np.clip(linear, 0, 1)) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_a_history_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="point 1"):
        MetaLearningVisualizer(tmp_path).plot_curriculum_learning(performance_history=[0.5, {"value": 1}])


def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="no name of a figure"):
        MetaLearningVisualizer(tmp_path).plot_pareto([], save_name="../x")


def test_without_matplotlib_the_error_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from meta_learning.utils import MetaLearningVisualizer\n"
        f"MetaLearningVisualizer({str(tmp_path)!r}).plot_curriculum_learning([0.5])"
    )
    shared = str(Path(__file__).parents[3] / "shared")
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": shared},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "ConfigurationError: figures need matplotlib: pip install 'meta-learning-loop[figures]'" in ran.stderr


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.images: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]
        if tag == "img":
            self.images.append(given["alt"] or "")


def test_the_dashboard_is_one_file_that_needs_no_network_and_no_script(tmp_path: Path) -> None:
    results = {
        "dataset_name": "tweets <&>",
        "meta_prompting_history": HISTORY,
        "baseline_history": [0.5] * 4,
        "lineage": BIRTHS,
        "best_prompt": "Say </pre><script>alert(1)</script>",
        "evaluation": {"confusion": {"matrix": [[1]], "labels": ["a"], "answers": ["a"]}},
        "loop": {"history": [{"cycle": 1, "drift": None, "alignment": 0.5, "coherence": None}]},
    }
    path = MetaLearningVisualizer(tmp_path).create_dashboard(experiment_results=results, save_name="report")
    text = path.read_text()
    assert path.name == "report.html"
    found = _Tags()
    found.feed(text)
    assert all(address.startswith("data:image/svg+xml;base64,") for address in found.addresses)
    assert "script" not in found.tags
    assert "link" not in found.tags
    assert found.images == [
        "meta-prompting and the static prompt",
        "gain by strategy",
        "lineage of the prompts",
        "answers given and expected",
        "drift, alignment and coherence by cycle",
    ]
    inside = [base64.b64decode(address.partition(",")[2]) for address in found.addresses]
    assert all(b"</svg>" in one for one in inside)
    assert "tweets &lt;&amp;&gt;" in text
    assert not re.search(r"url\(|@import", text)


def test_a_dashboard_of_other_results_shows_their_numbers(tmp_path: Path) -> None:
    text = MetaLearningVisualizer(tmp_path).create_dashboard({"accuracy": 0.75, "seen": None}).read_text()
    assert "0.75" in text


def test_a_sentence_in_a_table_is_shown_whole_and_a_digest_is_cut(tmp_path: Path) -> None:
    alarms = [{"cycle": 23, "sentence": "drift 0.33 by behaviour, above 0.3", "version": "0123456789" * 6}]
    text = MetaLearningVisualizer(tmp_path).create_dashboard({"loop": "support", "alarms": alarms}).read_text()
    assert "<td>drift 0.33 by behaviour, above 0.3</td>" in text
    assert "<td>01234567890123456789012345…</td>" in text
    assert "Loop support</h1>" in text


def test_the_cycles_of_plain_scores_are_counted_from_one() -> None:
    assert read_history([0.5, 0.6], first=1).iterations.tolist() == [1.0, 2.0]
