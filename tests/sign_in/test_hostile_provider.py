"""What a provider, or somebody in its place, may send instead of a good answer."""

import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest

from tests.api.answers import eventually, problem_of
from tests.sign_in.browser import Browser, query_of
from tests.sign_in.conftest import SECRET, Api, ServeApi
from tests.sign_in.hostile_provider import (
    CLIENT,
    HostileProvider,
    json_answer,
    make_key,
    sign,
    signed_by_what_is_public,
    unsigned,
)

pytestmark = pytest.mark.xdist_group("sign-in")
Forge = Callable[[HostileProvider, str], str]


def fresh(**claims: Any) -> dict[str, Any]:
    """Claims of a rider whom nobody knows."""
    name = secrets.token_hex(8)
    return {"sub": name, "email": f"{name}@example.com", **claims}


def begin(api: Api, browser: Browser) -> dict[str, str]:
    """What the API asks the provider: state and nonce among it."""
    response = browser.client.get(api.start_url("hostile"))
    assert response.status_code == 302, response.text
    return query_of(response.headers["location"])


def finish(api: Api, browser: Browser, state: str, **query: str) -> httpx2.Response:
    callback = f"{api.start_url('hostile')}/callback"
    return browser.client.get(callback, params={"code": "a code", "state": state, **query})


def sign_in(api: Api, browser: Browser, hostile: HostileProvider, forge: Forge) -> httpx2.Response:
    asked = begin(api, browser)
    hostile.give(forge(hostile, asked["nonce"]))
    return finish(api, browser, asked["state"])


def having(**claims: Any) -> Forge:
    """A token that is signed as it should be. Claims that depend on the clock are functions."""

    def forge(hostile: HostileProvider, nonce: str) -> str:
        told = {name: claim() if callable(claim) else claim for name, claim in claims.items()}
        return sign(hostile.key, hostile.claims(nonce, **fresh(**told)))

    return forge


def from_now(seconds: int) -> Callable[[], int]:
    return lambda: int(time.time()) + seconds


def test_a_good_token_opens_and_so_the_others_fail_by_what_is_wrong_with_them(
    api: Api, browser: Browser, hostile: HostileProvider
) -> None:
    assert sign_in(api, browser, hostile, having()).status_code == 201
    form = hostile.forms[-1]
    assert form["grant_type"] == "authorization_code"
    assert len(form["code_verifier"]) == 43
    assert form["redirect_uri"] == f"{api.start_url('hostile')}/callback"


GOOD: dict[str, Forge] = {
    "several audiences, for us": having(aud=[CLIENT, "another"], azp=CLIENT),
    "a clock a little behind": having(iat=from_now(30)),
    "a verified address as a text": having(email_verified="true"),
    "no name": having(name=None),
    "a long name with a NUL": having(name="\x00" + 300 * "n"),
}


@pytest.mark.parametrize("forge", GOOD.values(), ids=GOOD)
def test_a_token_that_is_unusual_but_good_opens(
    api: Api, browser: Browser, hostile: HostileProvider, forge: Forge
) -> None:
    assert sign_in(api, browser, hostile, forge).status_code == 201


def signed_by(name: str) -> Forge:
    """A key that the provider does not publish."""
    return lambda one, nonce: sign(make_key(name), one.claims(nonce, **fresh()))


def tampered(hostile: HostileProvider, nonce: str) -> str:
    head, _, signature = sign(hostile.key, hostile.claims(nonce)).split(".")
    claims = unsigned(hostile.claims(nonce, sub="another")).split(".")[1]
    return f"{head}.{claims}.{signature}"


