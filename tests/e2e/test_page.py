"""The live page in a real browser, over a real port: what an operator sees and does."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest

from meta_learning.events import EvolutionProgressed, EvolutionRequested, PromoteModel, PromptPromoted, decode
from meta_learning.streams.memory import MemoryLog
from tests.brokers import NOON
from tests.services.monitor.serving import Served, serving
from tests.services.monitor.world import last_entries, some_feedback, train

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
CHROMIUM = os.environ.get("CHROMIUM", shutil.which("chromium") or "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

pytestmark = pytest.mark.skipif(
    not os.path.exists(CHROMIUM), reason="no chromium on this machine (Debian: apt-get install chromium)"
)


@pytest.fixture
async def log() -> AsyncIterator[MemoryLog]:
    opened = MemoryLog(1)
    await opened.start()
    await opened.append(some_feedback(420, loops=("support",)))
    await opened.append(some_feedback(30, loops=("search",), seed=8))
    await train(opened)
    yield opened
    await opened.close()


class Browser:
    """A page, everything that it asked for, and everything that it complained about."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.asked: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)

    async def open(self, served: Served, query: str = "?loop=support") -> None:
        await self.page.goto(f"{served.url}/{query}")

    async def drawn(self) -> None:
        await self.page.wait_for_selector("#main:not([hidden])")

    async def says(self, selector: str, text: str) -> None:
        """Wait until the element holds ``text`` (a predicate would need eval, which the page's policy forbids)."""
        await self.page.locator(selector, has_text=text).wait_for()

    async def text(self, selector: str) -> str:
        return str(await self.page.inner_text(selector))


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
async def browser(request: pytest.FixtureRequest) -> AsyncIterator[Browser]:
    async with playwright.async_playwright() as driver:
        chromium = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await chromium.new_page(viewport=request.param)
        page.set_default_timeout(10_000)
        yield Browser(page)
        await chromium.close()


async def said(log: MemoryLog, stream: str, kind: type) -> list[Any]:
    events = [decode(entry.body) for entry in await last_entries(log, 0, stream)]  # type: ignore[arg-type]
    return [event for event in events if isinstance(event, kind)]


async def test_the_page_shows_the_loop_and_asks_nobody_else(log: MemoryLog, browser: Browser) -> None:
    async with serving(log) as served:
        await served.level()
        await browser.open(served)
        await browser.drawn()
        assert "live" in await browser.text("#connection")
        assert "#21" in await browser.text("#cycles")
        assert "in charge" in await browser.text("#versions")
        counts = await browser.text("#counts")
        assert "450" in counts
        assert "nothing is lost" in counts
        wide, window = await browser.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= window, "the page scrolls sideways"
        assert {url.split("/")[2] for url in browser.asked} == {served.url.split("/")[2]}
        assert browser.complaints == []


async def test_news_appear_without_a_reload(log: MemoryLog, browser: Browser) -> None:
    async with serving(log) as served:
        await browser.open(served)
        await browser.drawn()
        await log.append(some_feedback(20, loops=("support",), seed=9))
        await train(log)
        await browser.says("#cycles", "#22")
        assert len([url for url in browser.asked if url.endswith("?loop=support")]) == 2  # the page and its stream


async def test_texts_of_events_are_shown_and_never_run(log: MemoryLog, browser: Browser) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    run: dict[str, Any] = {"occurred_at": NOON, "loop": "support", "run_id": "evo-1", "iteration": 1}
    await log.publish("support", [EvolutionProgressed(event_id="e1", iterations_max=3, message=evil, **run)])
    async with serving(log) as served:
        await browser.open(served)
        await browser.drawn()
        await browser.says("#evolutions", "<img src=x")  # the monitor may fold the event after it has served the page
        assert await browser.page.query_selector("#evolutions img, #evolutions script") is None
        assert "owned" not in await browser.page.title()


