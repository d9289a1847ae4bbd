"""Frozen sentence embeddings of input and output under a small online head."""
