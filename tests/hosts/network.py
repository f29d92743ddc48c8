"""Hosts of a test's own: network namespaces, each with an address, on one switch.

What runs on one is reached by its address alone, and the host can be cut off: from all, as by a
cable that is pulled out, or from some, as by a firewall that drops what is sent to them. Nothing
tells either end of it.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import IPv4Network
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conftest import need
from tests.hosts.host import NAMESPACES, Host

_PREFIX: Final = "bpt"  # of all names; then the process that made them
# Where nobody is: a packet to it leaves its host, and reaches no other one.
_NOWHERE: Final = "02:00:00:00:00:01"
# Addresses that are set aside for tests of networks (RFC 2544), a part for each network.
_PARTS: Final = list(IPv4Network("198.18.0.0/15").subnets(new_prefix=24))
_number = count()


class Network:
    """A switch, and hosts that are plugged into it. This machine has ``address`` on it."""

    def __init__(self) -> None:
        _remove_those_of_the_dead()
        self._name = f"{_PREFIX}{os.getpid()}n{next(_number)}"
        self._hosts: dict[str, Host] = {}
        self._part = _unused_part()
        self.address = str(self._part[1])
        self.here = Host("here", self.address)
        _ip(
            f"netns add {self._name}",
            f"-n {self._name} link add switch type bridge",
            f"-n {self._name} link set switch up",
            f"link add {self._name} type veth peer name here netns {self._name}",
            f"addr add {self.address}/24 dev {self._name}",
            f"link set {self._name} up",
            f"-n {self._name} link set here master switch up",
        )

    def add(self, name: str) -> Host:
        """Plug in another host."""
        at = len(self._hosts)
        host = Host(name, str(self._part[at + 10]), f"{self._name}-{name}")
        self._hosts[name] = host
        _ip(
            f"netns add {host.namespace}",
            f"link add {_port(host)} netns {self._name} type veth peer name eth0"
            f" netns {host.namespace}",
            f"-n {self._name} link set {_port(host)} master switch up",
            f"-n {host.namespace} addr add {host.address}/24 dev eth0",
            f"-n {host.namespace} link set lo up",
            f"-n {host.namespace} link set eth0 up",
        )
        return host

    def all_but(self, host: Host) -> list[Host]:
        """This machine, too."""
        return [each for each in (self.here, *self._hosts.values()) if each != host]

    def cut_off(self, host: Host) -> None:
        """Pull out its cable."""
        _ip(f"-n {self._name} link set {_port(host)} down")

    def part(self, host: Host, *others: Host) -> None:
        """Nothing passes between it and the others, either way."""
        self.mute(host, *others)
        for other in others:
            self.mute(other, host)

    def mute(self, host: Host, *others: Host) -> None:
        """Nothing that it sends to the others arrives."""
        for other in others:
            _ip(
                f"-n {host.namespace} neigh replace {other.address} lladdr {_NOWHERE}"
                " nud permanent dev eth0"
            )

    def join(self) -> None:
        """All hosts reach one another again."""
        for host in self._hosts.values():
            _ip(
                f"-n {self._name} link set {_port(host)} up",
                f"-n {host.namespace} neigh flush nud permanent dev eth0",
            )

    def close(self) -> None:
        """Unplug and remove all hosts; whatever still runs on them is ended."""
        _remove([host.namespace for host in self._hosts.values()])
        _remove([self._name])


@contextmanager
def network() -> Iterator[Network]:
    """One of a test's own. Where the machine gives none, the test is skipped; on CI, it fails."""
    need("ip", "iproute2")
    try:
        found = Network()
    except subprocess.CalledProcessError as error:
        lack = pytest.fail if os.environ.get("CI") else pytest.skip
        lack(f"this machine lets nobody make network namespaces: {error.stderr.strip()}")
    try:
        yield found
    finally:
        found.close()


def _ip(*commands: str) -> None:
    """Run them in order. Raises CalledProcessError."""
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True, capture_output=True, text=True)


def _port(host: Host) -> str:
    """Of the switch, the one into which the host is plugged."""
    return f"to{host.address.rpartition('.')[2]}"


def _unused_part() -> IPv4Network:
    told = subprocess.run(["ip", "-json", "addr"], check=True, capture_output=True, text=True)
    links: list[dict[str, Any]] = json.loads(told.stdout)
    used = {address["local"] for link in links for address in link.get("addr_info", ())}
    begin = os.getpid() % len(_PARTS)
    turned = [*_PARTS[begin:], *_PARTS[:begin]]
    return next(part for part in turned if str(part[1]) not in used)


def _remove_those_of_the_dead() -> None:
    """What runs have left that were killed."""
    if NAMESPACES.exists():
        left = [each.name for each in NAMESPACES.glob(f"{_PREFIX}[0-9]*") if _is_of_the_dead(each)]
        _remove(sorted(left, key=len, reverse=True))  # hosts before their switch


def _is_of_the_dead(namespace: Path) -> bool:
    pid = namespace.name.removeprefix(_PREFIX).partition("n")[0]
    return pid.isdigit() and not Path(f"/proc/{pid}").exists()


def _remove(namespaces: Sequence[str]) -> None:
    """End what runs in them, and with them go their ends of all cables."""
    for each in namespaces:
        told = subprocess.run(["ip", "netns", "pids", each], capture_output=True, text=True)
        for pid in told.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), 9)
        with suppress(subprocess.CalledProcessError):  # a host has no such cable
            _ip(f"link del {each}")
        with suppress(subprocess.CalledProcessError):  # another run may remove it, too
            _ip(f"netns del {each}")
