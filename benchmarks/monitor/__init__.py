"""Are drift, misalignment and patterns seen when they are there, and only then, and what does watching cost?"""
