"""`python -m services`: all in one. The embedded broker and the four services, one process each; `--demo` feeds them.

With ``REDIS_URL`` set, that broker is used and none is started.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from pathlib import Path

import httpx
from rich.console import Console

from meta_learning.errors import MetaLearningError, WorldError
from meta_learning.serving.ending import end
from meta_learning.serving.settings import read_settings
from services.demo import Demo, read_rows
from services.programs import PORTS, Doors
from services.system import AllInOneSettings, start


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m services", description="The whole system on this machine.")
    parser.add_argument("--demo", action="store_true", help="feed it text feedback and evolve a prompt, and show both")
    parser.add_argument("--feedback", type=Path, help="a CSV, TSV or JSONL file (default: the bundled sample)")
    parser.add_argument("--columns", help="its columns, where their names do not tell: input=q,output=a,score=stars")
    parser.add_argument("--scale", default="auto", help="its scores: auto, 0-1, 0-100, 1-5, or LOW,HIGH such as -1,1")
    parser.add_argument("--leave", action="store_true", help="end after the demo's summary instead of staying up")
    parser.add_argument("--no-evolution", action="store_true", help="leave out the demo's prompt evolution")
    parser.add_argument(
        "--without", choices=PORTS, action="append", default=[], help="leave out a service: --without evolver"
    )
    parser.add_argument("--data", type=Path, help="where everything is kept (default: META_LEARNING_DATA_FOLDER)")
    return parser.parse_args()


async def run(options: argparse.Namespace, console: Console) -> int:
    """Start everything, run the demo if asked, stay until told to stop; the exit status."""
    settings = read_settings(AllInOneSettings, **({"data_folder": options.data} if options.data else {}))
    demo = None
    if options.demo:
        rows = read_rows(options.feedback, options.columns, options.scale)
        demo = Demo(rows, console, settings.cycle_size, evolve=not options.no_evolution)
    stopped = asyncio.create_task(_told_to_stop(console))
    async with contextlib.AsyncExitStack() as stack:
        starting = asyncio.create_task(start(settings, console, stack, options.without))
        if not await _before(stopped, starting):
            return 0
        doors = starting.result()
        work = asyncio.create_task(demo.run(doors, settings.data_folder) if demo else _stay(doors, console))
        if await _before(stopped, work):
            agrees = work.result()
            if options.leave:
                return 0 if agrees else 1
            console.print("The system stays up. [bold]Ctrl-C[/] stops it.")
            await stopped
    console.print(f"stopped; everything learnt is kept under {settings.data_folder}", style="green")
    return 0


async def _told_to_stop(console: Console) -> None:
    told: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.put_nowait, number)
    console.print(f"\nstopping ({(await told.get()).name}) …")


async def _before(stopped: asyncio.Task[None], work: asyncio.Task[Doors] | asyncio.Task[bool]) -> bool:
    """Whether ``work`` ended before somebody said stop; if not, it is ended."""
    await asyncio.wait({stopped, work}, return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        return True
    await end(work)
    return False


async def _stay(doors: Doors, console: Console) -> bool:
    console.print(f"feedback door {doors.url('ingest')}/docs   metrics {doors.url('monitor')}/metrics")
    return True


def main() -> None:
    """Run until stopped. What stands in the way is one line: status 2 if the caller must mend it, 1 if the world must."""
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
    try:
        sys.exit(asyncio.run(run(arguments(), console)))
    except (WorldError, TimeoutError, OSError, httpx.HTTPError) as error:
        console.print(f"cannot go on: {error}", style="bold red", markup=False)
        sys.exit(1)
    except MetaLearningError as error:
        console.print(f"cannot go on: {error}", style="bold red", markup=False)
        sys.exit(2)


if __name__ == "__main__":
    main()
