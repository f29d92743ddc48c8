"""Signing in and out on the pages, and making an account."""

from collections.abc import Iterator, Mapping
from secrets import token_hex
from urllib.parse import quote

import pytest

from tests.api.conftest import MakeKey
from tests.api.pages.browsing import Visitor
from tests.api.serving import serving
from tests.api.sessions import PASSWORD, register
from tests.conftest import Rider

OF_OTHERS = (
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example",
    "/\t/evil.example",
    "javascript:alert(1)",
)


def cookie_of(header: str) -> tuple[str, set[str]]:
    """The name of a Set-Cookie and its attributes."""
    pair, *attributes = header.split("; ")
    return pair.partition("=")[0], {each.partition("=")[0].lower() for each in attributes}


def test_a_stranger_sees_what_this_is_and_how_to_begin(visitor: Visitor) -> None:
    page = visitor.get("/")
    assert page.status_code == 200
    for address in ("/register", "/sign-in", "/docs"):
        assert f'href="{address}"' in page.text


def test_the_right_password_opens_a_session_that_scripts_cannot_read(visitor: Visitor) -> None:
    answer = visitor.sign_in(register(visitor.url))
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    name, attributes = cookie_of(answer.headers["set-cookie"])
    assert name == "session"
    assert {"httponly", "samesite", "path", "max-age"} <= attributes
    assert "secure" not in attributes
    assert "SameSite=lax" in answer.headers["set-cookie"]
    assert "Sign out" in visitor.get("/").text


def test_a_wrong_password_says_so_and_keeps_the_address(visitor: Visitor) -> None:
    email = register(visitor.url)
    answer = visitor.sign_in(email, "something else")
    assert answer.status_code == 422
    assert "The email address or the password is wrong." in answer.text
    assert f'value="{email}"' in answer.text
    assert "something else" not in answer.text
    assert "session" not in answer.cookies


def test_a_form_is_asked_for_its_token(visitor: Visitor) -> None:
    email = register(visitor.url)
    visitor.get("/sign-in")
    fields = {"email": email, "password": PASSWORD}
    assert visitor.send("/sign-in", fields).status_code == 403
    assert visitor.send("/sign-in", {**fields, "token": "x" * 43}).status_code == 403


def test_a_token_is_good_in_the_browser_alone_that_it_was_made_for(
    visitor: Visitor, service: str
) -> None:
    email = register(visitor.url)
    with Visitor(service) as other:
        answer = other.submit("/sign-in", {})
        token = answer.request.content.decode().partition("token=")[2].partition("&")[0]
    visitor.get("/sign-in")
    fields = {"email": email, "password": PASSWORD, "token": token}
    assert visitor.send("/sign-in", fields).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_of_another_site_is_refused_whatever_it_carries(
    signed_in: Visitor, site: str
) -> None:
    answer = signed_in.submit("/sign-out", {}, Sec_Fetch_Site=site)
    assert answer.status_code == 403
    assert "Sign out" in signed_in.get("/").text


def test_registering_signs_in(visitor: Visitor) -> None:
    fields = {"email": f"{token_hex(6)}@example.com", "name": "Ada <b>", "password": PASSWORD}
    answer = visitor.submit("/register", fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "Ada &lt;b&gt;" in visitor.get("/").text


@pytest.mark.parametrize(
    ("zone", "taken"),
    [("Asia/Tokyo", "Asia/Tokyo"), ("Etc/Unknown", "UTC"), ("", "UTC"), ("\x00", "UTC")],
)
def test_an_account_begins_in_the_zone_of_the_browser_where_that_is_known(
    visitor: Visitor, zone: str, taken: str
) -> None:
    fields = {"email": f"{token_hex(6)}@example.com", "password": PASSWORD, "zone": zone}
    assert visitor.submit("/register", fields).status_code == 303
    assert f'data-zone="{taken}"' in visitor.get("/").text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"password": "short"}, "A password has at least 8 characters."),
        ({"email": "nobody"}, "must have an @-sign"),
    ],
)
def test_what_is_wrong_with_a_registration_is_said(
    visitor: Visitor, fields: dict[str, str], said: str
) -> None:
    good = {"email": f"{token_hex(6)}@example.com", "password": PASSWORD}
    answer = visitor.submit("/register", good | fields)
    assert answer.status_code == 422
    assert said in answer.text


