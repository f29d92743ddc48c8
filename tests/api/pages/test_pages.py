"""What all pages share: policy, files, errors."""

import re

import pytest

from api.web.security_headers import API_HEADERS, PAGE_HEADERS
from tests.api.answers import problem_of
from tests.api.pages.browsing import Visitor


def test_a_page_loads_its_own_files_alone_and_has_no_inline_script(visitor: Visitor) -> None:
    policy = dict(PAGE_HEADERS)["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    for path in ("/", "/sign-in", "/register", "/nowhere"):
        page = visitor.get(path)
        assert {name: page.headers.get(name) for name, _ in PAGE_HEADERS} == dict(PAGE_HEADERS)
        assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page.text) == []


def test_files_are_kept_for_ever_under_an_address_that_changes_with_them(
    visitor: Visitor,
) -> None:
    page = visitor.get("/").text
    addresses = set(re.findall('"(/static/[^"]+)"', page))
    named = {address.rpartition("/")[2] for address in addresses}
    assert named >= {"icon.svg", "app.css", "welcome.js"}
    for address in addresses:
        answer = visitor.get(address)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers.get_list("content-encoding") == ["gzip"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    older = re.sub("/static/[^/]+", "/static/000000000000", addresses.pop())
    assert visitor.get(older).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["app.py", "../static.py", "..%2Fstatic.py", "none.css", ""])
def test_nothing_else_is_served_as_a_file(visitor: Visitor, name: str) -> None:
    assert visitor.get(f"/static/x/{name}").status_code == 404


def test_a_browser_gets_errors_as_pages_and_others_as_problems(visitor: Visitor) -> None:
    page = visitor.get("/nowhere")
    assert page.status_code == 404
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "There is nothing here" in page.text
    problem_of(visitor.get("/nowhere", Accept="*/*"), 404)
    problem_of(visitor.get("/api/nowhere"), 404)
    problem_of(visitor.get("/api/workouts"), 401)
    assert visitor.client.put("/sign-in").status_code == 405


@pytest.mark.parametrize("path", ["/nowhere", "/rides/00000000-0000-4000-8000-000000000000"])
def test_who_has_signed_in_keeps_the_navigation_where_nothing_is(
    signed_in: Visitor, path: str
) -> None:
    page = signed_in.get(path)
    assert page.status_code == 404
    assert 'href="/season"' in page.text
    assert "Sign out" in page.text


def test_the_api_s_answers_keep_their_own_policy(visitor: Visitor) -> None:
    for path in ("/api/workouts", "/openapi.json", "/health/live"):
        answer = visitor.get(path)
        assert {name: answer.headers.get(name) for name, _ in API_HEADERS} == dict(API_HEADERS)


def test_a_form_of_another_kind_is_refused(visitor: Visitor) -> None:
    assert visitor.client.post("/sign-in", json={}).status_code == 415
    assert visitor.send("/sign-in", {"email": "x" * 40_000}).status_code == 413
