"""The pages in a real browser while mail flows. Screenshots stay in ``.mailonce/artefacts``."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from schemas.records import Outcome
from tests.support.dashboard import TOKEN, Dashboard, start_dashboard
from tests.support.world import MONTH, ROOT, WAIT_S, World, job

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: `make tools` installs Debian's")
ARTEFACTS = ROOT / ".mailonce" / "artefacts"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=WAIT_S * 1000)
    with sync_playwright() as playwright:
        # The sandbox of Chromium itself does not work for root.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console says: errors of scripts, blocked by the content policy, missing files."""
    return []


@pytest.fixture
def context(browser: Browser, complaints: list[str]) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(WAIT_S * 1000)
    context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    try:
        yield context
    finally:
        context.close()


def log_in(context: BrowserContext, dashboard: Dashboard) -> Page:
    page = context.new_page()
    page.goto(dashboard.url)
    expect(page).to_have_url(re.compile("/login$"))
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(MONTH)
    return page


def shot(page: Page, name: str) -> Path:
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    path = ARTEFACTS / f"{name}.png"
    page.screenshot(path=path)
    return path


@pytest.mark.long
def test_a_month_happens_before_ones_eyes(world: World, context: BrowserContext, complaints: list[str]) -> None:
    """Login, numbers that move without reloading, a mail's story by search, dark and on a phone."""
    world.sandbox.set(latency_ms=30, max_send_rate=200)
    world.sandbox.fault("reject", address="bad*")
    world.sandbox.fault("accept_drop", address="doubt*")
    world.publish([*(job(f"u{n}") for n in range(800)), *(job(f"bad{n}") for n in range(3)), job("doubt")])
    dashboard = start_dashboard(world)
    page = log_in(context, dashboard)
    expect(page.locator("#pending")).to_have_text("804")
    expect(page.locator("#live")).to_have_text("live")
    processors = [world.processor(name) for name in ("worker-one", "worker-two")]
    expect(page.locator("#sent")).not_to_have_text("0")
    expect(page.get_by_text("worker-two")).to_be_visible()
    shot(page, "month-flowing")
    expect(page.locator("#pending")).to_have_text("0")
    expect(page.locator("#sent")).to_have_text("800")
    expect(page.locator("#dead")).to_have_text("3")
    expect(page.locator("#uncertain")).to_have_text("1")
    assert page.get_by_role("progressbar").get_attribute("aria-valuenow") == "100"
    shot(page, "month")
    page.get_by_role("searchbox").or_(page.locator("#q")).first.fill("u77@mail.example.net")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("u77")
    expect(page.locator("#outcome")).to_have_text("sent")
    expect(page.get_by_text("intent: intended")).to_be_visible()
    expect(page.get_by_text("u77@mail.example.net")).to_have_count(0)
    page.get_by_role("link", name="show the whole address").click()
    expect(page.get_by_text("u77@mail.example.net")).to_be_visible()
    shot(page, "mail")
    small = context.browser
    assert small is not None
    phone = small.new_context(
        viewport={"width": 390, "height": 800}, color_scheme="dark", storage_state=context.storage_state()
    )
    phone.set_default_timeout(WAIT_S * 1000)
    narrow = phone.new_page()
    narrow.goto(f"{dashboard.url}/month/{MONTH}")
    expect(narrow.locator("#sent")).to_have_text("800")
    width = narrow.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, f"the page is {width} wide on a phone of 390"
    assert narrow.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    shot(narrow, "month-phone-dark")
    phone.close()
    assert [process.terminate() for process in processors] == [0, 0]
    assert complaints == []
    world.audit().check(uncertain_max=1)


def test_letters_go_back_and_doubts_are_decided_from_the_page(
    world: World, context: BrowserContext, complaints: list[str]
) -> None:
    """A confirmation that names the count, who and why kept; the same code as the commands. G1, G2."""
    world.sandbox.fault("reject", address="bad*")
    world.sandbox.fault("accept_drop", address="doubt*")
    world.publish([*(job(f"bad{n}") for n in range(4)), job("doubt"), job("fine")])
    world.drain()
    world.sandbox.clear_faults()
    dashboard = start_dashboard(world)
    page = log_in(context, dashboard)
    page.get_by_role("link", name="Dead letters").click()
    expect(page.locator("#count")).to_have_text("4")
    first = page.locator("tbody a").first
    place = first.inner_text()
    first.click()
    expect(page.locator("#value")).to_contain_text("mail.example.net")
    shot(page, "dead-letter")
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Mark 1 dead letters as discarded?")
    page.get_by_label("Who").fill("ops")
    page.get_by_role("button", name="Yes, 1").click()
    page.goto(f"{dashboard.url}/dead-letters/{place}")
    expect(page.locator("#state")).to_have_text("discarded")
    page.goto(f"{dashboard.url}/dead-letters?month={MONTH}")
    page.get_by_role("button", name="Requeue all open ones").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Send 3 dead letters back to the jobs topic?")
    page.get_by_label("Who").fill("ops")
    page.get_by_label("Why").fill("SES mended it")
    shot(page, "confirm")
    page.get_by_role("button", name="Yes, 3").click()
    expect(page.locator("tbody .tag", has_text="requeued")).to_have_count(3)
    page.get_by_role("link", name="Uncertain").click()
    page.get_by_role("link", name="doubt").click()
    page.get_by_label("Why").fill("seen in the log")
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("Who").fill("ops")
    page.get_by_role("button", name="Yes, 1").click()
    expect(page.get_by_text("There is none.")).to_be_visible()
    shot(page, "uncertain")
    world.drain()
    audit = world.audit()
    audit.check()
    assert (audit.count(Outcome.SENT), audit.count(Outcome.DEAD)) == (5, 1)
    story = next(delivery for key, delivery in audit.outcomes.items() if key.user_id == "doubt")
    assert (story.by, story.detail) == ("ops", "seen in the log")
    assert complaints == []


def test_pages_say_what_they_are_to_a_screen_reader(world: World, context: BrowserContext) -> None:
    """One main heading, a language, labels on every field, a way past the header, names on buttons."""
    world.publish([job("u1")])
    dashboard = start_dashboard(world)
    page = log_in(context, dashboard)
    for path in (f"/month/{MONTH}", "/mail", "/dead-letters", "/uncertain", f"/mail/{MONTH}/u1"):
        page.goto(dashboard.url + path)
        assert page.locator("html").get_attribute("lang") == "en"
        assert page.locator("h1").count() == 1
        assert page.locator("main").count() == 1
        unlabelled = page.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]), select')]"
            ".filter(field => !field.labels || !field.labels.length).map(field => field.outerHTML)"
        )
        assert unlabelled == []
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "To the content"


@pytest.mark.long  # the page's own script
def test_the_page_says_when_the_server_is_gone(world: World, context: BrowserContext) -> None:
    """A live page whose server died does not look alive; it goes on when the server is back."""
    world.publish([job("u1")])
    dashboard = start_dashboard(world)
    page = log_in(context, dashboard)
    expect(page.locator("#live")).to_have_text("live")
    dashboard.process.kill()
    expect(page.locator("#live")).to_have_text("not connected, trying again")
    port = dashboard.url.rpartition(":")[2]
    start_dashboard(world, port)
    expect(page.locator("#live")).to_have_text("live")
    world.publish([job("u2")])
    expect(page.locator("#jobs")).to_have_text("2")
