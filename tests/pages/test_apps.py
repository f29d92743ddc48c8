"""An app of others is let in by a rider, and no longer; a rider registers one."""

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_hex
from threading import Thread

import pytest
from playwright.sync_api import expect

from tests.api.apps.flows import Ask, parameters_of, registered
from tests.api.sessions import LoggedIn, log_in, register, status_with
from tests.pages.conftest import OpenPage
from tests.pages.watched import Watched

pytestmark = pytest.mark.xdist_group("browser")  # they share one


class _Told(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><html lang=en><title>App</title><h1>Welcome back</h1>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def listening() -> Iterator[str]:
    """Where an app on the rider's machine waits for the browser."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Told) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/signed-in"
        server.shutdown()


@pytest.fixture
def maker(service: str, unthrottled: None) -> LoggedIn:
    return log_in(service, register(service, displayName="Jo Baker"))


@pytest.fixture
def ask(maker: LoggedIn, listening: str) -> Ask:
    """What an app asks that another rider has registered."""
    app = registered(maker, name="Ride Poster", redirectUris=["http://127.0.0.1/signed-in"])
    return Ask(app, "read upload", listening)


def test_a_stranger_signs_in_lets_an_app_in_and_ends_it(
    open_page: OpenPage, ask: Ask, service: str
) -> None:
    window = open_page()
    window.expected = ["favicon"]
    page, email = window.page, register(service)
    window.go(ask.path())
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill("correct horse battery staple")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator("h1")).to_have_text("Let “Ride Poster” in?")
    expect(page.locator("main")).to_contain_text("who goes by “Jo Baker”; nobody has checked it")
    expect(page.locator("main")).to_contain_text("come to an app on this device next")
    window.picture("consent")
    page.get_by_role("button", name="Allow").click()
    # Chromium looks at `form-action` of the page for where the form leads in the end.
    expect(page.locator("h1")).to_have_text("Welcome back")
    tokens = ask.exchange(parameters_of(page.url)["code"]).json()
    assert status_with(service, tokens["access_token"]) == 200

    window.go("/account")
    page.get_by_role("navigation", name="Account").get_by_role("link", name="Apps").click()
    row = page.get_by_role("group", name="Connected apps").locator("tbody tr")
    expect(row).to_contain_text(re.compile(r"Ride Poster\s*send rides, read everything"))
    window.picture("apps-connected")
    page.get_by_role("button", name="End Ride Poster").click()
    page.get_by_role("button", name="Keep it").click()
    assert status_with(service, tokens["access_token"]) == 200
    page.get_by_role("button", name="End Ride Poster").click()
    page.get_by_role("button", name="End it").click()
    expect(row).to_have_count(0)
    assert status_with(service, tokens["access_token"]) == 401


def test_who_is_new_makes_an_account_and_comes_back_to_the_app(
    open_page: OpenPage, ask: Ask
) -> None:
    window = open_page()
    page = window.page
    window.go(ask.path())
    expect(page.locator("main")).to_contain_text("To let “Ride Poster” in")
    page.get_by_role("link", name="Make an account").click()
    expect(page.locator("main")).to_contain_text("To let “Ride Poster” in")
    window.picture("register-for-an-app")
    page.get_by_label("Email").fill(f"{token_hex(6)}@example.com")
    page.get_by_label("Password").fill("short")
    page.get_by_label("Password").evaluate("field => field.removeAttribute('minlength')")
    window.expected = ["422"]
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Password").fill("correct horse battery staple")
    page.get_by_role("button", name="Make the account").click()
    expect(page.locator("h1")).to_have_text("Let “Ride Poster” in?")


def test_who_is_another_signs_in_as_oneself_and_comes_back(
    open_page: OpenPage, ask: Ask, service: str
) -> None:
    window = open_page(key=log_in(service, register(service)).key)
    page = window.page
    window.go(ask.path())
    page.get_by_role("button", name="Use another account").click()
    email = register(service)
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill("correct horse battery staple")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator("h1")).to_have_text("Let “Ride Poster” in?")
    expect(page.locator("main")).to_contain_text(f"You are signed in as {email}")


def test_an_app_that_is_let_in_already_is_said_to_be(
    open_page: OpenPage, ask: Ask, service: str
) -> None:
    window = open_page(key=log_in(service, register(service)).key)
    window.expected = ["favicon"]
    page = window.page
    window.go(ask.path())
    expect(page.locator(".note")).to_have_count(0)
    page.get_by_role("button", name="Allow").click()
    expect(page.locator("h1")).to_have_text("Welcome back")
    assert ask.exchange(parameters_of(page.url)["code"]).status_code == 200
    window.go(ask.path())
    said = "You have let it in already: it may send rides, read everything."
    expect(page.locator(".note")).to_contain_text(said)
    window.picture("consent-again")


def test_a_denied_app_hears_so(open_page: OpenPage, ask: Ask, service: str) -> None:
    window = open_page(key=log_in(service, register(service)).key)
    window.expected = ["favicon"]
    window.go(ask.path())
    window.page.get_by_role("button", name="Deny").click()
    expect(window.page.locator("h1")).to_have_text("Welcome back")
    assert parameters_of(window.page.url)["error"] == "access_denied"


def test_an_app_on_a_phone_is_named_by_its_scheme(
    open_page: OpenPage, maker: LoggedIn, service: str
) -> None:
    uri = "com.example.poster:/signed-in"
    app = registered(maker, redirectUris=[uri])
    window = open_page(key=log_in(service, register(service)).key)
    window.go(Ask(app, redirect=uri).path())
    expect(window.page.locator("main")).to_contain_text("the app com.example.poster on this device")
    with window.page.expect_request(lambda asked: asked.url.startswith("com.example")):
        window.expected = ["com.example.poster:"]
        window.page.get_by_role("button", name="Allow").click()


def test_what_an_app_asks_wrongly_is_said(open_page: OpenPage, ask: Ask, service: str) -> None:
    window = open_page(key=log_in(service, register(service)).key)
    window.expected = ["400"]
    window.go(ask.path(redirect_uri="https://evil.example/"))
    expect(window.page.locator("h1")).to_have_text("The app asks wrongly")
    window.picture("consent-refused")


def register_in(window: Watched, kind: str) -> None:
    page = window.page
    page.get_by_label("Name").fill("My dashboard")
    page.get_by_label("Comes back to").fill("https://dash.example/in\nhttp://127.0.0.1/in")
    page.get_by_label(kind).check()
    page.get_by_role("button", name="Register").click()


def test_a_rider_registers_an_app_sees_its_secret_once_and_deletes_it(
    open_page: OpenPage, service: str, unthrottled: None
) -> None:
    window = open_page(key=log_in(service, register(service)).key)
    page = window.page
    window.go("/account/apps")
    register_in(window, "on a server")
    expect(page.locator(".secret")).to_have_text(re.compile(r"^[\w-]{43}$"))
    row = page.get_by_role("group", name="Your own apps").locator("tbody tr")
    expect(row).to_contain_text(re.compile(r"My dashboard.*dash\.example/in.*yes", re.DOTALL))
    window.picture("apps-own")
    secret = page.locator(".secret").inner_text()
    window.go("/account/apps")
    assert secret not in page.content()
    page.get_by_role("button", name="Delete My dashboard").click()
    page.get_by_role("button", name="Delete it").click()
    expect(row).to_have_count(0)


def test_an_address_that_is_none_is_refused_in_words(open_page: OpenPage, service: str) -> None:
    window = open_page(key=log_in(service, register(service)).key)
    window.expected = ["422"]
    window.go("/account/apps")
    window.page.get_by_label("Name").fill("x")
    window.page.get_by_label("Comes back to").fill("https://x.example/in\nftp://x.example")
    window.page.get_by_role("button", name="Register").click()
    said = re.compile("^“Comes back to”, line 2, is none of https://")
    expect(window.page.get_by_role("alert")).to_have_text(said)
