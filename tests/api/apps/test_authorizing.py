"""What an app asks a rider for, on the page of consent, and where the browser goes afterwards."""

import re

import pytest

from api.web.security_headers import page_headers
from tests.api.apps.flows import (
    REDIRECT,
    App,
    Ask,
    Browser,
    decide,
    newcomer,
    parameters_of,
    registered,
)
from tests.api.pages.browsing import token_of
from tests.api.sessions import LoggedIn, register


def test_a_rider_who_allows_it_is_sent_back_with_code_state_and_issuer(
    visitor: Browser, app: App, service: str
) -> None:
    newcomer(visitor)
    ask = Ask(app)
    location = decide(visitor, ask.path())
    answered = parameters_of(location)
    assert location.startswith(f"{REDIRECT}?")
    assert set(answered) == {"code", "state", "iss"}
    assert answered["state"] == ask.state
    metadata = visitor.get("/.well-known/oauth-authorization-server").json()
    assert answered["iss"] == metadata["issuer"]


def test_a_rider_who_denies_it_is_sent_back_without_a_code(visitor: Browser, app: App) -> None:
    newcomer(visitor)
    answered = parameters_of(decide(visitor, Ask(app).path(), "deny"))
    assert answered["error"] == "access_denied"
    assert set(answered) == {"error", "error_description", "state", "iss"}


def test_a_stranger_signs_in_first_and_comes_back_to_be_asked(visitor: Browser, app: App) -> None:
    path = Ask(app).path()
    to_sign_in = visitor.get(path)
    assert to_sign_in.status_code == 303
    sign_in = visitor.get(to_sign_in.headers["location"])
    wanted = re.search('name="next" value="([^"]+)"', sign_in.text)
    assert wanted
    assert wanted[1].replace("&amp;", "&") == path


def test_the_page_says_who_asks_for_what_and_where_it_leads(
    visitor: Browser, session: LoggedIn
) -> None:
    app = registered(session, name="<b>Poster</b>")
    newcomer(visitor)
    page = visitor.get(Ask(app, "upload read").path())
    assert "&lt;b&gt;Poster" in page.text
    assert "<b>poster.example</b>" in page.text
    assert "send rides as yours" in page.text
    assert "read everything" in page.text
    assert "Registered by another rider" in page.text
    assert "send rides as yours" not in visitor.get(Ask(app, "read").path()).text


def test_no_other_page_frames_it_and_its_form_leads_to_the_app_alone(
    visitor: Browser, app: App
) -> None:
    newcomer(visitor)
    page = visitor.get(Ask(app).path())
    expected = dict(page_headers(""))["Content-Security-Policy"].replace(
        "form-action 'self'", "form-action 'self' https://poster.example"
    )
    assert page.headers.get_list("content-security-policy") == [expected]
    assert "frame-ancestors 'none'" in expected
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["cache-control"] == "no-store"


def test_a_decision_needs_the_token_of_the_form(visitor: Browser, app: App) -> None:
    newcomer(visitor)
    path = Ask(app).path()
    assert visitor.send(path, {"decision": "allow"}).status_code == 403
    elsewhere = visitor.send(
        path,
        {"decision": "allow", "token": token_of(visitor.get(path).text)},
        Sec_Fetch_Site="cross-site",
    )
    assert elsewhere.status_code == 403


def test_a_key_that_may_only_read_lets_nobody_in(
    visitor: Browser, app: App, session: LoggedIn
) -> None:
    secret = session.call("POST", "/api/keys", name="x", scopes=["read"]).json()["secret"]
    visitor.submit("/sign-in", {"key": secret})
    page = visitor.get(Ask(app).path())
    assert 'value="allow"' not in page.text
    sent = visitor.send(Ask(app).path(), {"token": token_of(page.text), "decision": "allow"})
    assert sent.status_code == 403


@pytest.mark.parametrize(
    "others",
    [
        {"client_id": None},
        {"client_id": "x"},
        {"client_id": "01970000-0000-7000-8000-000000000005"},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": f"{REDIRECT}/"},
        {"redirect_uri": f"{REDIRECT}?x=1"},
        {"redirect_uri": "https://poster.example@evil.example/signed-in"},
        {"redirect_uri": 'https://"é'},
        {"redirect_uri": "javascript:alert(1)"},
    ],
    ids=str,
)
def test_what_no_registered_app_asks_is_told_on_a_page_and_leads_nowhere(
    visitor: Browser, app: App, others: dict[str, str | None]
) -> None:
    newcomer(visitor)
    for answer in (
        visitor.get(Ask(app).path(**others)),
        visitor.submit(Ask(app).path(**others), {"decision": "allow"}),
    ):
        assert answer.status_code == 400
        assert "location" not in answer.headers
        assert "cannot be answered" in answer.text
        assert not re.search('(href|action)="[a-z]+:', answer.text)


