"""How Redis servers of a test are reached: as they are, or by TLS and passwords alone."""

import shutil
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from cryptography.x509 import IPAddress

from ops.embedded.valkey import server_program
from tests.certificates import write_certificate
from tests.conftest import need

# It is the whole server, and behaves as such under its name. Debian's knows TLS, unlike the
# embedded Valkey, and is the oldest Redis that the service runs on.
_DEBIANS: Final = "redis-check-rdb"


@dataclass(frozen=True)
class Access:
    """Which program serves, and what its clients need: nothing, or all of these.

    ``certificate`` is a file with the key that belongs to it; ``own`` is the sentinels' password.
    """

    program: Path
    certificate: Path | None = None
    password: str | None = None
    own: str | None = None

    def listening(self, port: int) -> dict[str, str]:
        """The settings of a server at a port."""
        if self.certificate is None:
            return {"port": str(port)}
        return {
            "port": "0",
            "tls-port": str(port),
            "tls-cert-file": str(self.certificate),
            "tls-key-file": str(self.certificate),
            "tls-ca-cert-file": str(self.certificate),
            "tls-auth-clients": "no",
            "tls-replication": "yes",
        }

    @property
    def admitting(self) -> dict[str, str]:
        """The settings by which those that have rides let in whom, and one another."""
        if self.password is None:
            return {}
        return {"requirepass": self.password, "masterauth": self.password, "tls-cluster": "yes"}

    def watching(self, name: str) -> dict[str, str]:
        """The settings by which sentinels get at whom they watch over, and at one another."""
        if self.password is None or self.own is None:
            return {}
        return {
            f"sentinel auth-pass {name}": self.password,
            "sentinel sentinel-pass": self.own,
            "requirepass": self.own,
        }

    def url(self, kind: str, names: str, path: str = "") -> str:
        """The address of servers."""
        if self.password is None:
            return f"redis+{kind}://{names}/{path}"
        options = f"ssl_ca_certs={self.certificate}"
        options += f"&sentinel_password={self.own}" if kind == "sentinel" else ""
        return f"rediss+{kind}://:{self.password}@{names}/{path}?{options}"


OPEN: Final = Access(server_program())


def secured(folder: Path) -> Access:
    """By a certificate and passwords, on Debian's Redis."""
    need(_DEBIANS, "redis-tools")
    program = folder / "redis-server"
    program.symlink_to(str(shutil.which(_DEBIANS)))
    certificate = write_certificate(folder, IPAddress(IPv4Address("127.0.0.1")))
    return Access(program, certificate, "a-password", "the-sentinels-own")
