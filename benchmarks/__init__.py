"""One file a question; run one with ``python -m benchmarks.NAME``. Results go to LOG.md by hand."""
