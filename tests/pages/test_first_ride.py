"""As a newcomer would: register, drop a file, look at the ride."""

import re
from pathlib import Path
from secrets import token_hex

import pytest
from playwright.sync_api import expect

from tests.api.sessions import PASSWORD
from tests.pages.conftest import OpenPage
from tests.pages.rides import hour_of_riding
from tests.pages.watched import Watched

pytestmark = pytest.mark.xdist_group("browser")  # they share one


@pytest.fixture
def ride_file(tmp_path: Path) -> Path:
    path = tmp_path / "over-the-hills.fit"
    path.write_bytes(hour_of_riding())
    return path


def see_ride(window: Watched, ride_file: Path) -> None:
    """Drop a file on the start page, and wait for the ride's charts."""
    window.go("/")
    window.page.set_input_files("input[type=file]", ride_file)
    window.page.wait_for_url("**/rides/*")
    window.page.wait_for_selector(".overlay")
    window.page.wait_for_load_state("networkidle")


def test_a_stranger_s_pages_look_well_in_every_form(open_page: OpenPage) -> None:
    window = open_page()
    for path, name in (("/", "welcome"), ("/sign-in", "sign-in"), ("/register", "register")):
        window.go(path)
        window.picture(name)
    window.expected = ["404"]
    window.go("/nowhere")
    window.picture("not-found")


def test_from_nothing_to_a_ride_s_charts(open_page: OpenPage, ride_file: Path) -> None:
    window = open_page()
    page = window.page
    window.go("/")
    page.get_by_role("link", name="Make an account").click()
    page.get_by_label("Email").fill(f"{token_hex(6)}@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    page.wait_for_url("**/")
    expect(page.locator("html")).to_have_attribute("data-zone", "Europe/Zurich")  # the browser's
    window.picture("home-empty")
    see_ride(window, ride_file)
    expect(page.locator("h1")).to_have_text("Night ride")
    for name in ("Power", "Heart rate", "Cadence", "Speed", "Altitude"):
        expect(page.locator(".plot-name", has_text=name)).to_be_visible()
    expect(page.get_by_role("img", name="The track")).to_be_visible()
    window.picture("ride")


def test_zones_and_w_prime_appear_once_the_athlete_s_figures_are_known(
    signed_in: Watched, ride_file: Path
) -> None:
    known = {"effectiveFrom": "2020-01-01", "ftp": 250, "thresholdHeartrate": 165}
    signed_in.page.evaluate(
        """async ([known, path]) => {
            const token = document.querySelector('meta[name="csrf-token"]').content;
            const headers = {"X-CSRF-Token": token, "Content-Type": "application/json"};
            const answer = await fetch(path, {method: "PUT", headers, body: JSON.stringify(known)});
            if (!answer.ok) throw new Error(await answer.text());
        }""",
        [known | {"criticalPower": 240, "wPrime": 18_000}, "/api/users/me/thresholds"],
    )
    see_ride(signed_in, ride_file)
    expect(signed_in.page.locator(".zones")).to_have_count(2)
    balance = signed_in.page.locator(".plot-wPrime .plot-reading")
    expect(balance).to_have_text(re.compile(r"^−?\d+\.\dkJlowest$"))
    signed_in.page.locator(".overlay").focus()
    signed_in.page.keyboard.press("Home")
    expect(balance).to_have_text("18.0kJ")  # all of it is there when the ride begins
    signed_in.page.keyboard.press("Enter")
    expect(signed_in.page.locator(".range-figures")).to_contain_text("Normalized")
    expect(balance).to_have_text("18.0kJ")
    signed_in.page.keyboard.press("Escape")
    signed_in.picture("ride-zones")


def test_hovering_reads_all_charts_and_the_map_at_once(signed_in: Watched, ride_file: Path) -> None:
    see_ride(signed_in, ride_file)
    page = signed_in.page
    box = page.locator(".overlay").bounding_box()
    assert box
    # 780 s into the ride: a hard interval, by the simulator 285 W and some noise.
    page.mouse.move(box["x"] + box["width"] * 780 / 3600, box["y"] + 20)
    expect(page.locator(".plot-power .plot-value")).to_have_text(
        re.compile(r"^(2[4-9]|3[0-3])\dW$")
    )
    expect(page.locator(".plot-speed .plot-value")).to_have_text(re.compile(r"^3\d\.\dkm/h$"))
    expect(page.locator(".map-dot")).to_have_attribute("visibility", "visible")
    # Minutes 35 to 38: a café.
    page.mouse.move(box["x"] + box["width"] * 2200 / 3600, box["y"] + 20)
    expect(page.locator(".hover-note")).to_have_text(re.compile(r"^(Paused|No samples) for 3:0\d$"))
    page.mouse.move(box["x"] - 50, box["y"] - 200)
    expect(page.locator(".map-dot")).to_have_attribute("visibility", "hidden")


def test_dragging_selects_a_part_with_its_own_figures(signed_in: Watched, ride_file: Path) -> None:
    see_ride(signed_in, ride_file)
    page = signed_in.page
    box = page.locator(".overlay").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 30, steps=4)
    page.mouse.up()
    figures = page.locator(".range-figures")
    expect(figures).to_contain_text(re.compile(r"Average\d+W"))
    expect(figures).to_contain_text(re.compile(r"Selected\s*1[12]:\d\d"))
    page.keyboard.press("Escape")
    expect(page.locator("#range")).to_contain_text("Drag over the charts")


