"""Data sets in the layouts of the Hugging Face hub, read from a local folder by its own library, without the network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from meta_learning.datasets import open_dataset
from meta_learning.errors import CallerError

pytest.importorskip("datasets", reason="the hub is an extra")
SHARED = Path(__file__).parents[3] / "shared"
CARD = """---
dataset_info:
  features:
  - name: text
    dtype: string
  - name: kind
    dtype:
      class_label:
        names:
          '0': ham
          '1': spam
  - name: sender
    dtype: string
---
"""
# In a process of its own: the package reads its settings when it is imported, and warns of much.
READ = """
import json, sys
from meta_learning.datasets import open_dataset
from meta_learning.errors import MetaLearningError
try:
    loader = open_dataset(sys.argv[1], input=sys.argv[2], expected=sys.argv[3], group=(sys.argv[4:] or [None])[0])
    print(json.dumps([len(loader), loader.get_samples(2, seed=1)]))
except MetaLearningError as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


def read(tmp_path: Path, *words: str) -> list[Any]:
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ, *words],
        env={"PYTHONPATH": str(SHARED), "HOME": str(tmp_path), **offline},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found: list[Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_a_folder_with_splits_is_read_by_its_columns_and_labels_are_told_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "mails"
    folder.mkdir()
    for split, count in (("train", 30), ("test", 5)):
        rows = [{"text": f"{split} mail {n}", "kind": n % 2, "sender": "a"} for n in range(count)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "README.md").write_text(CARD)
    assert read(tmp_path, f"hub:{folder}", "text", "kind")[0] == 30
    count, samples = read(tmp_path, f"hub:{folder}:test", "text", "kind")
    assert count == 5
    for one in samples:
        number = int(one["input"].removeprefix("test mail "))
        assert one["expected"] == ("spam" if number % 2 else "ham")
        assert one["metadata"] == {"sender": "a"}
    kind, said = read(tmp_path, f"hub:{folder}", "question", "kind")
    assert (kind, "no column 'question'; there are 'text', 'kind', 'sender'" in str(said)) == ("MalformedDataset", True)
    _, samples = read(tmp_path, f"hub:{folder}:test", "text", "kind", "sender")
    assert [one["group"] for one in samples] == ["a", "a"]
    assert "no column 'user'; there are" in read(tmp_path, f"hub:{folder}:test", "text", "kind", "user")[1]
    assert read(tmp_path, f"hub:{folder}:validation", "text", "kind")[0] == "NotFound"
    assert read(tmp_path, "hub:nobody/nothing", "text", "kind")[0] in ("NotFound", "WorldError")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": None, "kind": 0}, "a row has nothing in 'text'"),
        ({"text": "a mail", "kind": None}, "a row has nothing in 'kind'"),
        ({"text": "a mail", "kind": -1}, "has no label (-1 in 'kind'); choose one with labels"),
    ],
)
def test_a_row_without_a_question_or_a_label_is_no_question_called_none(
    tmp_path: Path, row: dict[str, Any], said: str
) -> None:
    folder = tmp_path / "mails"
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps(row | {"sender": "a"}) + "\n" for _ in range(3)))
    (folder / "README.md").write_text(CARD)
    kind, message = read(tmp_path, f"hub:{folder}", "text", "kind")
    assert kind == "MalformedDataset"
    assert said in message


def test_a_data_set_of_the_hub_must_be_named() -> None:
    with pytest.raises(CallerError, match="names no data set"):
        open_dataset("hub:")
