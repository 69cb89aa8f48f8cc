"""The page in a real browser: what a person does, from the address to a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="the explorer is an extra: pip install 'convnets[web]'")

from tests.explorer.browser import Browser, chromium
from tests.explorer.conftest import HOSTILE, Served, photo, png

pytestmark = pytest.mark.skipif(chromium() is None, reason="there is no Chromium here")


@pytest.fixture(scope="module")
def browser(server: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that has opened the printed address once."""
    with Browser(tmp_path_factory.mktemp("profile")) as begun:
        begun.open(server.url)
        begun.until("document.querySelectorAll('tbody tr').length > 200")
        yield begun
        assert begun.complaints == []


def go(browser: Browser, server: Served, view: str) -> None:
    browser.open(f"http://127.0.0.1:{server.port}/#{view}")


def test_the_token_leaves_the_address_and_networks_are_searched(
    browser: Browser, server: Served
) -> None:
    assert server.token not in browser.ask("location.href")
    browser.ask("document.querySelector('[type=search]').focus()")
    browser.call("Input.insertText", text="resnet 2015 101")
    browser.until("document.querySelector('[role=status]').textContent.startsWith('2 of')")
    names = "[...document.querySelectorAll('tbody th')].map((each) => each.textContent)"
    assert browser.ask(names) == ["resnet101", "resnet101_v1"]
    go(browser, server, "/networks/lenet5?level=layers")
    browser.until("document.querySelectorAll('.skyline').length == 4")
    browser.point(".skyline svg", 0.02, 0.9)
    browser.until("document.querySelector('tbody tr.on')")
    assert "c1" in browser.ask("document.querySelector('tbody tr.on').textContent").lower()


def test_runs_are_linked_and_hostile_names_are_text(browser: Browser, server: Served) -> None:
    go(browser, server, "/runs")
    browser.until("document.querySelector('svg.chart .disc')")
    browser.point("tbody tr", 0.5, 0.5)
    browser.until("document.querySelectorAll('svg.chart .on').length >= 2")
    go(browser, server, f"/runs/{server.ids['resnet20']}")
    browser.until("document.querySelector('.heat')")
    assert HOSTILE in browser.ask("document.querySelector('.heat').textContent")
    assert browser.ask("document.querySelectorAll('main img[src=x]').length") == 0


def test_an_image_is_looked_at_and_places_are_linked(browser: Browser, server: Served) -> None:
    model = server.ids["resnet20"]
    detail = server.ask(f"/api/models/{model}").json
    assert detail["mistakes"], "a network trained for a moment is wrong somewhere"
    go(browser, server, f"/look/{model}?mistake=0&layer=features.stage1")
    browser.until("document.querySelector('.projected figure:last-child b')")
    assert browser.ask("document.querySelectorAll('.none').length") == 0
    mistake = detail["mistakes"][0]
    shown = browser.ask("document.querySelector('.answers li').textContent")
    assert shown.startswith(detail["classes"][mistake["predicted"]])
    browser.point(".tiles .plate", 0.5, 0.5)
    browser.until("document.querySelector('.plates .frame:not([hidden])')")
    side = browser.ask("document.querySelector('.plates .frame').style.width")
    field = next(each for each in detail["layers"] if each["name"] == "features.stage1")["field"]
    assert float(side[:-1]) == pytest.approx(100 * field["size"][0] / detail["input_size"])
    browser.point(".plates .plate", 0.5, 0.5)
    browser.until("document.querySelector('.tiles .dot:not([hidden])')")


def test_a_file_is_uploaded_and_its_name_is_text(
    browser: Browser, server: Served, tmp_path: Path
) -> None:
    file = tmp_path / f"{HOSTILE}.png"
    file.write_bytes(png(photo(np.random.default_rng(0), 100)))
    go(browser, server, f"/look/{server.ids['lenet5']}")
    browser.until("document.querySelector('input[type=file]')")
    browser.choose_file("input[type=file]", file)
    browser.until("document.querySelector('.tiles .plate')")
    assert browser.ask("document.querySelector('.seen .note').textContent") == file.name
    found = server.look("lenet5", file.read_bytes()).json["classes"]
    shown = browser.ask("[...document.querySelectorAll('.answers li')].map((e) => e.textContent)")
    assert shown == [f"{each['name']}{100 * each['probability']:.1f} %" for each in found]
    browser.ask("document.querySelector('.answers li:last-child button').click()")
    text = f"What counts for {found[-1]['name']}."
    about = "document.querySelector('#content section .note').textContent"
    browser.until(f"{about}.startsWith({json.dumps(text)})")
    browser.until("!document.querySelector('.waiting')")


def test_keys_move_the_place_and_choose_an_activation(browser: Browser, server: Served) -> None:
    go(browser, server, f"/look/{server.ids['resnet20']}?mistake=0&layer=features.stage1")
    browser.until("document.querySelector('.projected figure:last-child b')")
    browser.ask("document.querySelector('.tiles .plate').focus()")
    before = json.dumps(browser.ask("document.querySelector('.tiles .dot').style.top"))
    browser.press("ArrowDown")
    browser.until(f"document.querySelector('.tiles .dot').style.top != {before}")
    browser.press("Enter")
    browser.until("/ at \\d+, \\d+/.test(document.querySelector('.projected').textContent)")
    assert "row=" in browser.ask("location.hash")


def test_an_error_is_one_line(browser: Browser, server: Served) -> None:
    go(browser, server, "/networks/resnet18?size=5000")
    browser.until("!document.getElementById('error').hidden")
    text = browser.ask("document.getElementById('error').textContent")
    assert "5000" in text
    assert "\n" not in text
    browser.complaints.clear()  # Chromium notes the refused request


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_hangs_over_the_edge(
    browser: Browser, server: Served, width: int, scheme: str, tmp_path: Path
) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", **size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.call("Emulation.setEmulatedMedia", features=[feature])
    look = f"/look/{server.ids['lenet5']}?mistake=0"
    for view, ready in (("/networks", "td"), ("/runs", "svg.chart"), (look, ".tiles .plate")):
        go(browser, server, view)
        browser.until(f"document.querySelector('{ready}')")
        assert browser.ask("document.documentElement.scrollWidth") <= width
    dark = "getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] < 128"
    assert browser.ask(dark) == (scheme == "dark")
