"""The documentation at /docs, as it is read and tried in a browser."""

import re

from playwright.sync_api import expect

from tests.pages.conftest import OpenPage

OPERATIONS = ("get_telemetry", "list_workouts", "create_workout", "send_file")


def test_opened_operations_fit_a_telephone(open_page: OpenPage) -> None:
    page = open_page(width=390).page
    page.goto("/docs")
    for operation in OPERATIONS:
        opened = page.locator(f'[id$="-{operation}"]')
        opened.locator(".opblock-summary-control").click()
        expect(opened.locator(".responses-inner")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 390, operation


def test_the_two_boxes_of_authorize_say_that_one_is_enough(open_page: OpenPage) -> None:
    page = open_page().page
    page.goto("/docs")
    page.get_by_role("button", name="Authorize").first.click()
    expect(page.get_by_text("Either box is enough")).to_have_count(2)


def test_an_operation_shows_a_real_answer(open_page: OpenPage) -> None:
    page = open_page().page
    page.goto("/docs")
    opened = page.locator('[id$="-get_workout"]')
    opened.locator(".opblock-summary-control").click()
    shown = opened.locator(".responses-inner .example").first
    expect(shown).to_contain_text(re.compile(r'"normalizedPower": \d{3}'))
