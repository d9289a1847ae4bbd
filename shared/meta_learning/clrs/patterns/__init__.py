"""Patterns that emerge in a loop, one class a file: each is told by name, since which cycle, with numbers and a sentence.

Together they raise at most one false alarm in a hundred loops of fifty cycles (`benchmarks/monitor/patterns_null.py`).
"""
