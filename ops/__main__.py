"""``python -m ops COMMAND``: what make runs. A failure that one can mend gets one line."""

import errno
import os
import sys
from pathlib import Path

try:
    import httpx2
    import psycopg
    import redis
    from dotenv import load_dotenv

    from ops.commands import main
    from ops.variables import run_in_words
    from shared.errors import TrackerError
    from shared.settings import with_files
except KeyboardInterrupt:
    sys.exit(130)
except ModuleNotFoundError as missing:
    sys.exit(f"failed: {missing}: .venv is not whole; run `make clean setup`")


def _origin_of(url: httpx2.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode()}"


def _read_environment() -> None:
    """With .env, and with the content of files that are named in place of values."""
    load_dotenv(Path(__file__).resolve().parents[1] / ".env")
    complete = with_files(os.environ)
    os.environ.clear()
    os.environ.update(complete)


if __name__ == "__main__":
    try:
        _read_environment()
        run_in_words(main)
    except psycopg.errors.UndefinedTable:
        sys.exit("failed: the schema is not there: run `make migrate`")
    except (TrackerError, psycopg.OperationalError, redis.ConnectionError) as error:
        sys.exit(f"failed: {error}")
    except httpx2.TransportError as error:
        sys.exit(f"failed: {_origin_of(error.request.url)} does not answer: {error}")
    except BrokenPipeError:  # of `make users | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            sys.exit("failed: the disk is full, or so much of it as is ours")
        if error.filename is None:
            raise
        sys.exit(f"failed: cannot use {error.filename}: {error.strerror}")