async def test_an_operator_promotes_rolls_back_and_changes_the_loop(log: MemoryLog, browser: Browser) -> None:
    async with serving(log) as served:
        await browser.open(served)
        await browser.drawn()
        await browser.page.click("#versions button >> nth=0")
        await browser.page.click("#confirm-ok")
        await browser.page.wait_for_selector("#toast[data-kind=done]")
        await browser.page.click("#rollback")
        await browser.page.click("#confirm-ok")
        await browser.says("#toast", "Roll-back asked for: cycle")
        assert len(await said(log, "feedback", PromoteModel)) == 2


async def test_an_operator_sets_the_prompt_and_starts_an_evolution(log: MemoryLog, browser: Browser) -> None:
    async with serving(log) as served:
        await browser.open(served)
        await browser.drawn()
        await browser.page.click("#edit-prompt")
        await browser.page.fill("#prompt-text", "Be kind, be brief.")
        await browser.page.click("#prompt-dialog button.primary")
        await browser.says("#toast", "The prompt is in use")
        assert len(await said(log, "events", PromptPromoted)) == 1
        await browser.page.click("#start-evolution")
        await browser.page.fill("#evolution-iterations", "3")
        await browser.page.click("#evolution-dialog button.primary")
        await browser.says("#evolutions", "requested")
        (request,) = await said(log, "events", EvolutionRequested)
        assert request.settings["max_iterations"] == 3


async def test_a_refused_request_says_why(log: MemoryLog, browser: Browser) -> None:
    async with serving(log) as served:
        await browser.open(served, "?loop=search")
        await browser.drawn()
        problem = json.dumps({"detail": "no such thing"})
        await browser.page.route("**/api/loops/*/evolutions", lambda route: route.fulfill(status=404, body=problem))
        await browser.page.click("#start-evolution")
        await browser.page.click("#evolution-dialog button.primary")
        await browser.page.wait_for_selector("#toast[data-kind=error]")
        assert "no such thing" in await browser.text("#toast")


async def test_with_a_key_the_page_asks_for_it_and_goes_on(log: MemoryLog, browser: Browser) -> None:
    async with serving(log, key="open-sesame") as served:
        await browser.open(served)
        assert not await browser.page.is_visible("#key-wrong")
        await browser.page.fill("#key", "open-barley")
        await browser.page.click("#key-dialog button.primary")
        await browser.page.wait_for_selector("#key-wrong:not([hidden])")
        await browser.page.fill("#key", "open-sesame")
        await browser.page.click("#key-dialog button.primary")
        await browser.drawn()
        assert "live" in await browser.text("#connection")


async def test_a_page_finds_the_monitor_again_after_its_restart(log: MemoryLog, browser: Browser) -> None:
    async with serving(log) as served:
        await browser.open(served)
        await browser.drawn()
        port = int(served.url.rsplit(":", 1)[1])
    await browser.page.wait_for_selector("#connection[data-state=lost]")
    await log.start()
    async with serving(log, port=port):
        await browser.page.wait_for_selector("#connection[data-state=live]")


async def test_a_click_that_reaches_nobody_is_told_inside_the_viewport(log: MemoryLog, browser: Browser) -> None:
    async with serving(log) as served:
        await served.level()
        await browser.open(served)
        await browser.drawn()
        await browser.page.route("**/rollback", lambda route: route.abort())
        await browser.page.click("#rollback")
        assert " → cycle " in await browser.text("#confirm-text")
        await browser.page.click("#confirm-ok")
        await browser.says("#toast", "The monitor does not answer: look again before you repeat the change.")
        box, view = await browser.page.locator("#toast").bounding_box(), browser.page.viewport_size
        assert 0 <= box["y"] <= view["height"] - box["height"]


async def test_a_young_loop_says_how_far_it_is_to_its_first_cycle(browser: Browser) -> None:
    young = MemoryLog(1)
    await young.start()
    await young.append(some_feedback(8, loops=("support",)))
    async with serving(young) as served:
        await served.level()
        await browser.open(served)
        await browser.says("#cycles", "8 of 20")
