"""Models that learn from feedback: the port that all of them satisfy, and one file a kind."""
