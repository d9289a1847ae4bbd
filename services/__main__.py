"""`python -m services`: all in one. The embedded broker and the four services, one process each; `--demo` feeds them.

With ``REDIS_URL`` set, that broker is used and none is started.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from rich.console import Console

from meta_learning.errors import MetaLearningError
from meta_learning.serving.ending import end
from meta_learning.streams.embedded import EmbeddedBroker
from services.broker import keep_alive
from services.demo import Demo, read_rows
from services.programs import Doors, choose_doors, programs, until_ready
from services.supervisor import Supervisor


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m services", description="The whole system on this machine.")
    parser.add_argument("--demo", action="store_true", help="feed it text feedback and evolve a prompt, and show both")
    parser.add_argument(
        "--feedback", type=Path, help="a CSV, TSV or JSONL file of input, output, score (default: the bundled sample)"
    )
    parser.add_argument("--leave", action="store_true", help="end after the demo's summary instead of staying up")
    parser.add_argument("--no-evolution", action="store_true", help="leave out the demo's prompt evolution")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("META_LEARNING_DATA_FOLDER", "data/meta_learning")),
        help="where everything is kept",
    )
    return parser.parse_args()


async def run(options: argparse.Namespace, console: Console) -> int:
    """Start everything, run the demo if asked, stay until told to stop; the exit status."""
    demo = Demo(read_rows(options.feedback), console, evolve=not options.no_evolution) if options.demo else None
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        doors = await start(options.data, console, stack)
        work = asyncio.create_task(demo.run(doors, options.data) if demo else _say_where(doors, console))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            agrees = work.result()
            if options.leave:
                return 0 if agrees else 1
            console.print("The system stays up. [bold]Ctrl-C[/] stops it.")
            await stopped
        await end(work)
        console.print("stopping …")
    console.print("stopped; everything learnt is kept under", str(options.data), style="green")
    return 0


async def start(data: Path, console: Console, stack: contextlib.AsyncExitStack) -> Doors:
    """Start the broker (unless ``REDIS_URL`` names one) and the services; what ``stack`` unwinds stops them again."""
    started = time.monotonic()
    url = os.environ.get("REDIS_URL")
    if url is None:
        broker = EmbeddedBroker(data / "broker")
        url = await asyncio.to_thread(broker.start)
        await stack.enter_async_context(keep_alive(broker, console.print))
        console.print(f"broker    {url}")
    doors, remarks = choose_doors()
    for remark in remarks:
        console.print(remark, style="yellow")
    supervisor = Supervisor(data / "logs", lambda text: console.print(text, style="bold red"))
    stack.push_async_callback(supervisor.stop)
    for program in programs(doors, url, data):
        await supervisor.start(program)
    for service in doors.ports:
        await until_ready(doors, service)
        console.print(f"{service:<9} {doors.url(service)}")
    console.print(f"all ready after {time.monotonic() - started:.1f} s", style="green")
    return doors


async def _say_where(doors: Doors, console: Console) -> bool:
    console.print(f"dashboard {doors.url('monitor')}/   feedback door {doors.url('ingest')}/docs")
    return True


def main() -> None:
    """Run until stopped; what the caller must mend is one line and status 2, what the world must mend status 1."""
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
    try:
        sys.exit(asyncio.run(run(arguments(), console)))
    except (MetaLearningError, TimeoutError) as error:
        console.print(f"cannot go on: {error}", style="bold red")
        sys.exit(2)


if __name__ == "__main__":
    main()
