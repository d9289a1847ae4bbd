"""The parts of coherence: hashed words, neighbours, answers that stay right, answers that survive small changes, diversity."""