BAD: dict[str, tuple[str, Forge]] = {
    "no nonce": ("missing_claim", having(nonce=None)),
    "nonce of another": ("invalid_claim", having(nonce="another")),
    "issuer of another": ("invalid_claim", having(iss="https://accounts.example.com")),
    "no issuer": ("missing_claim", having(iss=None)),
    "audience of another": ("invalid_claim", having(aud="another")),
    "no audience": ("missing_claim", having(aud=None)),
    "audiences, for another": ("invalid_claim", having(aud=[CLIENT, "another"], azp="another")),
    "audiences, for nobody": ("missing_claim", having(aud=[CLIENT, "another"])),
    "expired": ("expired_token", having(exp=from_now(-3600))),
    "no end": ("missing_claim", having(exp=None)),
    "an end that is no number": ("invalid_claim", having(exp="tomorrow")),
    "from the future": ("invalid_claim", having(iat=from_now(3600))),
    "no beginning": ("missing_claim", having(iat=None)),
    "no subject": ("missing_claim", having(sub=None)),
    "empty subject": ("malformed", having(sub="")),
    "endless subject": ("malformed", having(sub=256 * "s")),
    "subject with a NUL": ("malformed", having(sub="a\x00")),
    "subject that is a number": ("invalid_claim", having(sub=7)),
    "name that is a number": ("malformed", having(name=7)),
    "another access token's": ("invalid_claim", having(at_hash="AAAA")),
    "alg none": ("unsupported_algorithm", lambda one, nonce: unsigned(one.claims(nonce))),
    "alg NONE": ("unsupported_algorithm", lambda one, nonce: unsigned(one.claims(nonce), "NONE")),
    "HS256 with the public key": (
        "unsupported_algorithm",
        lambda one, nonce: signed_by_what_is_public(one.key, one.claims(nonce)),
    ),
    "RS512, which was not agreed on": (
        "unsupported_algorithm",
        lambda one, nonce: sign(make_key("first", "RS512"), one.claims(nonce), alg="RS512"),
    ),
    "another key of the name": ("bad_signature", signed_by("first")),
    "a key that is not published": ("invalid_key_id", signed_by("second")),
    "no token": ("decode_error", lambda *_: "no token"),
    "tampered": ("bad_signature", tampered),
}


@pytest.mark.parametrize(("reason", "forge"), BAD.values(), ids=BAD)
def test_a_token_that_is_not_to_the_letter_is_401(
    api: Api, browser: Browser, hostile: HostileProvider, reason: str, forge: Forge
) -> None:
    problem = problem_of(sign_in(api, browser, hostile, forge), 401)
    assert problem["detail"] == f"hostile's ID token is not valid: {reason}"


def test_a_key_that_is_not_published_is_not_looked_for_at_every_token(
    api: Api, browser: Browser, hostile: HostileProvider
) -> None:
    begun, key = time.monotonic(), make_key("never published")

    def forge(one: HostileProvider, nonce: str) -> str:
        return sign(key, one.claims(nonce, **fresh()))

    for _ in range(4):
        problem_of(sign_in(api, browser, hostile, forge), 401)
    assert hostile.asked.count("/keys") <= 1 + (time.monotonic() - begun) // 5


def test_a_token_is_good_for_one_sign_in(
    api: Api, browser: Browser, hostile: HostileProvider
) -> None:
    first = begin(api, browser)
    hostile.give(sign(hostile.key, hostile.claims(first["nonce"], **fresh())))
    assert finish(api, browser, first["state"]).status_code == 201
    second = begin(api, browser)
    problem_of(finish(api, browser, second["state"]), 401)


@pytest.mark.parametrize("verified", [False, None, "false"])
def test_an_address_that_is_not_verified_makes_no_account(
    api: Api, browser: Browser, hostile: HostileProvider, verified: object
) -> None:
    forge = having(email_verified=verified)
    assert "not verified" in problem_of(sign_in(api, browser, hostile, forge), 403)["detail"]


def test_who_has_no_address_gets_no_account(
    api: Api, browser: Browser, hostile: HostileProvider
) -> None:
    hostile.answers["/userinfo"] = json_answer({"sub": "without", "email_verified": True})
    response = sign_in(api, browser, hostile, lacking_the_address("without"))
    assert "no email address" in problem_of(response, 403)["detail"]


def test_an_address_that_is_none_is_422(
    api: Api, browser: Browser, hostile: HostileProvider
) -> None:
    problem_of(sign_in(api, browser, hostile, having(email="no address")), 422)


def lacking_the_address(sub: str) -> Forge:
    return lambda one, nonce: sign(one.key, one.claims(nonce, sub=sub, email=None, name=None))


