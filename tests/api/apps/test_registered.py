"""Apps that riders register, and the metadata by which clients find everything."""

import asyncio
from typing import Any

import pytest
from authlib.oauth2 import rfc8414, rfc9207

from api.apps.registered import MOST_APPS
from api.identity.auth import Authenticator, Caller, require_own_key
from api.web.problems import Forbidden
from shared.connections import Database, open_async_database
from shared.redirects import redirect_fault
from shared.settings import Settings
from tests.api.answers import problem_of
from tests.api.apps.conftest import MakeSession
from tests.api.apps.flows import REDIRECT, App, Browser, LetIn, let_in, registered
from tests.api.sessions import LoggedIn


def test_an_app_is_registered_listed_and_deleted(session: LoggedIn) -> None:
    app = registered(session, confidential=True)
    answer = session.call("GET", "/api/apps")
    [listed] = answer.json()["apps"]
    assert (listed["id"], listed["redirectUris"], listed["confidential"]) == (
        app.id,
        [REDIRECT],
        True,
    )
    assert app.secret
    assert app.secret not in answer.text
    assert session.call("DELETE", f"/api/apps/{app.id}").status_code == 200
    assert session.call("GET", "/api/apps").json() == {"apps": []}
    problem_of(session.call("DELETE", f"/api/apps/{app.id}"), 404)


def test_a_mistyped_address_is_mended_and_no_rider_is_lost(
    visitor: Browser, session: LoggedIn, make_session: MakeSession
) -> None:
    let = let_in(visitor, registered(session))
    place, uris = f"/api/apps/{let.app.id}", ["https://poster.example/back"]
    changed = session.call("PATCH", place, redirectUris=uris).json()["app"]
    assert (changed["redirectUris"], changed["name"]) == (uris, "Ride Poster")
    assert session.call("PATCH", place, name="Poster").json()["app"]["redirectUris"] == uris
    assert session.call("GET", "/api/apps").json()["apps"][0]["name"] == "Poster"
    assert let.app.refresh(let.refresh).status_code == 200
    wrongs: list[dict[str, Any]] = [{"redirectUris": ["http://a.example/"]}, {"redirectUris": []}]
    for wrong in (*wrongs, {"name": ""}, {"name": None}):
        problem_of(session.call("PATCH", place, **wrong), 422)
    problem_of(make_session().call("PATCH", place, name="theirs"), 404)


def test_a_leaked_secret_is_replaced_and_no_rider_is_lost(
    visitor: Browser, session: LoggedIn, make_session: MakeSession
) -> None:
    let = let_in(visitor, registered(session, confidential=True))
    place = f"/api/apps/{let.app.id}/rotate"
    problem_of(make_session().call("POST", place), 404)
    rotated = session.call("POST", place)
    assert rotated.status_code == 201
    assert rotated.headers["cache-control"] == "private, no-store"
    assert let.app.refresh(let.refresh).json()["error"] == "invalid_client"
    renewed = App(let.app.service, let.app.id, rotated.json()["clientSecret"])
    assert renewed.refresh(let.refresh).status_code == 200
    problem_of(session.call("POST", f"/api/apps/{registered(session).id}/rotate"), 409)


def test_of_a_secret_the_hash_alone_is_stored(session: LoggedIn, database: Database) -> None:
    app = registered(session, confidential=True)
    with database.connection() as connection:
        row = connection.execute("SELECT * FROM apps WHERE id = %s", [app.id]).fetchone()
    assert app.secret
    assert app.secret not in str(row)


def test_an_app_is_its_rider_s_alone(session: LoggedIn, make_session: MakeSession) -> None:
    app, other = registered(session), make_session()
    assert other.call("GET", "/api/apps").json() == {"apps": []}
    problem_of(other.call("DELETE", f"/api/apps/{app.id}"), 404)


def test_a_deleted_app_leaves_nobody_who_has_let_it_in(visitor: Browser, session: LoggedIn) -> None:
    let = let_in(visitor, registered(session))
    [connection] = let.rider.call("GET", "/api/connections").json()["connections"]
    assert (connection["appId"], connection["scopes"]) == (let.app.id, ["read"])
    assert session.call("DELETE", f"/api/apps/{let.app.id}").status_code == 200
    assert let.rider.call("GET", "/api/connections").json() == {"connections": []}


