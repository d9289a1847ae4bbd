"""The data files that the library brings along; README.md beside them says how they were made."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
COMMONSENSE_QA_SAMPLE = _HERE / "commonsense_qa_sample.jsonl"
SENTIMENT_SAMPLE = _HERE / "sentiment_sample.csv"
FEEDBACK_SAMPLE = _HERE / "feedback_sample.jsonl"
