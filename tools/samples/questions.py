"""Makes `commonsense_qa_sample.jsonl` out of hand-written questions, in the official layout of CommonsenseQA."""

from __future__ import annotations

import hashlib
import json
import random
import re
from pathlib import Path

LABELS = "ABCDE"


def make(folder: Path, seed: int = 20260102) -> str:
    """The lines of the sample, shuffled, with the letters of the right answers as even as can be."""
    lines = (folder / "commonsense_questions.txt").read_text(encoding="utf-8").splitlines()
    questions = [line.split(" | ") for line in lines if line and not line.startswith("#")]
    draw = random.Random(seed)
    draw.shuffle(questions)
    letters = [LABELS[index % len(LABELS)] for index in range(len(questions))]
    draw.shuffle(letters)
    return "".join(_line(question, letter, draw) for question, letter in zip(questions, letters, strict=True))


def _line(question: list[str], letter: str, draw: random.Random) -> str:
    stem, right, *wrong = question
    draw.shuffle(wrong)
    wrong.insert(LABELS.index(letter), right)
    record = {
        "answerKey": letter,
        "id": hashlib.sha256(stem.encode()).hexdigest()[:32],
        "question": {
            # The real set was written around one concept a question; its nearest likeness here is the longest word.
            "question_concept": max(re.findall(r"[a-z]+", stem.lower()), key=len),
            "choices": [{"label": label, "text": text} for label, text in zip(LABELS, wrong, strict=True)],
            "stem": stem,
        },
    }
    return json.dumps(record, ensure_ascii=False) + "\n"
