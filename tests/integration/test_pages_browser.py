"""The status page in a real browser: light, dark, wide, narrow, by keyboard, without script."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.expected_conditions import url_contains
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.support import story
from tests.support.browsing import browsing, look, serving, why_no_browser
from tests.support.pipeline import Pipeline
from tests.support.waiting import PATIENCE

pytest_plugins = ["tests.support.told"]

pytestmark = pytest.mark.skipif(
    why_no_browser() is not None, reason=f"No browser to look with: {why_no_browser()}."
)

PAGES = (
    "",
    "?connection=outlet",
    "?connection=main",
    "?connection=main&reveal=1",
    "?status=needs_a_look",
    f"?connection=main&import={story.TEN_FAULTS}",
    f"?connection=main&import={story.TEN_FAULTS}&reveal=1",
    f"?connection=nz&import={story.LOADING}",
    f"?connection=nz&import={story.MISNAMED}",
    "?status=lost",
    "?q=D1001",
    f"?q={story.LOADING}",
    "?q=nothing",
)


@pytest.fixture(scope="module")
def url(told: Pipeline) -> Iterator[str]:
    with serving(told.services) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    with browsing() as opened:
        yield opened


def complaints(browser: webdriver.Chrome) -> list[str]:
    """Return what the browser has complained of, the page's own refusal aside."""
    return [
        entry["message"]
        for entry in browser.get_log("browser")  # type: ignore[no-untyped-call]
        if "400 (BAD REQUEST)" not in entry["message"]
    ]


_WIDEST = """
const shown = [...document.querySelectorAll("main *")].filter(one => !one.closest(".scroll table"));
const right = one => one.getBoundingClientRect().right;
return [
  document.documentElement.scrollWidth,
  shown.sort((one, other) => right(other) - right(one))[0].outerHTML,
];
"""


@pytest.mark.parametrize("width", [320, 390, 1180])
def test_nothing_sticks_out(browser: webdriver.Chrome, url: str, width: int) -> None:
    """No page is wider than the window, on a phone neither, opened details included."""
    look(browser, width=width)
    for query in PAGES:
        browser.get(url + query)
        browser.execute_script(
            "for (const one of document.querySelectorAll('details')) one.open = true"
        )

        wide, widest = browser.execute_script(_WIDEST)

        assert width >= wide, f"{query}: {widest}"
        assert complaints(browser) == []


@pytest.mark.parametrize("dark", [False, True])
def test_colours_follow_the_system(browser: webdriver.Chrome, url: str, dark: bool) -> None:
    """The ground is dark where the system is, and the text light."""
    look(browser, width=1180, dark=dark)
    browser.get(url)

    ground, ink = browser.execute_script(
        "const style = getComputedStyle(document.body);"
        "return [style.backgroundColor, style.color]"
        ".map(colour => colour.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + +part, 0))"
    )

    assert dark == (ground < ink)


def test_by_keyboard(browser: webdriver.Chrome, url: str) -> None:
    """Tab goes to the skip link first, then down the page in its order, and is seen where it is."""
    look(browser, width=1180)
    browser.get(url)
    places: list[float] = []
    names: list[str] = []
    for _ in range(16):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        top, name, outline = browser.execute_script(
            "const one = document.activeElement;"
            "const block = one.closest('tr, li, header, form.filters') || one;"
            "return [block.getBoundingClientRect().top + scrollY, one.textContent,"
            " getComputedStyle(one).outlineStyle]"
        )
        places.append(top)
        names.append(name)
        assert outline != "none", name

    assert names[:5] == ["Skip to the content", "Imports", "", "Search", "Pause"]
    assert places[1:] == sorted(places[1:])
    assert f"{story.OVERDUE}.csv" in names


def test_the_skip_link_skips(browser: webdriver.Chrome, url: str) -> None:
    """Enter on the skip link puts the keyboard behind the head of the page."""
    look(browser, width=1180)
    browser.get(url)
    browser.switch_to.active_element.send_keys(Keys.TAB)
    browser.switch_to.active_element.send_keys(Keys.ENTER)

    assert browser.switch_to.active_element.get_attribute("id") == "main"


