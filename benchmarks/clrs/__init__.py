"""What does the closed loop learn from feedback, what do its gates let through, and what do few or poisoned answers cost?"""
