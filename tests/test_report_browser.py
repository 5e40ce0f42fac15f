"""The report in a browser: it plays, scrubs, wipes, jumps, sorts, in the dark and on a phone."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from report_runs import AFTER, columns_of, number_in, numbered_run, run_of

from holdstill.report import write_report

playwright_api = pytest.importorskip(
    "playwright.sync_api", reason="no Playwright: pip install 'holdstill[browser]'"
)
pytest.importorskip("av")
pytest.importorskip("pyarrow")

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
if BROWSER is None:
    pytest.skip("no chromium: apt-get install chromium", allow_module_level=True)

N = 97
FLAGGED = [(30, "converged", 0.2), (31, "collapsed", 0.35), (60, "not_found", 0.0)]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

SQUARES = """() => {
  const canvas = document.getElementById("canvas");
  const small = new OffscreenCanvas(Math.round((2 * canvas.width) / canvas.height), 4);
  const context = small.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = false; // the middle of each square
  context.drawImage(canvas, 0, 0, small.width, 4);
  const { data } = context.getImageData(0, 0, small.width, 4);
  return [4, small.width, Array.from(data.filter((_, index) => index % 4 === 1))];
}"""
PAST = "number => document.getElementById('scrub').value > number"
IDLE = """() => {
  const [canvas, scrub] = ["canvas", "scrub"].map((id) => document.getElementById(id));
  return !canvas || canvas.dataset.picture === scrub.value;
}"""


@pytest.fixture(scope="module")
def browser():
    with playwright_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder = numbered_run(tmp_path_factory.mktemp("run"), N, flagged=FLAGGED)
    write_report(folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def head_file(tmp_path_factory):
    """Of a run whose head moves and has a pose; its pictures have gone."""
    wave = np.sin(np.arange(N) / 5.0)
    moved = np.tile(AFTER, (N, 1, 1))
    moved[:, :2, 2] += wave[:, None]
    moved[:, :2, :2] *= np.exp(0.01 * wave)[:, None, None]
    angles = {"yaw": 9.0 * wave, "pitch": np.zeros(N), "roll": wave}
    columns = columns_of("gone.npy", N, frame_from_canonical=moved, **angles)
    folder = run_of(tmp_path_factory.mktemp("head") / "run", columns, {})
    write_report(folder)
    return folder / "report.html"


class Opened:
    """A page in the browser, and what it complained about or asked for."""

    def __init__(self, page):
        self.page = page
        self.complaints, self.requests = [], []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, file):
        self.page.goto(Path(file).as_uri())
        self.page.wait_for_function(IDLE)
        return self

    def picture(self):
        """Grey levels of the squares on the canvas, (4, 2 or 4), when the video is at rest."""
        self.page.wait_for_function(IDLE)
        return self.picture_now()

    def picture_now(self):
        height, width, values = self.page.evaluate(SQUARES)
        return np.array(values, dtype=np.uint8).reshape(height, width)

    def shown(self):
        """Numbers that the player shows before and after; one is the negative of the other."""
        picture = self.picture()
        return number_in(picture[:, :2]), 255 - number_in(picture[:, 2:])

    def said(self):
        """The number that the page says it shows."""
        return int(self.page.locator("#readout b").inner_text().removeprefix("Frame "))

    def at(self, number):
        return self.shown() == (number, number) and self.said() == number


@pytest.fixture
def opening(browser):
    """Opens pages; at the end none may have complained, or asked for anything but itself."""

    @contextmanager
    def opened(file, **options):
        context = browser.new_context(**{"viewport": DESKTOP, **options})
        page = Opened(context.new_page())
        yield page.open(file)
        context.close()
        assert page.complaints == []
        outside = [url for url in page.requests[1:] if not url.startswith(("data:", "blob:"))]
        assert outside == [] and page.requests[0] == Path(file).as_uri()

    return opened


@pytest.fixture
def report(opening, page_file):
    with opening(page_file) as opened:
        yield opened


def test_it_opens_at_rest_on_the_first_frame(report):
    assert report.at(0)
    assert report.page.evaluate("document.getElementById('film').paused")
    sentence = report.page.locator("h1").inner_text()
    assert sentence == "97 frames, 96.9\u202f% aligned, 3 frames to look at."


def test_scrubbing_is_exact_to_the_frame(report):
    scrub = report.page.locator("#scrub")
    for number in (1, 23, 24, 25, 48, 96, 95, 47, 0, 59, 61):
        scrub.fill(str(number))
        assert report.at(number), number


def test_dragging_the_scrub_bar_ends_where_it_was_let_go(report):
    box = report.page.locator("#scrub").bounding_box()
    report.page.mouse.move(box["x"] + 5, box["y"] + box["height"] / 2)
    report.page.mouse.down()
    for k in range(40):
        report.page.mouse.move(box["x"] + 5 + k * box["width"] / 60, box["y"] + box["height"] / 2)
    report.page.mouse.up()
    end = int(report.page.locator("#scrub").input_value())
    assert 55 < end < 75 and report.page.locator("#scrub").evaluate("e => e.value") == str(end)
    # Frame 60 has no transform: it is black after alignment.
    assert report.said() == end and report.shown()[0] == end


def test_it_plays_and_pauses_on_the_frame_it_names(report):
    report.page.get_by_role("button", name="Play").click()
    report.page.wait_for_function(PAST, arg=12)
    report.page.get_by_role("button", name="Pause").click()
    stopped = report.said()
    assert 12 < stopped < 97 and report.shown()[0] == stopped
    report.page.wait_for_timeout(200)
    assert report.said() == stopped and report.shown()[0] == stopped


def test_both_halves_are_always_in_step(report):
    report.page.get_by_role("button", name="Play").click()
    seen = set()
    for _ in range(25):
        picture = report.picture_now()
        before = number_in(picture[:, :2])
        if before != 60:
            assert 255 - number_in(picture[:, 2:]) == before
        seen.add(before)
        report.page.wait_for_timeout(30)
    assert len(seen) > 10


def test_speed(report):
    report.page.get_by_label("Speed").select_option("0.25")
    assert report.page.evaluate("document.getElementById('film').playbackRate") == 0.25
    report.page.get_by_role("button", name="Play").click()
    report.page.wait_for_timeout(1000)
    assert 2 <= report.said() <= 14  # 6.25 pictures a second


def test_stepping_by_button_and_key(report):
    report.page.get_by_role("button", name="Next picture").click()
    report.page.get_by_role("button", name="Next picture").click()
    assert report.at(2)
    report.page.get_by_role("button", name="Previous picture").click()
    assert report.at(1)
    report.page.locator("h1").click()  # no control has the focus
    for key, number in (("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2)):
        report.page.keyboard.press(key)
        assert report.at(number), key
    report.page.keyboard.press(" ")
    report.page.wait_for_function(PAST, arg=5)
    report.page.keyboard.press(" ")
    assert report.page.evaluate("document.getElementById('film').paused")


def test_wipe(report):
    report.page.locator("#scrub").fill("37")
    report.page.get_by_label("View").select_option("wipe")
    wipe = report.page.get_by_label("Wipe", exact=True)
    wipe.fill("100")
    assert number_in(report.picture()) == 37
    wipe.fill("0")
    assert number_in(report.picture()) == 255 - 37
    wipe.fill("50")
    picture = report.picture()
    # The left column of squares is that before, the right one that after.
    expected = (37 & 0b01010101) | ((255 - 37) & 0b10101010)
    assert number_in(picture) == expected
    box = report.page.locator("#screen").bounding_box()
    report.page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 50)
    report.page.mouse.down()
    report.page.mouse.move(box["x"] + 0.98 * box["width"], box["y"] + 60, steps=4)
    report.page.mouse.up()
    assert wipe.input_value() == "98" and number_in(report.picture()) == 37
    report.page.get_by_label("View").select_option("pair")
    assert report.at(37) and not wipe.is_visible()


def point_of(report, row):
    """Where the timeline draws a row, for the mouse."""
    report.page.locator("#chart").scroll_into_view_if_needed()
    box = report.page.locator("#chart").bounding_box()
    left, right = 38, 8
    x = box["x"] + left + (row + 0.5) / N * (box["width"] - left - right)
    quality = report.page.evaluate(
        f"JSON.parse(document.getElementById('data').textContent).metrics[0].values[{row}]"
    )
    top, bottom = box["y"] + 10, box["y"] + box["height"] - 26
    return x, bottom - quality * (bottom - top)


def test_the_timeline_leads_to_the_frame(report):
    for row in (80, 5, 31):
        report.page.mouse.click(*point_of(report, row))
        assert report.at(row), row
    report.page.mouse.move(*point_of(report, 30))
    playwright_api.expect(report.page.locator("#tip")).to_contain_text(
        "Frame 30 · 1.20 s · doubtful"
    )


def test_the_timeline_by_keyboard(report):
    chart = report.page.get_by_role("slider", name="Frame")
    chart.focus()
    for key, number in (("End", 96), ("ArrowLeft", 95), ("Home", 0), ("PageUp", 10)):
        chart.press(key)
        assert report.at(number), key
        assert chart.get_attribute("aria-valuenow") == str(number)
    assert "good, quality" in chart.get_attribute("aria-valuetext")


def test_frames_to_look_at_in_turn(report):
    for number in (30, 31, 60, 30):
        report.page.get_by_role("button", name="Next frame to look at").click()
        assert report.said() == number
    report.page.keyboard.press("p")
    assert report.said() == 60
    assert "not found" in report.page.locator("#readout").inner_text()
    assert report.page.locator("#tag-after").inner_text() == "after: not found"
    report.page.keyboard.press("n")
    assert report.said() == 30


def test_the_gallery_is_sorted_and_leads_to_its_frames(report):
    def rows():
        return [int(tile.get_attribute("data-row")) for tile in report.page.locator(".tile").all()]

    assert rows()[:3] == [60, 30, 31]
    report.page.get_by_label("Sort by").select_option("frame")
    assert rows() == sorted(rows())
    report.page.get_by_label("Sort by").select_option("residual")
    residuals = report.page.evaluate(
        "JSON.parse(document.getElementById('data').textContent).metrics[1].values"
    )
    known = [residuals[row] for row in rows()]
    assert known == sorted(known, reverse=True)
    report.page.get_by_label("Sort by").select_option("quality")
    assert rows()[:3] == [60, 30, 31]
    tile = report.page.locator(".tile").nth(2)
    tile.focus()
    report.page.keyboard.press("Enter")
    assert report.at(31) and tile.get_attribute("aria-current") == "true"


def lightness(page):
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(part) for part in colour[4:-1].split(","))


def test_dark_and_light(report):
    points = "document.getElementById('points').toDataURL()"
    light, drawn = lightness(report.page), report.page.evaluate(points)
    toggle = report.page.get_by_role("button", name="Dark")
    toggle.click()
    assert lightness(report.page) < 150 < light
    assert toggle.get_attribute("aria-pressed") == "true"
    assert report.page.evaluate(points) != drawn
    toggle.click()
    assert lightness(report.page) == light and report.page.evaluate(points) == drawn


def test_the_system_s_choice_of_theme(opening, page_file):
    with opening(page_file, color_scheme="dark") as dark:
        assert lightness(dark.page) < 150
        dark.page.emulate_media(color_scheme="light")
        assert lightness(dark.page) > 600


def test_on_a_phone(opening, page_file):
    with opening(page_file, viewport=PHONE, has_touch=True, is_mobile=True) as phone:
        for selector in (
            "#scrub",
            "#play",
            "#wipe",
            "#view",
            "#speed",
            "#chart",
            "#order",
            ".tile",
        ):
            box = phone.page.locator(selector).first.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= 390, selector
            assert box["height"] >= 40, selector
        assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
        phone.page.locator("#play").tap()
        phone.page.wait_for_function(PAST, arg=5)
        phone.page.locator("#play").tap()
        phone.page.locator("#chart").tap(position={"x": 200, "y": 30})
        assert 40 < phone.said() < 55
        for width, height in ((844, 390), (320, 568)):
            phone.page.set_viewport_size({"width": width, "height": height})
            phone.page.wait_for_timeout(100)
            assert phone.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_how_the_head_moved(opening, head_file, viewport, scheme):
    with opening(head_file, viewport=viewport, color_scheme=scheme) as report:
        section = report.page.locator("section[aria-labelledby=head-title]")
        assert section.locator("tbody tr").count() == 7
        for drawn in section.locator("figure svg").all():
            box = drawn.bounding_box()
            assert box["width"] >= 600 and box["height"] > 100
        assert section.locator("figure").count() == 2
        assert report.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        assert grave_violations(report) == []


def test_a_thinned_out_player_shows_the_nearest_picture(opening, tmp_path, monkeypatch):
    folder = numbered_run(tmp_path, 240, flagged=[(101, "converged", 0.1)])
    monkeypatch.setattr("holdstill.report.rows.LEAST_WORST", 1)
    monkeypatch.setattr("holdstill.report.rows.MOST_PICTURES", 50)
    from holdstill.report import rows

    monkeypatch.setattr(
        "holdstill.report.shown_rows", lambda run, worst: rows.shown_rows(run, worst, 50)
    )
    write_report(folder)
    with opening(folder / "report.html") as report:
        report.page.get_by_role("button", name="Next frame to look at").click()
        assert report.at(101)
        chart = report.page.get_by_role("slider", name="Frame")
        chart.press("Home")
        chart.press("PageUp")  # 12 rows further: between two pictures
        assert report.at(10)
        assert "nearest to frame 12" in report.page.locator("#readout").inner_text()


def test_a_run_without_pictures(opening, page_file, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(page_file.parent, copy)
    (copy / "run.json").unlink()
    write_report(copy)
    with opening(copy / "report.html") as report:
        assert not report.page.locator("#play").count()
        report.page.mouse.click(*point_of(report, 31))
        assert report.said() == 31
        report.page.keyboard.press("ArrowRight")
        assert report.said() == 32


def test_without_a_program_the_page_still_tells(browser, page_file):
    context = browser.new_context(java_script_enabled=False, viewport=DESKTOP)
    page = context.new_page()
    page.goto(page_file.as_uri())
    text = page.locator("body").inner_text()
    for part in ("97 frames", "needs JavaScript", "Worst frames", "not found", "To repeat it"):
        assert part in text
    assert not page.locator("#play").is_visible()
    context.close()


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility(opening, page_file, viewport, scheme):
    with opening(page_file, viewport=viewport, color_scheme=scheme) as report:
        report.page.locator("details").evaluate_all("all => all.forEach(e => { e.open = true })")
        assert grave_violations(report) == []


def grave_violations(report):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    return [
        f"{violation['id']}: {violation['nodes'][0]['html'][:200]}"
        for violation in axe.run(report.page).response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