def test_an_app_is_let_in_by_who_lets_it_in_alone(let: LetIn, session: LoggedIn) -> None:
    assert session.call("GET", "/api/connections").json() == {"connections": []}
    problem_of(session.call("DELETE", f"/api/connections/{let.app.id}"), 404)


def test_a_rider_registers_so_many(
    session: LoggedIn, database: Database, unthrottled: None
) -> None:
    with database.connection() as connection:
        connection.execute(
            "INSERT INTO apps (user_id, name, redirect_uris)"
            " SELECT %s, 'test', '{https://a.example}' FROM generate_series(1, %s)",
            [session.user["id"], MOST_APPS - 1],
        )
    registered(session)
    wanted = {"name": "one more", "redirectUris": [REDIRECT]}
    problem_of(session.call("POST", "/api/apps", **wanted), 409)


@pytest.mark.parametrize(
    "uri",
    [
        "https://poster.example",
        "https://poster.example:8443/in?from=bpt&x=%20",
        "http://127.0.0.1/in",
        "http://127.0.0.1:8080/in",
        "http://[::1]:8080/in",
        "http://localhost/in",
        "com.example.poster:/in",
        "com.example.poster://in",
    ],
)
def test_an_address_to_which_browsers_may_be_sent(uri: str) -> None:
    assert redirect_fault(uri) is None


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "poster.example/in",
        "/in",
        "//poster.example",
        "http://poster.example/in",
        "http://127.0.0.1.evil.example/in",
        "https://",
        "https://poster.example/in#part",
        "https://user@poster.example/in",
        "https://poster.example/in out",
        "https://poster.example/in\n",
        "https://poster.example\\@evil.example",
        "https://*.example/in",
        "https://é.example/in",
        "https://a.example; script-src *",
        "javascript:alert(1)",
        "data:text/html,x",
        "poster:/in",
        "file:///etc/passwd",
        "https://poster.example:\u0664\u0664\u0663/in",
        "http://127.0.0.1:\u0661/in",
        "https://poster.example/" + "x" * 500,
    ],
)
def test_an_address_to_which_no_browser_is_sent(session: LoggedIn, uri: str) -> None:
    assert redirect_fault(uri)
    answer = session.call("POST", "/api/apps", name="x", redirectUris=[REDIRECT, uri])
    problem_of(answer, 422)


@pytest.mark.parametrize(
    "name",
    ["", " ", "\n", "Poster\n", " Poster", "\u200b", "Pos\u200bter", "\u202eretsoP", "Poster\x7f"],
    ids=ascii,
)
def test_a_name_that_would_look_like_another_is_refused(session: LoggedIn, name: str) -> None:
    answer = session.call("POST", "/api/apps", name=name, redirectUris=[REDIRECT])
    assert problem_of(answer, 422)["errors"][0]["member"] == "name"


def test_a_name_is_of_any_script(session: LoggedIn) -> None:
    registered(session, name="Vélo 自転車 👩\u200d🚀")


def test_the_metadata_are_as_the_rfcs_say(visitor: Browser) -> None:
    answer = visitor.get("/.well-known/oauth-authorization-server")
    assert answer.headers["content-type"] == "application/json"
    metadata = rfc8414.AuthorizationServerMetadata(answer.json())
    metadata.validate(metadata_classes=[rfc9207.AuthorizationServerMetadata])
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["scopes_supported"] == ["upload", "read"]


def test_what_is_for_the_rider_alone_refuses_apps(settings: Settings, let: LetIn) -> None:
    async def callers() -> tuple[Caller, Caller]:
        async with open_async_database(settings) as database:
            authenticator = Authenticator(database)
            own = await authenticator.open(let.rider.key, "read")
            return own, await authenticator.open(let.access, "read")

    rider, app = asyncio.run(callers())
    assert (rider.app, str(app.app)) == (None, let.app.id)
    require_own_key(rider)
    with pytest.raises(Forbidden):
        require_own_key(app)
