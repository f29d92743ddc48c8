"""Users and keys from the command line, as the service then sees them."""

import secrets
from pathlib import Path

import httpx2
import pytest

from ops.admin import accounts
from ops.processes import ProcessFailed
from shared.connections import Database
from shared.credentials import key_id_of
from tests.conftest import Rider, run_ops
from tests.worker.waiting import eventually


def status(service: str, key: str, path: str = "/api/workouts") -> int:
    return httpx2.get(service + path, headers={"X-API-Key": key}).status_code


def test_a_key_of_chosen_scopes_is_printed_once(
    rider: Rider, service: str, urls: dict[str, str], tmp_path: Path
) -> None:
    made = run_ops(
        "key", data_dir=tmp_path, **urls, EMAIL=rider.account.email.upper(), SCOPES="read, upload"
    )
    key = made.stdout.strip()
    assert status(service, key) == 200
    assert status(service, key, "/api/keys") == 403
    expired = run_ops(
        "key", data_dir=tmp_path, **urls, EMAIL=rider.account.email, EXPIRES="2020-01-01"
    )
    assert status(service, expired.stdout.strip()) == 401


def test_what_makes_no_sense_is_refused(urls: dict[str, str], tmp_path: Path) -> None:
    def refusal(*arguments: str, **variables: str) -> str:
        done = run_ops(*arguments, data_dir=tmp_path, **urls, **variables)
        assert done.returncode != 0
        return done.stderr

    assert "there is no user" in refusal("key", EMAIL="nobody@example.com")
    assert "upload, read, admin" in refusal("key", EMAIL="nobody@example.com", SCOPES="root")
    assert "there is no such key" in refusal("revoke", KEY="0" * 16)
    assert "there is no user" in refusal("disable-user", EMAIL="nobody@example.com")


@pytest.mark.parametrize("whole", [True, False])
def test_a_key_is_revoked_by_its_id_or_whole(
    rider: Rider, service: str, database_url: str, whole: bool
) -> None:
    key = rider.account.api_key
    assert status(service, key) == 200
    accounts.revoke_key(database_url, key if whole else str(key_id_of(key)))
    eventually(lambda: status(service, key) == 401)
    with pytest.raises(ProcessFailed):
        accounts.revoke_key(database_url, key)


def test_a_user_is_shut_out_and_let_in_again(
    rider: Rider, service: str, urls: dict[str, str], tmp_path: Path
) -> None:
    def ops(*arguments: str, **variables: str) -> str:
        done = run_ops(*arguments, data_dir=tmp_path, **urls, **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout

    rider.start()
    email, key = rider.account.email, rider.account.api_key
    assert "shut out" in ops("disable-user", EMAIL=email)
    eventually(lambda: status(service, key) == 401)
    (line,) = [line for line in ops("users").splitlines() if line.startswith(f"{email}: ")]
    assert line.endswith("1 rides, 1 keys, disabled")
    ops("disable-user", EMAIL=email, UNDO="1")
    eventually(lambda: status(service, key) == 200)


def test_every_act_is_on_record(rider: Rider, database_url: str, database: Database) -> None:
    email = rider.account.email
    accounts.create_account(database_url, email, "again")
    made = accounts.create_key(database_url, email, "watch", ["upload"], None)
    accounts.revoke_key(database_url, made.api_key)
    accounts.set_disabled(database_url, email, disabled=True)
    accounts.set_disabled(database_url, email, disabled=False)
    with database.connection() as connection:
        rows = connection.execute(
            "SELECT action FROM audit_log WHERE user_id = %s AND key_id IS NULL ORDER BY id",
            [rider.account.user_id],
        ).fetchall()
    done = [row["action"] for row in rows]
    assert done[:4] == ["create_user", "create_key", "create_key", "create_key"]
    assert done[4:] == ["revoke_key", "disable_user", "enable_user"]


def test_a_code_and_a_password_are_printed_and_nothing_else(
    rider: Rider, service: str, urls: dict[str, str], database: Database, tmp_path: Path
) -> None:
    code = run_ops("invite", data_dir=tmp_path, **urls, DAYS="2").stdout.strip()
    with database.connection() as connection:
        row = connection.execute(
            "SELECT expires_at > now() + interval '47 hours' AS lasts FROM invitations"
            " WHERE hash = sha256(%s)",
            [code.encode()],
        ).fetchone()
    assert row == {"lasts": True}
    email = rider.account.email
    password = run_ops("reset-password", data_dir=tmp_path, **urls, EMAIL=email).stdout.strip()
    login = {"email": email, "password": password}
    assert httpx2.post(f"{service}/api/sessions", json=login).status_code == 201
    refused = run_ops("reset-password", data_dir=tmp_path, **urls, EMAIL="nobody@example.com")
    assert "there is no user" in refused.stderr


def test_a_user_is_found_however_the_address_is_written(database_url: str) -> None:
    name = secrets.token_hex(6)
    made = accounts.create_account(database_url, f"{name}@xn--mnchen-3ya.com", "first")
    assert made.email == f"{name}@münchen.com"
    found = accounts.create_key(database_url, f"{name}@MÜNCHEN.com", "second", ["read"], None)
    assert found.user_id == made.user_id
