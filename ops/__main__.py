"""``python -m ops COMMAND``: what make runs. A failure that one can mend gets one line."""

import os
import sys
from pathlib import Path

try:
    import click
    import psycopg
    import redis
    from dotenv import load_dotenv

    from ops.commands import main
    from shared.errors import TrackerError
    from shared.settings import with_files
except KeyboardInterrupt:
    sys.exit(130)
except ModuleNotFoundError as missing:
    sys.exit(f"failed: {missing}: .venv is not whole; run `make clean setup`")


def _in_words(error: click.ClickException) -> str:
    """A mistake in the options, by the variables that make takes for them."""
    if not isinstance(error, click.BadParameter) or error.param is None:
        return error.format_message()
    option = error.param
    said = str(option.envvar) if option.envvar else f"--{option.name}"
    if isinstance(error, click.MissingParameter):
        about = (getattr(option, "help", None) or "").rstrip(".")
        return f"say {said}=…" + (f" ({about[0].lower()}{about[1:]})" if about else "")
    return f"{said}: {error.message}"


def _read_environment() -> None:
    """With .env, and with the content of files that are named in place of values."""
    load_dotenv(Path(__file__).resolve().parents[1] / ".env")
    complete = with_files(os.environ)
    os.environ.clear()
    os.environ.update(complete)


if __name__ == "__main__":
    try:
        _read_environment()
        main(standalone_mode=False)
    except click.Abort:
        sys.exit("given up")
    except click.ClickException as error:
        sys.exit(_in_words(error))
    except psycopg.errors.UndefinedTable:
        sys.exit("failed: the schema is not there: run `make migrate`")
    except (TrackerError, psycopg.OperationalError, redis.ConnectionError) as error:
        sys.exit(f"failed: {error}")
    except BrokenPipeError:  # of `make users | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.filename is None:
            raise
        sys.exit(f"failed: cannot use {error.filename}: {error.strerror}")
