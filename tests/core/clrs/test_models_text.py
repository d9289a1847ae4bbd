"""The default text model: two ways of computing it that agree in every bit, dumps that are read or refused, bounded memory."""

from __future__ import annotations

import importlib.util
import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_learning.clrs.models import paths
from meta_learning.clrs.models.bags import LENGTHS, Bags, BagSettings, Texts
from meta_learning.clrs.models.codepoints import DIGIT, SPACE, WORD, encoded, tables
from meta_learning.clrs.models.loading import load_model
from meta_learning.clrs.models.paths import PURE, Path, compiled
from meta_learning.clrs.models.port import Floats, Pair
from meta_learning.clrs.models.text_dump import HEADER
from meta_learning.clrs.models.text_model import OnlineTextModel, TextModelSettings
from meta_learning.clrs.models.text_state import COUNT_MAX, LIKED, log_counts
from meta_learning.errors import ConfigurationError, MalformedState
from tests.core.clrs.streams import labelled

needs_numba = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason="numba (extra: fast) is not installed"
)
SMALL = TextModelSettings(bags=BagSettings(bits=12))
TEXTS = st.text(st.characters(), max_size=60) | st.text("aB7 .,!İßΣ\u00a0\ud800🙂_", max_size=40)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6)
SCORES = st.floats(0.0, 1.0)


def bags(pairs: list[Pair], settings: BagSettings | None = None, path: Path = PURE) -> Bags:
    points, starts = encoded([text for pair in pairs for text in pair])
    return path.extract(Texts(points, starts), tables(), settings or BagSettings())


def stream(count: int, seed: int = 0) -> tuple[list[Pair], Floats]:
    rows = labelled(count, seed)
    return [(asked, answered) for asked, answered, _ in rows], np.array([score for _, _, score in rows])


@needs_numba
@settings(max_examples=150, deadline=None)
@given(PAIRS)
def test_both_paths_cut_and_hash_any_text_alike(pairs: list[Pair]) -> None:
    ours, theirs = bags(pairs), bags(pairs, path=compiled())
    for name in Bags._fields:
        one, other = getattr(ours, name), getattr(theirs, name)
        assert one.dtype == other.dtype
        assert one.tolist() == other.tolist()


@needs_numba
@settings(max_examples=100, deadline=None)
@given(PAIRS, st.data())
def test_both_paths_learn_and_predict_the_same_numbers(pairs: list[Pair], data: st.DataObject) -> None:
    targets = np.array([data.draw(SCORES) for _ in pairs])
    costs = np.array([data.draw(st.sampled_from([0.0, 0.3, 1.0, 7.5, 40.0])) for _ in pairs])
    models = [OnlineTextModel(SMALL, path=path) for path in (PURE, compiled())]
    for model in models:
        for _ in range(3):
            model.learn(pairs, targets, costs)
    pure, fast = (model.predict([*pairs, ("new", "text")]) for model in models)
    assert np.abs(pure - fast).max() <= 1e-6
    assert models[0].version() == models[1].version()


@needs_numba
def test_a_dump_of_one_path_goes_on_in_the_other() -> None:
    pairs, scores = stream(300)
    slow, fast = OnlineTextModel(path=PURE), OnlineTextModel(path=compiled())
    slow.learn(pairs[:150], scores[:150])
    fast.learn(pairs[:150], scores[:150])
    assert slow.dump() == fast.dump()
    swapped = OnlineTextModel.load(slow.dump(), fast.features)
    swapped.learn(pairs[150:], scores[150:])
    slow.learn(pairs[150:], scores[150:])
    assert swapped.version() == slow.version()


def test_words_digits_and_spaces_are_those_of_python() -> None:
    kinds = tables().kinds
    assert [bool(kinds[ord(char)] & WORD) for char in "aЖ_7🙂!"] == [True, True, True, True, False, False]
    assert [bool(kinds[ord(char)] & SPACE) for char in " \u00a0\u3000a"] == [True, True, True, False]
    assert [bool(kinds[ord(char)] & DIGIT) for char in "7٣½"] == [True, True, False]
    assert "".join(chr(tables().lower[ord(char)]) for char in "ÄΣǅ") == "äσǆ"


def test_what_lies_beyond_4000_characters_is_not_read() -> None:
    long = bags([("word " * 800, "fine"), ("word " * 2000, "fine")])
    first, second = np.diff(long.starts)
    assert first == second