def test_the_charts_are_read_and_zoomed_by_the_keyboard(
    signed_in: Watched, ride_file: Path
) -> None:
    see_ride(signed_in, ride_file)
    page, overlay = signed_in.page, signed_in.page.locator(".overlay")
    overlay.focus()
    page.keyboard.press("Home")
    page.keyboard.press("Shift+ArrowRight")
    expect(overlay).to_have_attribute("aria-valuetext", re.compile(r"Power \d+ W"))
    page.keyboard.press("Enter")
    expect(page.locator(".range-figures")).to_contain_text(re.compile(r"Normalized\d+W"))
    page.keyboard.press("Escape")
    expect(page.locator(".range-figures")).to_have_count(0)


def test_a_figure_is_one_click_from_its_definition_and_the_device_s_own(
    signed_in: Watched, ride_file: Path
) -> None:
    see_ride(signed_in, ride_file)
    signed_in.page.locator(".figure summary", has_text="Normalized").click()
    definition = signed_in.page.locator(".figure[open] .definition-body")
    expect(definition).to_contain_text("30 s moving mean over full windows")
    expect(definition).to_contain_text("The device says 215")


def test_a_spike_is_marked_and_may_be_vouched_for(signed_in: Watched, ride_file: Path) -> None:
    see_ride(signed_in, ride_file)
    page = signed_in.page
    marks = page.locator(".marks")
    expect(marks).to_contain_text("900")
    page.locator(".mark-spike").click()
    expect(page.locator(".range-figures")).to_contain_text(re.compile(r"Selected\s*1:01"))
    expect(page.get_by_role("button", name="A spike of 1 900 W")).to_be_focused()
    page.get_by_role("button", name="It was real").click()
    expect(marks).to_have_count(0, timeout=20_000)


def test_a_part_can_be_kept_alone_and_the_rest_brought_back(
    signed_in: Watched, ride_file: Path
) -> None:
    see_ride(signed_in, ride_file)
    page = signed_in.page
    page.get_by_role("button", name="2", exact=True).first.click()
    page.get_by_text("This part", exact=True).click()
    page.get_by_role("button", name="Keep only this part").click()
    expect(page.locator(".note")).to_contain_text("Cropped", timeout=20_000)
    page.get_by_text("More", exact=True).click()
    page.get_by_role("button", name="Undo the crop").click()
    expect(page.locator(".note")).to_have_count(0, timeout=20_000)


def test_title_and_notes_are_edited_and_the_ride_deleted(
    signed_in: Watched, ride_file: Path
) -> None:
    see_ride(signed_in, ride_file)
    page = signed_in.page
    page.get_by_role("button", name="Edit").click()
    title, notes = f"A <i>better</i> name{'e' * 120}", f"https://example.com/{'w' * 200}"
    page.get_by_label("Title").fill(title)
    page.get_by_label("Notes").fill(notes)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text(title)
    expect(page.locator(".description")).to_have_text(notes)
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 844})
        signed_in.require_no_overflow()
    page.get_by_text("More", exact=True).click()
    page.get_by_role("button", name="Delete the ride").click()
    page.locator("#delete").get_by_role("button", name="Delete", exact=True).click()
    page.wait_for_url("**/")


def test_each_dropped_file_says_what_became_of_it(
    signed_in: Watched, ride_file: Path, tmp_path: Path
) -> None:
    see_ride(signed_in, ride_file)
    broken = tmp_path / "broken.fit"
    broken.write_bytes(b"this is no ride")
    signed_in.go("/import")
    signed_in.expected = ["409 (Conflict)"]  # the browser says it of its own accord
    signed_in.page.set_input_files("input[type=file]", [ride_file, broken])
    rows = signed_in.page.locator(".drop-list li")
    expect(rows.filter(has_text="over-the-hills.fit")).to_contain_text("Here already")
    expect(rows.filter(has_text="over-the-hills.fit").get_by_role("link")).to_be_visible()
    expect(rows.filter(has_text="broken.fit").locator(".drop-bad")).to_be_visible()
    expect(rows.get_by_role("button", name="Try again")).to_have_count(0)
    sent = signed_in.page.get_by_role("group", name="Files sent before")
    expect(sent.get_by_role("row", name="broken.fit")).to_be_visible()
    signed_in.picture("import")
