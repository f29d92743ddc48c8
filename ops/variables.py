"""Options of commands that make gives as variables: checked, and refused in plain words."""

import sys
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

NO_RIDE: Final = Path("none")
_ADDRESS: Final = "the address of a service alone, such as http://127.0.0.1:8000"
_DAY: Final = "a day such as 2027-01-31, or a time such as 2027-01-31T08:00:00"


class Address(click.ParamType[str]):
    """Where a service is: http or https, a host, perhaps a port, and no path."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address without a slash at its end."""
        try:
            parts = urlsplit(value)
            is_one = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # no port, or half an IPv6 address
            is_one = False
        if not is_one or parts.path not in ("", "/") or parts.query or parts.fragment:
            self.fail("is no address", param, ctx)
        return str(value).rstrip("/")


class RideFile(click.Path):
    """A file with a ride, or the word for none."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The file's path, or NO_RIDE."""
        found: Any = NO_RIDE if value == str(NO_RIDE) else super().convert(value, param, ctx)
        return Path(found)


class Variable(click.Option):
    """An option that says of a wrong value what one looks like, by the type of the option."""

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """The value as its type has it. Raises BadParameter in our words."""
        try:
            return super().type_cast_value(ctx, value)
        except click.BadParameter as error:
            told = allowed(self.type) or error.message
            raise click.BadParameter(f"must be {told}, not {value!r}", ctx, self) from None


variable = partial(click.option, cls=Variable)


def allowed(kind: click.ParamType[Any]) -> str:
    """What a value of the type looks like; nothing of a text, which can be any."""
    match kind:
        case click.IntRange() | click.FloatRange():
            noun = "a whole number" if isinstance(kind, click.IntRange) else "a number"
            return noun + _range(kind.min, kind.max)
        case click.Choice():
            return f"one of {', '.join(kind.choices)}"
        case click.DateTime():
            return _DAY
        case RideFile():
            return "a file that can be read, or none"
        case click.Path():
            return "a file that can be read" if kind.file_okay else "a folder that is there"
        case Address():
            return _ADDRESS
    return {"integer": "a whole number", "float": "a number", "boolean": "1 or 0"}.get(
        kind.name, ""
    )


def _range(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f" from {least:.15g} to {most:.15g}"
    return f" of at least {least:.15g}" if least is not None else ""


def run_in_words(command: click.Command) -> None:
    """Run a command. A wrong option costs one line, and the exit code 2."""
    try:
        command.main(standalone_mode=False)
    except click.Abort:
        sys.exit("given up")
    except click.ClickException as error:
        print(in_words(error), file=sys.stderr)
        sys.exit(error.exit_code)


def in_words(error: click.ClickException) -> str:
    """A mistake in the options, by the variables that make takes for them."""
    if not isinstance(error, click.BadParameter) or error.param is None:
        return error.format_message()
    option = error.param
    names = [option.envvar] if isinstance(option.envvar, str) else option.envvar
    said = names[0] if names else f"--{option.name}"
    if isinstance(error, click.MissingParameter):
        about = (getattr(option, "help", None) or "").rstrip(".")
        return f"say {said}=…" + (f" ({about[0].lower()}{about[1:]})" if about else "")
    return f"{said} {error.message}"