def test_each_block_has_its_length_and_no_bucket_twice_in_a_pair() -> None:
    found = bags([("the cat sat on the mat", "nice"), ("the cat sat", "a long answer about the cat")])
    for pair, mode in enumerate(found.modes):
        part = slice(found.starts[pair], found.starts[pair + 1])
        assert len(np.unique(found.buckets[part])) == part.stop - part.start
        for block in range(4):
            length = np.linalg.norm(found.values[part][found.blocks[part] == block])
            assert length == pytest.approx(LENGTHS[mode, block], rel=1e-5)


def test_the_same_input_with_another_short_answer_shares_no_cross() -> None:
    found = bags([("the cat sat", "yes"), ("the cat sat", "no")])
    crosses = [
        set(found.buckets[found.starts[pair] : found.starts[pair + 1]][found.blocks[: found.starts[1]] < 2])
        for pair in range(2)
    ]
    assert crosses[0] & crosses[1] == set()


def test_counts_that_are_full_are_halved_and_keep_their_ratio() -> None:
    model = OnlineTextModel(SMALL, path=PURE)
    pairs: list[Pair] = [("a", "yes")] * 100
    for _ in range(12):
        model.learn(pairs, np.tile([1.0, 1.0, 1.0, 0.0], 25))
    counts = model.state.table[bags(pairs[:1], SMALL.bags).buckets[:1]][0, LIKED:].astype(float)
    assert counts.max() <= COUNT_MAX
    assert counts[0] / counts.sum() == pytest.approx(0.75, abs=0.01)


def test_a_dump_of_format_1_is_refused_with_the_way_out() -> None:
    with pytest.raises(MalformedState, match=r"format 1.*log"):
        load_model(b"MLTX1\n" + struct.pack("<I", 2) + b"{}")


@pytest.mark.parametrize(
    "wrong", [{"touched": 7}, {"settings": {}}, {"settings": {"bags": {"bits": 60}}}, {"touched": "x"}]
)
def test_a_head_that_does_not_fit_its_arrays_is_malformed(wrong: dict[str, object]) -> None:
    blob = OnlineTextModel(SMALL).dump()
    start = len(HEADER) + 4
    (length,) = struct.unpack("<I", blob[len(HEADER) : start])
    head = json.dumps(json.loads(blob[start : start + length]) | wrong).encode()
    with pytest.raises(MalformedState):
        load_model(HEADER + struct.pack("<I", len(head)) + head + blob[start + length :])


@pytest.mark.parametrize("wrong", [{"bits": 2}, {"bits": 40}, {"words": 0}, {"chars_min": 6}])
def test_bags_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        BagSettings(**wrong)


def test_a_lesson_of_no_weight_teaches_no_weights() -> None:
    model, pairs = OnlineTextModel(SMALL), [("fine", "yes"), ("poor", "yes")]
    model.learn(pairs, np.array([1.0, 0.0]), np.zeros(2))
    assert model.predict(pairs).tolist() == [0.5, 0.5]


def test_logarithms_of_counts_rise() -> None:
    assert (np.diff(log_counts(2.0, 0.3)[:, :6400].astype(float)) > 0).all()


@needs_numba
def test_where_nothing_can_be_compiled_the_pure_path_serves_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> paths.Path:
        raise OSError("no space left on device")

    monkeypatch.setattr(paths, "compiled", broken)
    with pytest.warns(RuntimeWarning, match="no space left on device"):
        assert paths.fastest.__wrapped__() is paths.PURE


def test_a_model_from_before_answers_had_odds_of_their_own_keeps_its_version() -> None:
    pairs, scores = stream(200)
    before = OnlineTextModel(TextModelSettings(answer_doubt=0.0))
    before.learn(pairs, scores)
    assert b"answer_doubt" not in before.dump()
    again = load_model(before.dump())
    assert isinstance(again, OnlineTextModel)
    assert (again.settings.answer_doubt, again.version()) == (0.0, before.version())
    assert (again.predict(pairs) == before.predict(pairs)).all()


def test_words_do_not_speak_against_an_answer_because_it_is_liked_less_than_others() -> None:
    often: list[Pair] = [(f"see you at {hour} then", "ham") for hour in range(100)]
    seldom: list[Pair] = [(f"free prize {number}", "spam") for number in range(30)]
    liked = np.array([1.0] * 100 + [1.0, 0.0, 1.0] * 10)
    order = np.random.default_rng(0).permutation(130)
    scores = []
    for doubt in (0.0, 2.0):
        model = OnlineTextModel(TextModelSettings(answer_doubt=doubt, bags=SMALL.bags))
        model.learn([(often + seldom)[at] for at in order], liked[order])
        scores.append(float(model.predict([("free prize 99", "spam")])[0]))
    assert scores[1] > scores[0] + 0.02