def test_an_api_key_that_may_read_signs_in(visitor: Visitor, rider: Rider) -> None:
    answer = visitor.submit("/sign-in", {"key": f" {rider.account.api_key} "})
    assert answer.status_code == 303
    assert "max-age" not in cookie_of(answer.headers["set-cookie"])[1]
    assert "Sign out" in visitor.get("/").text
    visitor.submit("/sign-out", {})
    assert rider.client.get("/api/workouts").status_code == 200  # the key itself goes on opening


def test_a_key_that_may_only_upload_does_not(
    visitor: Visitor, rider: Rider, make_api_key: MakeKey
) -> None:
    key = make_api_key(str(rider.account.user_id), ["upload"])
    answer = visitor.submit("/sign-in", {"key": key})
    assert answer.status_code == 422
    assert "This key may only upload" in answer.text


def test_signing_out_ends_the_session_itself(signed_in: Visitor) -> None:
    key = signed_in.client.cookies["session"]
    answer = signed_in.submit("/sign-out", {})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "session" not in signed_in.client.cookies
    signed_in.client.cookies["session"] = key
    assert "Sign out" not in signed_in.get("/").text


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ("/rides?sport=running", "/rides?sport=running"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("//[", "/"),
        ("[", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_signing_in_leads_back_to_a_page_of_ours_alone(
    visitor: Visitor, wanted: str, shown: str
) -> None:
    email = register(visitor.url)
    fields = {"email": email, "password": PASSWORD, "next": wanted}
    assert visitor.submit("/sign-in", fields).headers["location"] == shown


@pytest.mark.parametrize("wanted", ["//[", "//evil.example", "/\\[", "http://["])
def test_the_form_leads_on_to_a_page_of_ours_alone(visitor: Visitor, wanted: str) -> None:
    page = visitor.get(f"/sign-in?next={quote(wanted)}")
    assert page.status_code == 200
    assert 'name="next" value="/"' in page.text


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [("/rides?sport=running", "/rides?sport=running"), *((each, "/") for each in OF_OTHERS)],
)
def test_a_new_account_and_signing_out_lead_to_a_page_of_ours_alone(
    visitor: Visitor, wanted: str, shown: str
) -> None:
    fields = {"email": f"{token_hex(6)}@example.com", "password": PASSWORD, "next": wanted}
    assert visitor.submit("/register", fields).headers["location"] == shown
    assert visitor.get(f"/register?next={quote(wanted)}").headers["location"] == shown
    assert visitor.submit("/sign-out", {"next": wanted}).headers["location"] == shown


@pytest.mark.parametrize("path", ["/sign-in", "/register"])
def test_the_way_between_the_forms_keeps_what_was_wanted(visitor: Visitor, path: str) -> None:
    other = "/register" if path == "/sign-in" else "/sign-in"
    page = visitor.get(f"{path}?next={quote('/rides?sport=running&page=2', safe='')}")
    assert f'href="{other}?next=/rides%3Fsport%3Drunning%26page%3D2"' in page.text
    assert 'value="/rides?sport=running&amp;page=2"' in page.text


@pytest.mark.parametrize("query", ["", "client_id=x", "client_id=%00", "&".join(["a=1"] * 200)])
def test_what_an_app_asks_wrongly_is_no_matter_before_signing_in(
    visitor: Visitor, query: str
) -> None:
    page = visitor.get(f"/sign-in?next={quote(f'/oauth/authorize?{query}', safe='')}")
    assert page.status_code == 200
    assert "To let" not in page.text


@pytest.fixture(scope="module")
def behind_tls(
    urls: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Visitor]:
    """A service that is reached by https, and by invitation."""
    log = tmp_path_factory.mktemp("logs") / "api.log"
    address = "https://rides.example.com"
    with (
        serving(urls, log, PUBLIC_URL=address, REGISTRATION="invite") as client,
        Visitor(str(client.base_url)) as visitor,
    ):
        yield visitor


def test_behind_tls_cookies_are_secure_and_of_this_host(behind_tls: Visitor) -> None:
    header = behind_tls.get("/sign-in").headers["set-cookie"]
    name, attributes = cookie_of(header)
    assert name == "__Host-visit"
    assert {"secure", "httponly", "samesite", "path"} <= attributes
    assert "domain" not in attributes


def test_by_invitation_the_form_asks_for_the_code(behind_tls: Visitor) -> None:
    assert 'name="invitation"' in behind_tls.get("/register?invitation=abc").text
    assert 'value="abc"' in behind_tls.get("/register?invitation=abc").text
