"""`python -m services`: all in one. The embedded broker and the four services, one process each; `--demo` feeds them.

With ``REDIS_URL`` set, that broker is used and none is started.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from pathlib import Path

import httpx
from pydantic import Field
from rich.console import Console

from meta_learning.errors import MetaLearningError, WorldError
from meta_learning.serving.ending import end
from meta_learning.serving.settings import Settings, read_settings
from meta_learning.streams.embedded import EmbeddedBroker
from services.broker import keep_alive
from services.demo import Demo, read_rows
from services.programs import PORTS, Doors, choose_doors, programs, until_ready
from services.supervisor import Supervisor


class AllInOneSettings(Settings):
    """What this program itself needs of its children's settings; they read the rest, from the same places."""

    trainer_port: int = Field(PORTS["trainer"], ge=1, le=65535)
    monitor_port: int = Field(PORTS["monitor"], ge=1, le=65535)
    evolver_port: int = Field(PORTS["evolver"], ge=1, le=65535)
    ingest_port: int = Field(PORTS["ingest"], ge=1, le=65535)

    def ports(self) -> dict[str, int]:
        """The port that each service is to have, in the order in which they start."""
        return {service: getattr(self, f"{service}_port") for service in PORTS}


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m services", description="The whole system on this machine.")
    parser.add_argument("--demo", action="store_true", help="feed it text feedback and evolve a prompt, and show both")
    parser.add_argument(
        "--feedback", type=Path, help="a CSV, TSV or JSONL file of input, output, score (default: the bundled sample)"
    )
    parser.add_argument("--leave", action="store_true", help="end after the demo's summary instead of staying up")
    parser.add_argument("--no-evolution", action="store_true", help="leave out the demo's prompt evolution")
    parser.add_argument("--data", type=Path, help="where everything is kept (default: META_LEARNING_DATA_FOLDER)")
    return parser.parse_args()


async def run(options: argparse.Namespace, console: Console) -> int:
    """Start everything, run the demo if asked, stay until told to stop; the exit status."""
    settings = read_settings(AllInOneSettings, **({"data_folder": options.data} if options.data else {}))
    demo = Demo(read_rows(options.feedback), console, evolve=not options.no_evolution) if options.demo else None
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        url = await start_broker(settings, console, stack)
        work = asyncio.create_task(_work(settings, url, console, stack, demo))
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
    console.print("stopped; everything learnt is kept under", str(settings.data_folder), style="green")
    return 0


async def _work(
    settings: AllInOneSettings, url: str, console: Console, stack: contextlib.AsyncExitStack, demo: Demo | None
) -> bool:
    doors = await start(settings, url, console, stack)
    return await (demo.run(doors, settings.data_folder) if demo else _say_where(doors, console))


async def start_broker(settings: AllInOneSettings, console: Console, stack: contextlib.AsyncExitStack) -> str:
    """The broker's URL: the configured one, or that of an embedded one, which ``stack`` stops."""
    if "redis_url" in settings.model_fields_set:
        return settings.redis_url
    broker = EmbeddedBroker(settings.data_folder / "broker", settings.durability)
    url = await asyncio.to_thread(broker.start)
    await stack.enter_async_context(keep_alive(broker, console.print))
    console.print(f"broker    {url}")
    return url


async def start(settings: AllInOneSettings, url: str, console: Console, stack: contextlib.AsyncExitStack) -> Doors:
    """Start the services and wait until each is ready; what ``stack`` unwinds stops them again."""
    started, data = time.monotonic(), settings.data_folder
    doors, remarks = choose_doors(settings.ports())
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
    except (WorldError, TimeoutError, httpx.HTTPError) as error:
        console.print(f"cannot go on: {error}", style="bold red")
        sys.exit(1)
    except MetaLearningError as error:
        console.print(f"cannot go on: {error}", style="bold red")
        sys.exit(2)


if __name__ == "__main__":
    main()
