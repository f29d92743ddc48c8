"""Apps by the command line: registered, listed, ended, and each act on record."""

from pathlib import Path

import pytest

from ops.admin.apps import create_app, end_app, read_apps
from ops.processes import ProcessFailed
from shared.connections import Database
from shared.credentials import hash_key
from tests.conftest import run_ops

REDIRECT = "https://poster.example/in"


def test_an_app_is_registered_listed_and_ended(
    urls: dict[str, str], database: Database, tmp_path: Path
) -> None:
    def ops(*arguments: str, **variables: str) -> str:
        done = run_ops(*arguments, data_dir=tmp_path, **urls, **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout

    uris = f"{REDIRECT} http://127.0.0.1/in"
    told = ops("app", NAME="Ride Poster", REDIRECT_URI=uris, CONFIDENTIAL="1")
    made = dict(line.split() for line in told.splitlines())
    with database.connection() as connection:
        query = "SELECT redirect_uris, secret_hash, user_id FROM apps WHERE id = %s"
        row = connection.execute(query, [made["client_id"]]).fetchone()
    assert row == {
        "redirect_uris": uris.split(),
        "secret_hash": hash_key(made["client_secret"]),
        "user_id": None,
    }
    listed = [line for line in ops("apps").splitlines() if line.startswith(made["client_id"])]
    what = "Ride Poster: confidential, by the operator, let in by 0 riders"
    assert listed == [f"{made['client_id']}  {what}, {uris}"]
    assert "Ride Poster is gone" in ops("end-app", APP=made["client_id"])
    assert made["client_id"] not in ops("apps")
    assert run_ops("end-app", data_dir=tmp_path, **urls, APP="x").returncode != 0


def test_every_act_is_on_record(database_url: str, database: Database) -> None:
    made = create_app(database_url, "Ride Poster", [REDIRECT], confidential=False)
    assert made.secret is None
    end_app(database_url, made.client_id)
    with database.connection() as connection:
        rows = connection.execute(
            "SELECT action FROM audit_log WHERE detail ->> 'app' = %s ORDER BY id", [made.client_id]
        ).fetchall()
    assert [row["action"] for row in rows] == ["register_app", "delete_app"]


def test_what_is_wrong_is_said(database_url: str) -> None:
    with pytest.raises(ProcessFailed, match="is none of https"):
        create_app(database_url, "x", ["http://poster.example"], confidential=False)
    with pytest.raises(ProcessFailed, match="REDIRECT_URI"):
        create_app(database_url, "x", [], confidential=False)
    for client_id in ("x", "01970000-0000-7000-8000-000000000005"):
        with pytest.raises(ProcessFailed, match="make apps"):
            end_app(database_url, client_id)
    assert all(each["name"] != "x" for each in read_apps(database_url))
