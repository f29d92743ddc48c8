"""Signing in by a real OpenID provider: django-oauth-toolkit, in a process of its own."""

import secrets
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest

from shared.connections import Database
from tests.api.answers import eventually, problem_of
from tests.sign_in.browser import Browser, query_of
from tests.sign_in.conftest import CLIENT, SECRET, Api, Django, ServeApi

pytestmark = pytest.mark.xdist_group("sign-in")


def fresh_name() -> str:
    return f"rider-{secrets.token_hex(6)}"


def session_of(response: httpx2.Response) -> dict[str, Any]:
    assert response.status_code == 201, response.text
    assert response.headers["cache-control"] == "private, no-store"
    session: dict[str, Any] = response.json()
    return session


def user_row(database: Database, email: str) -> dict[str, Any] | None:
    with database.connection() as connection:
        query = "SELECT * FROM users WHERE email = %s"
        return connection.execute(query, [email]).fetchone()


def test_the_first_sign_in_makes_a_user_and_the_key_opens(
    api: Api, django: Django, browser: Browser, database: Database
) -> None:
    name = fresh_name()
    subject = django.put_rider(name, first_name="Eddy")
    session = session_of(browser.sign_in(api.start_url("django"), name))
    assert session["user"]["email"] == f"{name}@example.com"
    assert session["user"]["displayName"] == "Eddy"
    row = user_row(database, f"{name}@example.com")
    assert row is not None
    assert (row["provider"], row["provider_id"]) == (django.url, subject)
    assert row["password_hash"] is None
    me = httpx2.get(f"{api.url}/api/users/me", headers={"X-API-Key": session["secret"]})
    assert me.json()["user"] == session["user"]


def test_from_a_page_it_ends_on_the_start_page_with_the_session_in_a_cookie(
    api: Api, django: Django, browser: Browser
) -> None:
    name = fresh_name()
    django.put_rider(name, first_name="Fausto")
    query = {"page": "true", "timeZone": "Asia/Tokyo"}
    answer = browser.sign_in(api.start_url("django"), name, **query)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert answer.text == ""
    kept = next(
        each for each in answer.headers.get_list("set-cookie") if each.startswith("session=bpt_")
    )
    assert "HttpOnly" in kept
    assert "SameSite=lax" in kept
    page = browser.client.get(f"{api.url}/").text
    assert "Fausto" in page
    assert 'data-zone="Asia/Tokyo"' in page


def test_the_second_finds_it_whatever_the_provider_calls_the_rider_by_then(
    api: Api, django: Django, database: Database
) -> None:
    name = fresh_name()
    django.put_rider(name)
    with Browser() as browser:
        first = session_of(browser.sign_in(api.start_url("django"), name))
    django.put_rider(name, first_name="Renamed", email=f"{name}@elsewhere.example.com")
    with Browser() as browser:
        second = session_of(browser.sign_in(api.start_url("django"), name))
    assert second["user"]["id"] == first["user"]["id"]
    assert second["user"]["email"] == f"{name}@example.com"
    assert second["secret"] != first["secret"]
    assert user_row(database, f"{name}@elsewhere.example.com") is None


def test_an_address_that_is_not_verified_makes_no_user(
    api: Api, django: Django, browser: Browser, database: Database
) -> None:
    name = fresh_name()
    django.put_rider(name, is_staff=False)
    problem = problem_of(browser.sign_in(api.start_url("django"), name), 403)
    assert "not verified" in problem["detail"]
    assert user_row(database, f"{name}@example.com") is None


def test_the_address_of_another_account_is_never_linked(
    api: Api, django: Django, browser: Browser, database: Database
) -> None:
    name = fresh_name()
    account = {"email": f"{name}@Example.com", "password": "correct horse"}
    assert httpx2.post(f"{api.url}/api/users", json=account).status_code == 201
    django.put_rider(name)
    problem_of(browser.sign_in(api.start_url("django"), name), 409)
    row = user_row(database, f"{name}@example.com")
    assert row is not None
    assert row["provider"] is None


def test_a_disabled_user_is_kept_out(
    api: Api, django: Django, browser: Browser, database: Database
) -> None:
    name = fresh_name()
    django.put_rider(name)
    session_of(browser.sign_in(api.start_url("django"), name))
    with database.connection() as connection:
        query = "UPDATE users SET disabled_at = now() WHERE email = %s"
        connection.execute(query, [f"{name}@example.com"])
    problem = problem_of(browser.sign_in(api.start_url("django"), name), 403)
    assert "disabled" in problem["detail"]