def test_an_address_that_the_token_lacks_is_asked_for(
    api: Api, browser: Browser, hostile: HostileProvider
) -> None:
    told = fresh(email_verified=True, name="Told")
    hostile.answers["/userinfo"] = json_answer(told)
    response = sign_in(api, browser, hostile, lacking_the_address(told["sub"]))
    assert response.status_code == 201, response.text
    assert response.json()["user"]["displayName"] == "Told"
    assert hostile.authorization == "Bearer hostile-access"


@pytest.mark.parametrize("status", [302, 401, 500])
def test_userinfo_that_is_refused_is_not_read(
    api: Api, browser: Browser, hostile: HostileProvider, status: int
) -> None:
    told = fresh(email_verified=True)
    elsewhere = f"{hostile.issuer}/elsewhere"
    hostile.answers["/userinfo"] = json_answer(told, status, Location=elsewhere)
    problem_of(sign_in(api, browser, hostile, lacking_the_address(told["sub"])), 503)
    assert "/elsewhere" not in hostile.asked


def test_the_address_of_another_subject_is_not_taken(
    api: Api, browser: Browser, hostile: HostileProvider
) -> None:
    hostile.answers["/userinfo"] = json_answer(fresh(email_verified=True))
    problem_of(sign_in(api, browser, hostile, lacking_the_address("subject")), 401)


def test_an_answer_to_the_question_to_another_provider_opens_nothing(
    api: Api, browser: Browser, hostile: HostileProvider
) -> None:
    """The hostile one would have the code of an honest one redeemed as its own."""
    asked = query_of(browser.client.get(api.start_url("django")).headers["location"])
    hostile.give(sign(hostile.key, hostile.claims(asked["nonce"], **fresh())))
    problem_of(finish(api, browser, asked["state"]), 400)
    assert hostile.forms == []


def test_an_account_is_of_the_issuer_and_the_subject_not_of_the_address(
    api: Api, browser: Browser, hostile: HostileProvider
) -> None:
    rider = fresh()
    assert sign_in(api, browser, hostile, having(**rider)).status_code == 201
    other = having(**{**rider, "sub": "somebody-else"})
    problem_of(sign_in(api, browser, hostile, other), 409)


def test_two_windows_that_finish_at_once_open_one_account(
    api: Api, hostile: HostileProvider
) -> None:
    rider = fresh()

    with ExitStack() as stack:
        windows = [stack.enter_context(Browser()) for _ in range(4)]
        asked = [begin(api, window) for window in windows]
        for nonce in (one["nonce"] for one in asked):
            hostile.give(sign(hostile.key, hostile.claims(nonce, **rider)), code=nonce)

        def finish_one(n: int) -> httpx2.Response:
            return finish(api, windows[n], asked[n]["state"], code=asked[n]["nonce"])

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(finish_one, range(4)))
    assert [answer.status_code for answer in answers] == [201] * 4
    assert len({answer.json()["user"]["id"] for answer in answers}) == 1


TOKEN_ANSWERS = {
    "an error of its": (json_answer({}, 500), 503),
    "busy": (json_answer({"error": "temporarily_unavailable"}, 503), 503),
    "a code that it does not know": (json_answer({"error": "invalid_grant"}, 400), 400),
    "a client that it does not know": (json_answer({"error": "invalid_client"}, 401), 503),
    "a description that is none": (
        json_answer({"error": "invalid_request", "error_description": "\u00e9\n"}, 400),
        503,
    ),
    "no JSON": ((200, {"Content-Type": "text/html"}, b"<html>"), 503),
    "a list": (json_answer([]), 503),
    "no ID token": (json_answer({"access_token": "a", "token_type": "Bearer"}), 503),
    "an ID token that is none": (json_answer({"access_token": "a", "id_token": 5}), 503),
}


@pytest.mark.parametrize(("answer", "status"), TOKEN_ANSWERS.values(), ids=TOKEN_ANSWERS)
def test_a_bad_answer_for_the_code_is_a_clear_problem(
    api: Api, browser: Browser, hostile: HostileProvider, answer: Any, status: int
) -> None:
    asked = begin(api, browser)
    hostile.answers["/token a code"] = answer
    response = finish(api, browser, asked["state"])
    problem_of(response, status)
    assert ("retry-after" in response.headers) == (status == 503)
    assert SECRET not in response.text


