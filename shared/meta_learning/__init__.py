"""Software that learns from its users while it runs: the library.

``clrs`` trains a local model on feedback and lets a version take over only through its gates; ``acla`` rewrites a task
prompt and lets it take over only on fresh evidence. Both run in one process with no server; ``services/`` runs them on
streams of events.
"""

__version__ = "0.1.0"
