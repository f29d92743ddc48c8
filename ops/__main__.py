"""``python -m ops COMMAND``: what make runs. A failure that one can mend gets one line."""

import sys
from pathlib import Path

try:
    import psycopg
    import redis
    from dotenv import load_dotenv

    from ops.commands import main
    from shared.errors import TrackerError
except KeyboardInterrupt:
    sys.exit(130)
except ModuleNotFoundError as missing:
    sys.exit(f"failed: {missing}: .venv is not whole; run `make clean setup`")


if __name__ == "__main__":
    load_dotenv(Path(__file__).resolve().parents[1] / ".env")
    try:
        main()
    except psycopg.errors.UndefinedTable:
        sys.exit("failed: the schema is not there: run `make migrate`")
    except (TrackerError, psycopg.OperationalError, redis.ConnectionError) as error:
        sys.exit(f"failed: {error}")
