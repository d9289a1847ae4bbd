"""What every service needs around its work: settings, JSON logs, request ids, problem+json, health doors, a clean stop.

Only `services/` imports this; it needs the extra of a service (`pip install meta-learning-loop[ingest]`, say).
"""