@pytest.mark.parametrize("script", [True, False])
def test_a_search(browser: webdriver.Chrome, url: str, script: bool) -> None:
    """From the overview to an overdue file, with the filters and with or without JavaScript."""
    look(browser, width=1180, script=script)
    browser.get(f"{url}?still=1")
    form = browser.find_element(By.CSS_SELECTOR, "form.filters")
    for name, value in (("connection", "nz"), ("status", "overdue")):
        Select(form.find_element(By.NAME, name)).select_by_visible_text(value)
    form.find_element(By.CSS_SELECTOR, "button").click()
    WebDriverWait(browser, PATIENCE).until(url_contains("status=overdue"))
    browser.find_element(By.LINK_TEXT, f"{story.OVERDUE}.csv").click()
    WebDriverWait(browser, PATIENCE).until(url_contains("import="))

    assert f"{story.OVERDUE}.csv" == browser.find_element(By.TAG_NAME, "h1").text


def test_a_name_is_searched_for(browser: webdriver.Chrome, url: str) -> None:
    """The field at the top leads to an order's import, by the order's number and Enter."""
    look(browser, width=390)
    browser.get(f"{url}?still=1")
    field = browser.find_element(By.CSS_SELECTOR, "input[type=search]")
    field.send_keys("D1001", Keys.ENTER)
    WebDriverWait(browser, PATIENCE).until(url_contains("q=D1001"))
    browser.find_element(By.PARTIAL_LINK_TEXT, "orders_").click()
    WebDriverWait(browser, PATIENCE).until(url_contains("import="))

    assert browser.find_element(By.TAG_NAME, "h1").text.startswith("orders_")


_BROKEN_NUMBERS = """
const broken = [];
for (const one of document.querySelectorAll(".number, time, .counts dd, .progress span")) {
  const range = document.createRange();
  range.selectNodeContents(one);
  const lines = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
  const seen = one.checkVisibility() && getComputedStyle(one).position !== "absolute";
  if (seen && lines.size > 1 && !one.querySelector("div")) broken.push(one.outerHTML);
}
return broken;
"""


@pytest.mark.parametrize("width", [320, 390, 900, 1180])
def test_numbers_do_not_break(browser: webdriver.Chrome, url: str, width: int) -> None:
    """A number, and a time, is on one line, however narrow the page is."""
    look(browser, width=width)
    for query in ("", "?status=ended_well", f"?connection=main&import={story.TEN_FAULTS}"):
        browser.get(url + query)
        browser.execute_script(
            "for (const one of document.querySelectorAll('td.number')) "
            "if (/[0-9]/.test(one.textContent)) one.textContent = '1,234,567'"
        )

        assert [] == browser.execute_script(_BROKEN_NUMBERS)


def test_every_control_has_a_name(browser: webdriver.Chrome, url: str) -> None:
    """Links, fields, buttons, drawings and tables say what they are to a screen reader."""
    look(browser, width=1180)
    browser.get(f"{url}?still=1")
    browser.execute_script("document.querySelector('details').open = true")

    named = browser.find_elements(
        By.CSS_SELECTOR, "a, button, input, select, summary, svg, progress, section, form, main h2"
    )

    assert len(named) > 50
    for element in named:
        assert element.accessible_name.strip(), element.get_attribute("outerHTML")
    assert all(
        table.find_elements(By.TAG_NAME, "caption")
        for table in browser.find_elements(By.TAG_NAME, "table")
    )
    assert len(browser.find_elements(By.TAG_NAME, "h1")) == 1


def test_it_looks_again_only_in_a_quiet_moment(browser: webdriver.Chrome, url: str) -> None:
    """The page loads itself again, but not under the hands of somebody who uses it."""
    look(browser, width=1180)
    browser.get(url)
    script = browser.execute_script("return document.querySelector('body > script').textContent")
    count = "window.loads = 0; const location = {reload: () => window.loads++};"
    tick = "const setInterval = (step) => { window.step = step; };"
    browser.execute_script(f"{tick}{count}{script}")

    browser.execute_script("document.activeElement.blur(); step()")
    assert browser.execute_script("return loads") == 1

    browser.execute_script("document.querySelector('select').focus(); step()")
    assert browser.execute_script("return loads") == 1

    browser.execute_script(
        "document.activeElement.blur(); document.querySelector('details').open = true; step()"
    )
    assert browser.execute_script("return loads") == 1


def test_without_script_it_still_looks_again(browser: webdriver.Chrome, url: str) -> None:
    """Where JavaScript is off, the browser itself is told to load the page again."""
    look(browser, width=1180, script=False)
    browser.get(url)
    refresh = browser.find_elements(By.CSS_SELECTOR, "meta[http-equiv=refresh]")
    look(browser, width=1180)

    assert [each.get_attribute("content") for each in refresh] == ["10"]
