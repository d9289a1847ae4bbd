"""Feedback out of anybody's file: columns by name, scales said aloud, bad rows named."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meta_learning.datasets import FeedbackRow, TabularLoader, label_feedback, read_feedback
from meta_learning.errors import CallerError, MalformedDataset, MetaLearningError, NotFound

TABLE = "prompt,answer,rating\nhello,hi there,5\nhow are you?,go away,1\n"


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def scores(path: Path, **options: Any) -> list[float]:
    return [row.feedback_score for row in read_feedback(path, **options)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", TABLE),
        ("a.csv", TABLE.replace(",", ";")),
        ("a.csv", "\ufeff" + TABLE.replace("\n", "\r\n")),
        ("a.tsv", TABLE.replace(",", "\t")),
        ("a.csv.gz", gzip.compress(TABLE.encode(), mtime=0)),
        ("a.JSONL", '{"prompt":"hello","answer":"hi there","rating":5}\n\n{"prompt":"how are you?","answer":"go away","rating":1}'),
    ],
    # Names of their own: a gzip header holds the time, and two collectors must name a case alike.
    ids=["csv", "semicolons", "windows", "tsv", "gzip", "jsonl"],
)  # fmt: skip
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, content: str | bytes) -> None:
    found = [
        (row.input_text, row.output_text, row.feedback_score) for row in read_feedback(written(tmp_path, name, content))
    ]
    assert found == [("hello", "hi there", 1.0), ("how are you?", "go away", 0.0)]


def test_what_was_understood_is_said_in_one_sentence(tmp_path: Path) -> None:
    assert read_feedback(written(tmp_path, "a.csv", TABLE)).describe() == (
        "2 rows: input from 'prompt', output from 'answer', score from 'rating'; "
        "scores from 1 (worst) to 5 (best), detected: all 2 lie between 1 and 5"
    )


@pytest.mark.parametrize(
    "header",
    [
        "input_text,output_text,feedback_score",
        "Question,Response,Score",
        "source,translation,mean",
        "original,output,label",
    ],
)
def test_columns_are_found_by_the_names_that_people_use(tmp_path: Path, header: str) -> None:
    (row,) = read_feedback(written(tmp_path, "a.csv", f"{header}\nin,out,1\n"))
    assert row == FeedbackRow(row=2, input_text="in", output_text="out", feedback_score=1.0)


def test_the_name_that_says_more_wins_and_a_declaration_wins_over_all(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "input,output,label,feedback_score\nin,out,0,1\n")
    assert scores(path) == [1.0]
    assert scores(path, columns={"score": "label"}) == [0.0]


def test_user_event_and_metadata_come_along_where_a_row_has_them(tmp_path: Path) -> None:
    records = [{"input": "a", "output": "b", "score": 0.5}]
    records.append({**records[0], "user_id": 7, "event_id": "e1", "metadata": {"channel": "app"}})
    bare, full = read_feedback(written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, records))))
    assert (bare.user_id, bare.event_id, bare.metadata) == (None, None, {})
    assert (full.user_id, full.event_id, full.metadata) == ("7", "e1", {"channel": "app"})


def test_quotes_in_a_tsv_are_text(tmp_path: Path) -> None:
    (row,) = read_feedback(written(tmp_path, "a.tsv", 'input\toutput\tscore\n"Quoted" start\t"open\t1\n'))
    assert (row.input_text, row.output_text) == ('"Quoted" start', '"open')


def test_a_quoted_csv_field_may_run_over_lines_and_rows_are_numbered_by_where_they_start(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", 'input,output,score\n"two\nlines",out,1\n\nlast,out,0\n')
    assert [(row.row, row.input_text) for row in read_feedback(path)] == [(2, "two\nlines"), (5, "last")]


@pytest.mark.parametrize(
    ("given_scores", "scale", "expected"),
    [
        (["0", "0.25", "1"], "auto", [0.0, 0.25, 1.0]),
        (["1", "3", "5"], "auto", [0.0, 0.5, 1.0]),
        (["12", "96.5"], "auto", [0.12, 0.965]),
        (["yes", "Thumbs down", "true"], "auto", [1.0, 0.0, 1.0]),
        (["-1", "1"], (-1, 1), [0.0, 1.0]),
        (["2", "10"], (0, 10), [0.2, 1.0]),
        (["1", "1"], "1-5", [0.0, 0.0]),
        (["7"], "0-100", [0.07]),
    ],
)
def test_scores_are_brought_to_the_unit_scale(
    tmp_path: Path, given_scores: list[str], scale: Any, expected: list[float]
) -> None:
    path = written(tmp_path, "a.csv", "input,output,score\n" + "".join(f"a,b,{score}\n" for score in given_scores))
    assert scores(path, scale=scale) == pytest.approx(expected)


@pytest.mark.parametrize("doubtful", [["1", "4"], ["0", "5"], ["-1", "1"], ["2", "10"], ["3", "40"], ["5", "101"]])
def test_a_scale_in_doubt_must_be_declared(tmp_path: Path, doubtful: list[str]) -> None:
    path = written(tmp_path, "a.csv", "input,output,score\n" + "".join(f"a,b,{score}\n" for score in doubtful))
    with pytest.raises(CallerError, match=r"a\.csv: the scores lie between .* declare it"):
        read_feedback(path)


@pytest.mark.parametrize("scale", ["0-10", (5, 1), (0, float("inf")), (1, 1)])
def test_a_scale_that_is_none_is_the_callers_mistake(tmp_path: Path, scale: Any) -> None:
    with pytest.raises(CallerError, match="scale must be 'auto'"):
        read_feedback(written(tmp_path, "a.csv", TABLE), scale=scale)


@pytest.mark.parametrize(
    ("bad_row", "complaint"),
    [
        ("a,b", "has 2 columns where the header has 3"),
        ("a,b,0.5,d", "has 4 columns where the header has 3"),
        ("a,b,often", "the score 'often' is not a finite number"),
        ("a,b,", "the score '' is not a finite number"),
        ("a,b,nan", "the score 'nan' is not a finite number"),
        (" ,b,1", "'input' is empty"),
        ('a,"b,1', "is no valid CSV"),
        (f"{'a' * 40_000},b,1", "at most 32768 are accepted"),
        ("a,\udce9,1", "is not utf-8: byte 0xe9"),
    ],
)
def test_a_bad_row_is_named_before_the_first_good_one_is_given(tmp_path: Path, bad_row: str, complaint: str) -> None:
    content = f"input,output,score\nfine,fine,1\n{bad_row}\nfine,fine,0\n".encode(errors="surrogateescape")
    with pytest.raises(MalformedDataset) as caught:
        read_feedback(written(tmp_path, "a.csv", content))
    assert caught.value.row == 3
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("bad_line", "complaint"),
    [
        ('{"input": "a", "output": "b"}', "has no 'score'"),
        ('{"input": "a", "output": 7, "score": 1}', "'output' must be text, not int"),
        ('{"input": "a", "output": "b", "score": NaN}', "NaN is not a JSON number"),
        ('{"input": "a", "output": "b", "score": null}', "the score 'None' is not a finite number"),
        ('{"input": "a", "output": "\\ud800", "score": 1}', "holds a lone surrogate"),
        ('{"input": "a", "output": "b", "score": 1, "metadata": [1]}', "'metadata' must be a JSON object"),
        ('{"input": "a", "output": "b", "score": 1', "is no valid JSON"),
        ('"just text"', "is a JSON str, not an object"),
    ],
)
def test_a_bad_json_line_is_named(tmp_path: Path, bad_line: str, complaint: str) -> None:
    path = written(tmp_path, "a.jsonl", f'{{"input": "a", "output": "b", "score": 0}}\n{bad_line}\n')
    with pytest.raises(MalformedDataset) as caught:
        read_feedback(path)
    assert caught.value.row == 2
    assert complaint in str(caught.value)


def test_a_score_off_the_declared_scale_is_named(tmp_path: Path) -> None:
    with pytest.raises(MalformedDataset, match="row 2: the score 5 is off the scale from 0 to 1"):
        read_feedback(written(tmp_path, "a.csv", TABLE), scale="0-1")


def test_a_header_that_cannot_be_matched_lists_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(MalformedDataset, match="row 1: no column for input and score among 'foo', 'answer'; name them"):
        read_feedback(written(tmp_path, "a.csv", "foo,answer\nx,y\n"))
    with pytest.raises(MalformedDataset, match="names 'answer' more than once"):
        read_feedback(written(tmp_path, "b.csv", "answer,answer,input\n1,2,3\n"))
    with pytest.raises(CallerError, match="there is no field 'stars'"):
        read_feedback(written(tmp_path, "c.csv", TABLE), columns={"stars": "rating"})


def test_files_that_hold_nothing_or_do_not_exist_say_so(tmp_path: Path) -> None:
    for name, content in (("a.csv", ""), ("b.csv", "input,output,score\n"), ("c.jsonl", "\n\n")):
        with pytest.raises(MalformedDataset, match="empty: it holds no row of data"):
            read_feedback(written(tmp_path, name, content))
    with pytest.raises(CallerError, match="must end in one of"):
        read_feedback(written(tmp_path, "a.xlsx", ""))
    with pytest.raises(NotFound, match="no such file"):
        read_feedback(tmp_path / "missing.csv")


def test_damaged_gzip_data_is_named(tmp_path: Path) -> None:
    content = gzip.compress(("input,output,score\n" + "a,b,1\n" * 5000).encode())
    with pytest.raises(MalformedDataset, match="damaged or cut off"):
        read_feedback(written(tmp_path, "a.csv.gz", content[:-20]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.tuples(st.text("ab,;\"'\n\t é"), st.text('xy,"\n\\ ß')), min_size=1, max_size=6))
def test_whatever_a_csv_writer_writes_is_read_back(tmp_path: Path, texts: list[tuple[str, str]]) -> None:
    path = tmp_path / "round.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("input", "output", "score"), *(("q" + asked, said, 1) for asked, said in texts)])
    assert [(row.input_text, row.output_text) for row in read_feedback(path)] == [("q" + a, b) for a, b in texts]


def test_sentiment140s_layout_becomes_feedback_on_labels(tmp_path: Path) -> None:
    row = '"{}","{}","Mon Apr 06 22:19:45 PDT 2009","NO_QUERY","someone","tweet {}"\n'
    content = "".join(row.format(0 if number < 50 else 4, number, number) for number in range(100))
    path = written(tmp_path, "tweets.csv", content)
    found = list(read_feedback(path, seed=3))
    assert found == list(read_feedback(path, seed=3))
    assert found != list(read_feedback(path, seed=4))
    for row_found in found:
        label = "negative" if row_found.row <= 50 else "positive"
        assert row_found.feedback_score == float(row_found.output_text == label)
    for label in ("negative", "positive"):
        assert sum(each.feedback_score for each in found if each.output_text == label) == 25
    assert [each.row for each in found] != sorted(each.row for each in found)


def test_feedback_on_labels_needs_two_of_them() -> None:
    with pytest.raises(CallerError, match="two or more"):
        next(label_feedback([{"input": "a", "expected": "ham", "metadata": {}}]))


def test_a_wrong_label_is_never_the_right_one_among_many() -> None:
    samples = [{"input": str(number), "expected": "abc"[number % 3], "metadata": {}} for number in range(300)]
    found = list(label_feedback(samples, seed=5))
    assert all((row.output_text == "abc"[int(row.input_text) % 3]) == (row.feedback_score == 1) for row in found)
    assert sum(row.feedback_score for row in found) == 150
    assert {row.output_text for row in found if row.feedback_score == 0} == set("abc")


def test_any_table_is_a_data_set_by_the_names_of_its_columns(tmp_path: Path) -> None:
    path = written(tmp_path, "sms.tsv", "Label\tSMS\tday\nham\tsee you\tmon\nspam\tWIN\ttue\n")
    found = sorted(TabularLoader(path, input="SMS", expected="Label").get_samples(2), key=lambda each: each["expected"])
    assert found[0] == {"input": "see you", "expected": "ham", "metadata": {"row": 2, "day": "mon"}}
    with pytest.raises(MalformedDataset, match="row 2: has no column 'input'"):
        TabularLoader(path).get_samples(1)


def test_numbers_and_truth_values_of_json_lines_are_answers_as_json_writes_them(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", '{"input": "2 + 2", "expected": 4}\n{"input": "2 > 1", "expected": true}\n')
    assert sorted(sample["expected"] for sample in TabularLoader(path).get_samples(2)) == ["4", "true"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"\x7fELF\x00\x00", "a.csv, row 1: holds a NUL character, so this is UTF-16 or no text"),
        ("a.csv", b"a,b,0.5\nc,d,1\n", "is the first row a header?"),
        ("a.csv", b"yes,yes,0.5\nc,d,1\n", "more than once; is the first row a header?"),
        ("a.csv", b"input,output,score\nq,a,0.5\nq,a,seven\n", "a.csv, row 3: "),
        ("a.json", b"[]", "a.json: the name must end in"),
        ("a.json", b"[]", "one object a line (.jsonl)"),
        ("a.jsonl", b"[\n{}\n]", "a.jsonl, row 1: is no valid JSON"),
        ("a.jsonl", b"[\n{}\n]", "write one object a line (.jsonl)"),
    ],
)
def test_an_error_names_the_file_and_what_to_do(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MetaLearningError) as caught:
        read_feedback(path)
    assert message in str(caught.value)
    assert "latin-1" not in str(caught.value)