def test_a_deleted_user_who_signs_in_again_is_a_new_one(
    api: Api, django: Django, browser: Browser
) -> None:
    name = fresh_name()
    django.put_rider(name)
    first = session_of(browser.sign_in(api.start_url("django"), name))
    headers = {"X-API-Key": first["secret"]}
    assert httpx2.delete(f"{api.url}/api/users/me", headers=headers).status_code == 202
    second = session_of(browser.sign_in(api.start_url("django"), name))
    assert second["user"]["id"] != first["user"]["id"]


def test_who_does_not_consent_is_told_so_in_the_provider_s_words(
    api: Api, django: Django, browser: Browser
) -> None:
    name = fresh_name()
    django.put_rider(name)
    back = browser.way_back(api.start_url("django"), name, consents=False)
    assert "access_denied" in problem_of(browser.client.get(back), 403)["detail"]


def test_a_callback_that_is_replayed_opens_nothing(
    api: Api, django: Django, browser: Browser
) -> None:
    name = fresh_name()
    django.put_rider(name)
    back = browser.way_back(api.start_url("django"), name)
    cookies = dict(browser.client.cookies)
    session_of(browser.client.get(back))
    problem_of(httpx2.get(back, cookies=cookies), 400)


def test_the_code_of_another_sign_in_opens_nothing(api: Api, django: Django) -> None:
    """PKCE: a code is worth something only where the sign-in was begun that it was given to."""
    name = fresh_name()
    django.put_rider(name)
    with Browser() as victim, Browser() as thief:
        stolen = query_of(victim.way_back(api.start_url("django"), name))["code"]
        back = thief.client.get(api.start_url("django")).headers["location"]
        query = {"code": stolen, "state": query_of(back)["state"], "iss": django.url}
        response = thief.client.get(f"{api.start_url('django')}/callback", params=query)
    assert "code" in problem_of(response, 400)["detail"]


def test_a_code_that_was_used_opens_nothing(api: Api, django: Django, browser: Browser) -> None:
    name = fresh_name()
    django.put_rider(name)
    back = browser.way_back(api.start_url("django"), name)
    session_of(browser.client.get(back))
    again = browser.client.get(api.start_url("django")).headers["location"]
    query = query_of(back) | {"state": query_of(again)["state"]}
    problem_of(browser.client.get(f"{api.start_url('django')}/callback", params=query), 400)


@pytest.mark.parametrize("change", [{"state": "x" * 43}, {"state": ""}, {"state": "\ud7ff" * 9}])
def test_a_state_that_is_another_opens_nothing(
    api: Api, django: Django, browser: Browser, change: dict[str, str]
) -> None:
    name = fresh_name()
    django.put_rider(name)
    query = query_of(browser.way_back(api.start_url("django"), name)) | change
    response = browser.client.get(f"{api.start_url('django')}/callback?{urlencode(query)}")
    problem_of(response, 400)


@pytest.mark.parametrize("cookie", [None, "", "x" * 43])
def test_another_browser_cannot_finish_what_this_one_began(
    api: Api, django: Django, browser: Browser, cookie: str | None
) -> None:
    """Neither who stole the address of the way back, nor whom a thief sent there."""
    name = fresh_name()
    django.put_rider(name)
    back = browser.way_back(api.start_url("django"), name)
    cookies = {} if cookie is None else {"sign-in": cookie}
    problem_of(httpx2.get(back, cookies=cookies), 400)
    problem_of(browser.client.get(back), 400)  # and it is used up


def test_an_answer_that_names_no_sender_or_another_opens_nothing(api: Api, django: Django) -> None:
    """The provider says in its metadata that it names itself (RFC 9207)."""
    name = fresh_name()
    django.put_rider(name)
    for change in ({"iss": "https://elsewhere.example.com"}, {"iss": ""}):
        with Browser() as browser:
            query = query_of(browser.way_back(api.start_url("django"), name))
            assert query["iss"] == django.url
            callback = f"{api.start_url('django')}/callback"
            problem_of(browser.client.get(callback, params=query | change), 400)


