"""Who a rider has let in: rows in every table of coaches, apps and webhooks."""

from typing import Final

import psycopg

from ops.admin.accounts import create_account

# How many of each there are.
LET_IN: Final = """
    SELECT
        (SELECT count(*) FROM open_athlete_shares) AS shares,
        (SELECT count(*) FROM apps JOIN app_grants ON app_id = apps.id) AS grants,
        (SELECT count(*) FROM app_refresh_tokens JOIN app_grants ON id = grant_id) AS refreshable,
        (SELECT count(*) FROM open_keys JOIN app_grants ON app_grants.id = grant_id) AS opening,
        (SELECT count(*) FROM webhook_deliveries JOIN webhooks ON webhooks.id = webhook_id)
            AS webhooks
    """


def let_in(url: str) -> None:
    """Make a rider whom a coach reads, who has let an app in and has a webhook told."""
    rider, coach = (
        create_account(url, f"{name}@example.com", "test").user_id for name in ("rider", "coach")
    )
    with psycopg.connect(url) as connection:
        connection.execute(
            """
            INSERT INTO athlete_shares (user_id, reader_id, email, accepted_at)
            VALUES (%s, %s, 'coach@example.com', now())
            """,
            [rider, coach],
        )
        connection.execute(
            """
            WITH app AS (
                INSERT INTO apps (user_id, name, redirect_uris, secret_hash)
                VALUES (%(coach)s, 'test', '{https://app.example/in}', sha256('secret'))
                RETURNING id
            ), let_in AS (
                INSERT INTO app_grants (
                    app_id, user_id, scopes, code_hash, code_challenge, code_expires_at,
                    code_used_at
                )
                SELECT id, %(rider)s, '{read}', sha256('code'), 'x', now(), now() FROM app
                RETURNING id
            ), refreshable AS (
                INSERT INTO app_refresh_tokens (hash, grant_id, expires_at, salt)
                SELECT sha256('token'), id, now() + interval '1 day', 'salt' FROM let_in
            )
            INSERT INTO api_keys (id, user_id, hash, name, scopes, expires_at, grant_id)
            SELECT 'f000000000000000', %(rider)s, sha256('key'), 'app', '{read}',
                now() + interval '1 hour', id
            FROM let_in
            """,
            {"rider": rider, "coach": coach},
        )
        connection.execute(
            """
            WITH told AS (
                INSERT INTO webhooks (user_id, url, events, secret)
                VALUES (%s, 'https://app.example/', '{workout.deleted}', 'whsec_')
                RETURNING id
            )
            INSERT INTO webhook_deliveries (webhook_id, message_id, event, subject_id, payload)
            SELECT id, 'msg', 'workout.deleted', id, '{}' FROM told
            """,
            [rider],
        )