@pytest.mark.parametrize(
    ("others", "error"),
    [
        ({"scope": "admin"}, "invalid_scope"),
        ({"scope": "read admin"}, "invalid_scope"),
        ({"scope": "é\"'"}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": 'é"'}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
    ],
    ids=str,
)
def test_what_is_wrong_otherwise_is_told_to_the_app(
    visitor: Browser, app: App, others: dict[str, str | None], error: str
) -> None:
    newcomer(visitor)
    answer = visitor.get(Ask(app).path(**others))
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{REDIRECT}?")
    answered = parameters_of(answer.headers["location"])
    assert (answered["error"], answered["state"]) == (error, Ask(app).state)
    assert "iss" in answered
    assert "code" not in answered


@pytest.mark.parametrize("scope", [" ", "\t", "read read", " read"], ids=repr)
def test_each_scope_counts_once_and_blanks_are_none(visitor: Browser, app: App, scope: str) -> None:
    newcomer(visitor)
    ask = Ask(app, scope)
    assert ask.exchange(ask.code(visitor)).json()["scope"] == "read"


def test_a_request_of_very_many_parameters_is_told_on_a_page(visitor: Browser, app: App) -> None:
    newcomer(visitor)
    answer = visitor.get(Ask(app).path() + "&x=1" * 100)
    assert (answer.status_code, "location" in answer.headers) == (400, False)
    assert "over 100 parameters" in answer.text


@pytest.mark.parametrize("kind", [None, "token", "None"])
def test_what_asks_for_no_code_is_told_so_in_a_sentence(
    visitor: Browser, app: App, kind: str | None
) -> None:
    newcomer(visitor)
    answer = visitor.get(Ask(app).path(response_type=kind))
    answered = parameters_of(answer.headers["location"])
    assert answered["error_description"] == "The 'response_type' must be 'code'."
    assert "must be &#39;code&#39;." in visitor.get("/oauth/authorize").text


def test_nothing_of_a_request_may_be_there_twice(visitor: Browser, app: App) -> None:
    newcomer(visitor)
    twice = visitor.get(f"{Ask(app).path()}&redirect_uri=https%3A%2F%2Fevil.example%2F")
    assert (twice.status_code, "location" in twice.headers) == (400, False)


def test_an_app_on_the_rider_s_machine_takes_any_port_and_no_other_path(
    visitor: Browser, session: LoggedIn
) -> None:
    app = registered(session, redirectUris=["http://127.0.0.1/done", "http://[::1]/done"])
    newcomer(visitor)
    for uri in ("http://127.0.0.1:54321/done", "http://127.0.0.1/done", "http://[::1]:9/done"):
        location = decide(visitor, Ask(app, redirect=uri).path())
        assert location.startswith(f"{uri}?")
    for uri in (
        "http://127.0.0.1:54321/other",
        "http://127.0.0.2:54321/done",
        "http://localhost:54321/done",
        "https://127.0.0.1/done",
        "http://127.0.0.1:x@evil.example/done",
    ):
        assert visitor.get(Ask(app, redirect=uri).path()).status_code == 400, uri


def test_an_app_of_one_address_need_not_name_it(visitor: Browser, app: App) -> None:
    newcomer(visitor)
    ask = Ask(app)
    location = decide(visitor, ask.path(redirect_uri=None))
    assert location.startswith(REDIRECT)
    answer = ask.app.post(
        "/oauth/token",
        grant_type="authorization_code",
        code=parameters_of(location)["code"],
        code_verifier=ask.verifier,
    )
    assert answer.status_code == 200


def test_an_app_whose_rider_is_gone_asks_nobody(
    visitor: Browser, app: App, session: LoggedIn
) -> None:
    newcomer(visitor)
    assert session.call("DELETE", "/api/users/me").status_code == 202
    assert visitor.get(Ask(app).path()).status_code == 400


def test_signing_in_by_the_form_leads_back_to_the_question(visitor: Browser, app: App) -> None:
    email, path = register(visitor.url), Ask(app).path()
    from_page = visitor.get(path).headers["location"]
    token = token_of(visitor.get(from_page).text)
    fields = {"email": email, "password": "correct horse battery staple"}
    signed_in = visitor.send("/sign-in", {**fields, "token": token, "next": path})
    assert signed_in.headers["location"] == path
    assert visitor.get(path).status_code == 200