def test_where_nobody_new_is_taken_only_those_known_sign_in(
    api: Api, django: Django, serve_api: ServeApi
) -> None:
    known, unknown = fresh_name(), fresh_name()
    for name in (known, unknown):
        django.put_rider(name)
    with Browser() as browser:
        session_of(browser.sign_in(api.start_url("django"), known))
    with serve_api(REGISTRATION="closed") as closed:
        with Browser() as browser:
            session_of(browser.sign_in(closed.start_url("django"), known))
        with Browser() as browser:
            problem_of(browser.sign_in(closed.start_url("django"), unknown), 403)
        offered = httpx2.get(f"{closed.url}/api/sign-in").json()
    assert offered["registration"] == "closed"


def test_an_invitation_given_at_the_start_counts_at_the_end(
    api: Api, django: Django, serve_api: ServeApi, database: Database
) -> None:
    first, second = fresh_name(), fresh_name()
    for name in (first, second):
        django.put_rider(name)
    code = "invitation-of-the-test"
    with database.connection() as connection:
        connection.execute(
            "INSERT INTO invitations (hash, expires_at) VALUES (sha256(%s), now() + '1 hour')",
            [code.encode()],
        )
    with serve_api(REGISTRATION="invite") as api_by_invitation:
        start = api_by_invitation.start_url("django")
        with Browser() as browser:
            problem_of(browser.sign_in(start, first), 403)
        with Browser() as browser:
            session_of(browser.sign_in(start, first, invitation=code))
        with Browser() as browser:  # good for one
            problem_of(browser.sign_in(start, second, invitation=code), 403)
    assert user_row(database, f"{second}@example.com") is None


def test_a_new_key_of_the_provider_is_looked_for(
    api: Api, django: Django, browser: Browser
) -> None:
    name = fresh_name()
    django.put_rider(name)
    session_of(browser.sign_in(api.start_url("django"), name))
    django.stop()
    django.start()

    def opens() -> bool:
        with Browser() as browser:
            return browser.sign_in(api.start_url("django"), name).status_code == 201

    eventually(opens)


def test_a_provider_that_is_down_is_503(api: Api, browser: Browser) -> None:
    response = browser.client.get(api.start_url("down"))
    problem_of(response, 503)
    assert int(response.headers["retry-after"]) > 0


def test_a_provider_that_is_not_there_is_told_where_the_others_are(
    api: Api, browser: Browser
) -> None:
    for path in ("/api/sign-in/nobody", "/api/sign-in/nobody/callback?code=1&state=2"):
        problem = problem_of(browser.client.get(f"{api.url}{path}"), 404)
        assert problem["detail"].endswith("/api/sign-in lists those that there are")


def test_the_providers_are_listed_with_where_to_begin(api: Api) -> None:
    offered = httpx2.get(f"{api.url}/api/sign-in").json()
    assert offered["registration"] == "open"
    assert {one["name"]: one["url"] for one in offered["providers"]} == {
        name: api.start_url(name) for name in ("django", "hostile", "down")
    }


def test_the_question_has_everything_that_protects_the_answer(api: Api, browser: Browser) -> None:
    response = browser.client.get(api.start_url("django"))
    query = query_of(response.headers["location"])
    assert query["response_type"] == "code"
    assert query["code_challenge_method"] == "S256"
    assert len(query["code_challenge"]) == 43
    assert len(query["state"]) == len(query["nonce"]) == 43
    assert query["scope"] == "openid email profile"
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


def test_with_https_the_cookie_is_this_host_s_alone(serve_api: ServeApi) -> None:
    with serve_api(PUBLIC_URL="https://power.example.com") as api:
        cookie = httpx2.get(api.start_url("django")).headers["set-cookie"]
    assert cookie.startswith("__Host-sign-in=")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie


def test_one_address_cannot_begin_for_ever(serve_api: ServeApi, browser: Browser) -> None:
    with serve_api(MAX_LOGINS_PER_HOUR="3") as api:  # of two steps each
        statuses = [browser.client.get(api.start_url("django")).status_code for _ in range(7)]
    assert statuses == [302] * 6 + [429]


def test_no_secret_is_logged(api: Api, django: Django, browser: Browser) -> None:
    name = fresh_name()
    django.put_rider(name)
    back = browser.way_back(api.start_url("django"), name)
    cookie = browser.client.cookies["sign-in"]
    session = session_of(browser.client.get(back))
    log = api.log.read_text()
    assert f"{django.url}/token/" in log
    basic = b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
    secret_texts = [
        SECRET,
        basic,
        cookie,
        session["secret"],
        *map(query_of(back).get, ("code", "state")),
    ]
    assert [text for text in secret_texts if str(text) in log] == []
