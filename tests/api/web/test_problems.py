"""Every error is a problem, and none tells what only the log should know."""

import asyncio
import logging
from typing import Any

import httpx2
import psycopg
import psycopg_pool
import pytest
import redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from api.web.problems import EXCEPTION_HANDLERS, Problem
from shared.errors import ServiceUnavailable
from tests.api.answers import problem_of


def answer_to(error: Exception) -> httpx2.Response:
    """What a client gets where a handler raises ``error``."""

    async def fail(_: Request) -> Any:
        raise error

    async def ask() -> httpx2.Response:
        app = Starlette(routes=[Route("/", fail)], exception_handlers=EXCEPTION_HANDLERS)
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://api") as client:
            return await client.get("/")

    return asyncio.run(ask())


def kinds(base: type[Problem]) -> list[type[Problem]]:
    return [kind for sub in base.__subclasses__() for kind in (sub, *kinds(sub))]


@pytest.mark.parametrize("kind", kinds(Problem))
def test_a_problem_answers_with_its_own_status(kind: type[Problem]) -> None:
    response = answer_to(kind("because"))
    problem = problem_of(response, kind.status)
    assert (problem["type"], problem["title"]) == (f"/problems/{kind.name}", kind.title)
    assert (problem["detail"], "errors" in problem) == ("because", False)


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("secret"),
        psycopg.errors.AdminShutdown("secret"),
        psycopg.errors.DeadlockDetected("secret"),
        psycopg_pool.PoolTimeout("secret"),
        redis.ConnectionError("secret"),
        redis.TimeoutError("secret"),
        redis.exceptions.OutOfMemoryError("secret"),
        redis.BusyLoadingError("secret"),
        redis.ReadOnlyError("secret"),
        TimeoutError("secret"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_server_that_does_not_answer_is_503_with_retry_after(error: Exception) -> None:
    response = answer_to(error)
    problem_of(response, 503)
    assert response.headers["retry-after"] == "1"
    assert "secret" not in response.text


def test_an_error_may_say_when_to_come_again() -> None:
    response = answer_to(ServiceUnavailable("busy", retry_after=7))
    assert response.headers["retry-after"] == "7"


def test_a_fault_of_ours_is_logged_in_full_and_shown_to_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        response = answer_to(psycopg.errors.DataError("secret"))
    problem_of(response, 500)
    assert "secret" not in response.text
    assert response.headers["connection"] == "close"
    [record] = caplog.records
    assert record.getMessage() == "failed to serve GET /"
    assert "secret" in caplog.text
