"""Every variable of make that is a number, an address, a date or a file is checked in one way."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bench.__main__ import main as bench
from bench.decade import main as decade
from ops.commands import main
from ops.variables import NO_RIDE, Address, RideFile, Variable, allowed, in_words
from tests.conftest import ROOT, run_ops
from tests.faults.chaos import main as chaos
from tests.soak.soak import main as soak


def options() -> Iterator[tuple[str, Variable]]:
    """Each that make gives, with its command."""
    for command in (*main.commands.values(), bench, decade, chaos, soak):
        for each in command.params:
            if each.envvar:
                assert isinstance(each, Variable), (command.name, each.name)
                yield f"{command.name} {each.envvar}", each


CHECKED = {name: each for name, each in options() if each.type is not click.STRING}
PATHS = {name: each for name, each in CHECKED.items() if isinstance(each.type, click.Path)}


@pytest.mark.parametrize("name", sorted(CHECKED.keys() - PATHS.keys()))
def test_what_is_none_is_refused_with_what_one_looks_like(name: str) -> None:
    option = CHECKED[name]
    with pytest.raises(click.BadParameter) as caught:
        option.type_cast_value(click.Context(main), "foo")
    variable = option.envvar if isinstance(option.envvar, str) else (option.envvar or [""])[0]
    assert in_words(caught.value) == f"{variable} must be {allowed(option.type)}, not 'foo'"
    assert allowed(option.type)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (click.IntRange(0, 65535), "a whole number from 0 to 65535"),
        (click.IntRange(1), "a whole number of at least 1"),
        (click.FloatRange(0.05, 1440), "a number from 0.05 to 1440"),
        (click.Choice(["batches", "streams"]), "one of batches, streams"),
        (Address(), "the address of a service alone, such as http://127.0.0.1:8000"),
        (RideFile(), "a file that can be read, or none"),
        (click.Path(exists=True, file_okay=False), "a folder that is there"),
    ],
)
def test_the_words_of_a_type(kind: click.ParamType[object], words: str) -> None:
    assert allowed(kind) == words


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://localhost:8160", "http://localhost:8160"),
        ("https://tracker.example/", "https://tracker.example"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_an_address_is_taken_without_its_slash(url: str, address: str) -> None:
    assert Address()(url) == address


@pytest.mark.parametrize(
    "url",
    ["foo", "localhost:8160", "ftp://a", "http://", "http://[::1", "http://a/b", "http://a:0"],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(click.BadParameter):
        Address()(url)


def test_a_ride_is_a_file_or_none(tmp_path: Path) -> None:
    file = tmp_path / "ride.fit"
    with pytest.raises(click.BadParameter):
        RideFile()(str(file))
    file.touch()
    assert RideFile()(str(file)) == file
    assert RideFile()("none") == NO_RIDE


@pytest.mark.parametrize(
    ("command", "variables", "said"),
    [
        ("watch", {"URL": "foo", "ID": "x"}, "URL must be the address of a service alone"),
        ("simulate", {"URL": "localhost:8160"}, "URL must be the address of a service alone"),
        ("run", {"PORT": "abc"}, "PORT must be a whole number from 0 to 65535, not 'abc'"),
    ],
)
def test_a_wrong_variable_costs_one_line(
    data_dir: Path, command: str, variables: dict[str, str], said: str
) -> None:
    done = run_ops(command, data_dir=data_dir, **variables)
    assert done.returncode == 2
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 1


def test_a_service_that_does_not_answer_costs_one_line(data_dir: Path) -> None:
    done = run_ops("simulate", data_dir=data_dir, URL="http://127.0.0.1:9", RIDERS="1")
    assert done.returncode == 1
    assert done.stderr.startswith("failed: http://127.0.0.1:9 does not answer")
    assert len(done.stderr.splitlines()) == 1


def test_a_number_that_others_read_is_checked_as_well() -> None:
    done = subprocess.run(["make", "scale", "N=many"], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.splitlines()[0] == "N must be a whole number, not 'many'"
    assert "Docker" not in done.stdout