def test_a_redirect_of_the_provider_is_not_followed(
    api: Api, browser: Browser, hostile: HostileProvider
) -> None:
    asked = begin(api, browser)
    hostile.answers["/token a code"] = json_answer({}, 307, Location=f"{hostile.issuer}/elsewhere")
    problem_of(finish(api, browser, asked["state"]), 503)
    assert "/elsewhere" not in hostile.asked


def test_a_provider_that_hangs_is_503_and_the_api_goes_on(
    serve_api: ServeApi, browser: Browser, hostile: HostileProvider
) -> None:
    with serve_api(SERVICE_TIMEOUT="2") as api, ThreadPoolExecutor(1) as pool:
        asked = begin(api, browser)
        hostile.hold.clear()
        answer = pool.submit(finish, api, browser, asked["state"])
        eventually(lambda: "/token a code" in hostile.asked)
        assert httpx2.get(f"{api.url}/health/live", timeout=60).status_code == 200
        problem_of(answer.result(), 503)
        hostile.hold.set()


BAD_DISCOVERY: dict[str, dict[str, Any]] = {
    "another issuer": {"issuer": "https://accounts.example.com"},
    "tokens in the clear": {"token_endpoint": "http://accounts.example.com/token"},
    "a page that is a program": {"authorization_endpoint": "javascript:alert(1)"},
    "keys of this machine's disk": {"jwks_uri": "file:///etc/passwd"},
    "userinfo in the clear": {"userinfo_endpoint": "http://accounts.example.com/"},
    "no tokens": {"token_endpoint": None},
}


@pytest.mark.parametrize("change", BAD_DISCOVERY.values(), ids=BAD_DISCOVERY)
def test_metadata_that_would_lead_elsewhere_are_not_believed(
    unaware_api: Api, browser: Browser, hostile: HostileProvider, change: dict[str, Any]
) -> None:
    hostile.discovery |= change
    hostile.publish()
    problem_of(browser.client.get(unaware_api.start_url("hostile")), 503)


@pytest.fixture(scope="module")
def unaware_api(serve_api: ServeApi) -> Any:
    """It has not seen any metadata of the hostile provider's that it could believe."""
    with serve_api() as api:
        yield api


@pytest.fixture(scope="module")
def keyless_api(serve_api: ServeApi) -> Any:
    """It has not seen any keys of the hostile provider's."""
    with serve_api() as api:
        yield api


@pytest.mark.parametrize("keys", [{}, {"keys": []}, {"keys": [{"kty": "RSA"}]}, {"keys": 5}, []])
def test_keys_that_are_none_are_503(
    keyless_api: Api, browser: Browser, hostile: HostileProvider, keys: Any
) -> None:
    asked = begin(keyless_api, browser)
    hostile.answers["/keys"] = json_answer(keys)
    hostile.give(sign(hostile.key, hostile.claims(asked["nonce"], **fresh())))
    problem_of(finish(keyless_api, browser, asked["state"]), 503)


def test_what_the_provider_says_is_not_more_than_it_is(
    api: Api, browser: Browser, hostile: HostileProvider
) -> None:
    asked = begin(api, browser)
    said = {"error": "access_denied", "error_description": "<script>" + 4000 * "x"}
    problem = problem_of(finish(api, browser, asked["state"], **said), 403)
    assert len(problem["detail"]) < 600
    assert len(hostile.forms) == 0  # the code beside it is not used


def test_no_token_is_logged_whether_it_is_good_or_not(
    api: Api, browser: Browser, hostile: HostileProvider
) -> None:
    made: list[str] = []

    def noted(forge: Forge) -> Forge:
        def make(one: HostileProvider, nonce: str) -> str:
            made.append(forge(one, nonce))
            return made[-1]

        return make

    assert sign_in(api, browser, hostile, noted(having())).status_code == 201
    problem_of(sign_in(api, browser, hostile, noted(having(nonce="another"))), 401)
    log = api.log.read_text()
    assert "the provider hostile sent an ID token that is not valid" in log
    parts = [part for token in made for part in token.split(".")[1:]]
    assert [part for part in [*parts, "hostile-access"] if part in log] == []
