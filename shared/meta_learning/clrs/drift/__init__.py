"""Kinds of drift, one class a file: each folds batches, keeps constant memory and can be saved as JSON."""
