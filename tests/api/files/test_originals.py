"""Originals in an object store, over HTTP: kept, given back, and nothing lost while it is away."""

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx2
import pytest

from shared.connections import Database
from tests.api.answers import problem_of
from tests.api.files.ride_files import OCTETS, fit, gpx, post, send
from tests.conftest import ROOT, Rider, serving
from tests.object_store import SECRET


def beside(rider: Rider, url: str) -> Iterator[Rider]:
    """The same rider, served by another API process."""
    with httpx2.Client(base_url=url, headers=rider.client.headers, timeout=60) as client:
        yield Rider(rider.account, client)


@pytest.fixture(scope="module")
def store_service(
    urls: Mapping[str, str],
    store_variables: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """An API process that keeps originals in the store; no worker does."""
    log = tmp_path_factory.mktemp("store-api") / "api.log"
    with serving(log, **urls, **store_variables, LOG_LEVEL="debug") as url:
        yield url
    assert SECRET not in log.read_text()


@pytest.fixture
def storing(make_rider: Callable[[], Rider], store_service: str) -> Iterator[Rider]:
    yield from beside(make_rider(), store_service)


def bytes_in_postgresql(database: Database, upload_id: str) -> bytes | None:
    with database.connection() as connection:
        row = connection.execute(
            "SELECT data FROM upload_files WHERE upload_id = %s", [upload_id]
        ).fetchone()
    assert row
    data: bytes | None = row["data"]
    return data


def of(rider: Rider, upload_id: str) -> httpx2.Response:
    return rider.client.get(f"/api/uploads/{upload_id}/file")


@pytest.mark.parametrize(
    "data",
    [gpx(60), os.urandom(3_500_000), b"x" * 20_000_000],
    ids=["compressed", "of several pieces", "much out of little"],
)
def test_a_file_is_kept_in_the_store_and_comes_back_as_it_was(
    storing: Rider, database: Database, data: bytes
) -> None:
    answer = post(storing, data, "a.gpx")
    assert answer.status_code == 202, answer.text
    upload = answer.json()["upload"]["id"]
    assert bytes_in_postgresql(database, upload) is None
    assert of(storing, upload).content == data
    archive = zipfile.ZipFile(io.BytesIO(storing.client.get("/api/users/me/export").content))
    (row,) = [json.loads(line) for line in archive.read("uploads.ndjson").splitlines()]
    assert archive.read(row["file"]) == data


def test_what_postgresql_has_of_before_comes_back_from_there(
    rider: Rider, store_service: str
) -> None:
    upload = send(rider, gpx(60))
    for storing in beside(rider, store_service):
        assert of(storing, upload["id"]).content == gpx(60)


def test_what_is_in_the_store_is_503_for_who_has_no_setting_and_404_once_it_is_gone(
    storing: Rider, rider: Rider, database: Database
) -> None:
    upload = post(storing, gpx(60)).json()["upload"]["id"]
    other = rider.client.get(f"/api/uploads/{upload}/file", headers=storing.client.headers)
    problem_of(other, 503)
    with database.connection() as connection:
        connection.execute("INSERT INTO stored_objects (name) VALUES (%s)", [f"gone/{upload}"])
        connection.execute(
            "UPDATE upload_files SET object = %s WHERE upload_id = %s", [f"gone/{upload}", upload]
        )
    problem_of(of(storing, upload), 404)


def test_while_the_store_is_away_files_are_503_and_nothing_is_lost(
    storing: Rider,
    urls: Mapping[str, str],
    store_variables: dict[str, str],
    database: Database,
    tmp_path: Path,
) -> None:
    kept, nowhere = post(storing, gpx(60)).json()["upload"], "http://127.0.0.1:1"
    variables = {**urls, **store_variables, "ORIGINALS_ENDPOINT": nowhere}
    with serving(tmp_path / "api.log", **variables) as url:
        for away in beside(storing, url):
            answer = post(away, fit(60))
            assert "nothing was lost" in problem_of(answer, 503)["detail"]
            assert answer.headers["retry-after"] == "5"
            problem_of(of(away, kept["id"]), 503)
            assert post(away, gpx(60)).json()["upload"]["id"] == kept["id"]  # it is there
            listed = away.client.get("/api/uploads").json()["uploads"]
            assert [each["id"] for each in listed] == [kept["id"]]
    assert of(storing, kept["id"]).content == gpx(60)
    assert post(storing, fit(60)).status_code == 202


def test_a_duplicate_costs_no_object(rider: Rider, store_service: str, database: Database) -> None:
    send(rider, gpx(60))
    for storing in beside(rider, store_service):
        answer = storing.client.post("/api/uploads", content=gpx(60), headers=OCTETS)
        assert answer.status_code == 409
    with database.connection() as connection:
        found = connection.execute(
            "SELECT name FROM stored_objects WHERE name LIKE %s", [f"{rider.account.user_id}/%"]
        ).fetchall()
    assert found == []


def test_the_client_is_imported_only_where_a_store_is_set(
    urls: Mapping[str, str], store_variables: dict[str, str]
) -> None:
    program = (
        "import os, sys; from shared.settings import read_settings; import worker.__main__;"
        " from shared.originals import open_originals; import api.app;"
        " open_originals(read_settings(os.environ)); print('obstore' in sys.modules)"
    )
    for more, imported in (({}, "False"), (store_variables, "True")):
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, **urls, **more},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == imported
