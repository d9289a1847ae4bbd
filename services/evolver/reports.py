"""What a run says while it goes on and when it ends: events on the log, and progress for whoever looks at the queue."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import Any, Self

from meta_learning.errors import BrokerUnavailable
from meta_learning.events import (
    Event,
    EvolutionCompleted,
    EvolutionProgressed,
    EvolutionRequested,
    PromptPromoted,
    derived_id,
)
from meta_learning.streams import Log
from services.evolver.app_start import started
from services.evolver.runs import Ending

log = logging.getLogger("evolver.reports")
META_EVERY_S = 1.0  # RQ rewrites the whole meta each time
PATIENCE_S = 120.0
