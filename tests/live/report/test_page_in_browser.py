"""The page in a real browser, opened from a file.

Debian's Chromium is driven through its own driver; where either is missing the tests skip, unless
LOADPLAN_REQUIRE_BROWSER=1 makes that a failure.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.live.report.browser import asked_for, press, resize, run_scripts, show_scheme, wait_for_figures

pytestmark = pytest.mark.browser

_PAGES = ("whole", "invalid", "stopped", "budget")
_SCHEMES = ("light", "dark")
_WIDTHS = (390, 1440)


@pytest.mark.parametrize("scheme", _SCHEMES)
@pytest.mark.parametrize("page", _PAGES)
def test_no_page_writes_an_error_to_the_console(
    browser: Any, addresses: dict[str, str], page: str, scheme: str
) -> None:
    show_scheme(browser, scheme)
    browser.get(addresses[page])
    wait_for_figures(browser)
    assert browser.get_log("browser") == []


def test_a_reader_who_points_at_figures_causes_no_error_and_is_told_the_number(
    browser: Any, addresses: dict[str, str]
) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(addresses["whole"])
    wait_for_figures(browser)
    place = browser.find_element(By.ID, "rates-in-time")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", place)
    middle = browser.execute_script(
        "const line = arguments[0].querySelector('.scatterlayer .js-line').getBoundingClientRect();"
        "const place = arguments[0].getBoundingClientRect();"
        "return [line.left - place.left - place.width / 2 + 1, line.top - place.top - place.height / 2]",
        place,
    )
    ActionChains(browser).move_to_element_with_offset(place, *map(int, middle)).perform()
    hovered = "return arguments[0].querySelectorAll('.hoverlayer .hovertext').length"
    WebDriverWait(browser, 10).until(lambda session: session.execute_script(hovered, place) > 0)
    browser.find_element(By.CSS_SELECTOR, "#rates-in-time .legendtoggle").click()
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("page", _PAGES)
def test_no_request_leaves_a_page(browser: Any, addresses: dict[str, str], page: str) -> None:
    browser.get(addresses[page])
    assert asked_for(browser) == [addresses[page]]
    fetched = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in fetched if not name.startswith(("data:", "blob:"))] == []


def test_every_figure_is_drawn(browser: Any, addresses: dict[str, str]) -> None:
    browser.get(addresses["whole"])
    n_figures = wait_for_figures(browser)
    n_shapes = browser.execute_script(
        "return [...document.querySelectorAll('figure')].map("
        "figure => figure.querySelectorAll('.scatterlayer path').length)"
    )
    assert n_figures == 12
    assert min(n_shapes) >= 1


@pytest.mark.parametrize("width", _WIDTHS)
@pytest.mark.parametrize("page", _PAGES)
def test_no_page_scrolls_sideways(browser: Any, addresses: dict[str, str], page: str, width: int) -> None:
    resize(browser, width, 800)
    browser.get(addresses[page])
    browser.execute_script("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("page", _PAGES)
def test_the_whole_answer_is_above_the_fold(browser: Any, addresses: dict[str, str], page: str) -> None:
    browser.get(addresses[page])
    bottom = browser.execute_script("return document.getElementById('answer').getBoundingClientRect().bottom")
    assert bottom <= 800


def test_without_scripts_the_answer_the_tables_and_the_numbers_of_figures_are_there(
    browser: Any, addresses: dict[str, str]
) -> None:
    from selenium.webdriver.common.by import By

    run_scripts(browser, False)
    browser.get(addresses["whole"])
    answer = browser.find_element(By.ID, "answer")
    assert answer.is_displayed()
    assert "4 × h.xlarge" in answer.text
    assert "$292.00 a month" in answer.text
    assert "PASS" in answer.text
    assert browser.find_elements(By.CSS_SELECTOR, ".main-svg") == []
    assert "the numbers are below" in browser.find_element(By.CSS_SELECTOR, ".plot").text
    browser.find_element(By.CSS_SELECTOR, "figure summary").click()
    assert "f.large" in browser.find_element(By.CSS_SELECTOR, "figure table").text


def test_without_scripts_nothing_keeps_room_for_a_drawing_and_every_text_can_be_reached(
    browser: Any, addresses: dict[str, str]
) -> None:
    run_scripts(browser, False)
    browser.get(addresses["whole"])
    heights = browser.execute_script(
        "return [...document.querySelectorAll('.plot')].map(plot => plot.getBoundingClientRect().height)"
    )
    assert max(heights) < 100
    hidden = browser.execute_script(
        "for (const fold of document.querySelectorAll('details')) fold.open = true;"
        "return [...document.querySelectorAll('h1, h2, h3, h4, p, dd, dt, summary')]"
        ".filter(element => !element.checkVisibility()).map(element => element.textContent)"
    )
    assert hidden == []
    # Buttons that only a script can answer don't show.
    buttons = "return [...document.querySelectorAll('button')].every(button => !button.checkVisibility())"
    assert browser.execute_script(buttons)


def test_a_keyboard_reaches_every_link_fold_button_and_wide_table_in_order_and_shows_where_it_is(
    browser: Any, addresses: dict[str, str]
) -> None:
    browser.get(addresses["whole"])
    wait_for_figures(browser)
    wanted = browser.execute_script(
        "const able = [...document.querySelectorAll('a[href], summary, button, [tabindex]')];"
        "return able.filter(element => element.checkVisibility() && element.tabIndex >= 0)"
        ".map((element, i) => { element.dataset.stop = i; return String(i); })"
    )
    reached = []
    for _ in wanted:
        press(browser, "TAB")
        stop, outline = browser.execute_script(
            "const focus = document.activeElement;"
            "return [focus.dataset.stop ?? focus.tagName, getComputedStyle(focus).outlineStyle]"
        )
        reached.append(stop)
        assert outline not in {"none", ""}, stop
    assert reached == wanted


def test_a_keyboard_opens_a_fold_and_follows_a_link_to_its_doubt(browser: Any, addresses: dict[str, str]) -> None:
    from selenium.webdriver.common.by import By

    browser.get(addresses["whole"])
    fold = browser.find_element(By.CSS_SELECTOR, "figure summary")
    browser.execute_script("arguments[0].focus()", fold)
    press(browser, "ENTER")
    assert browser.execute_script("return arguments[0].parentElement.open", fold)
    link = browser.find_element(By.CSS_SELECTOR, ".weak a")
    browser.execute_script("arguments[0].focus()", link)
    press(browser, "ENTER")
    seen = "const place = document.querySelector(':target').getBoundingClientRect(); return [place.top, innerHeight]"
    top, height = browser.execute_script(seen)
    assert 0 <= top < height


def test_figures_take_the_colours_of_the_readers_scheme_when_it_changes(
    browser: Any, addresses: dict[str, str]
) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    colour = "return getComputedStyle(document.querySelector('#latency-over-rate .scatterlayer .js-line')).stroke"
    browser.get(addresses["whole"])
    wait_for_figures(browser)
    assert browser.execute_script(colour) in {"rgb(0, 114, 178)", "rgb(213, 94, 0)"}
    show_scheme(browser, "dark")
    dark = {"rgb(230, 159, 0)", "rgb(86, 180, 233)"}
    WebDriverWait(browser, 10).until(lambda session: session.execute_script(colour) in dark)


def test_print_opens_every_fold_fits_the_paper_and_gives_all_back(browser: Any, addresses: dict[str, str]) -> None:
    browser.get(addresses["whole"])
    closed = "return document.querySelectorAll('details:not([open], figure details)').length"
    n_closed = browser.execute_script(closed)
    assert n_closed > 0
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert browser.execute_script(closed) == 0
    widest = "return Math.max(...[...document.querySelectorAll('.main-svg')].map(svg => svg.clientWidth))"
    assert browser.execute_script(widest) <= 680  # 180 mm
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert browser.execute_script(closed) == n_closed


def test_a_script_that_a_viewer_or_a_name_slips_in_does_not_run(
    browser: Any, addresses: dict[str, str], tmp_path: Path
) -> None:
    page = Path(addresses["stopped"].removeprefix("file://")).read_text(encoding="utf-8")
    (tmp_path / "slipped.html").write_text(
        page.replace("</body>", "<script>window.slipped = true</script></body>"), encoding="utf-8"
    )
    browser.get((tmp_path / "slipped.html").as_uri())
    assert browser.execute_script("return window.slipped === undefined")
    assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))


def test_figures_keep_their_height_when_a_window_shrinks_or_a_phone_is_turned(
    browser: Any, addresses: dict[str, str]
) -> None:
    browser.get(addresses["whole"])
    wait_for_figures(browser)
    heights = "return [...document.querySelectorAll('.plot .main-svg')].map(svg => svg.clientHeight)"
    before = browser.execute_script(heights)
    from selenium.webdriver.support.ui import WebDriverWait

    resize(browser, 900, 800)
    resize(browser, 390, 800)
    narrow = "return [...document.querySelectorAll('.plot .main-svg')].every(svg => svg.clientWidth < 400)"
    WebDriverWait(browser, 30).until(lambda session: session.execute_script(narrow))
    assert browser.execute_script(heights) == before
    assert min(before) > 300
