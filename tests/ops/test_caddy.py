"""The proxy of compose.yaml: a real Caddy before a real API."""

import os
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import yaml

from ops.processes import spawn, stop, wait_until
from tests.api.serving import serving
from tests.conftest import ROOT, need
from tests.ops.ports import free_ports

PROXY = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["proxy"]


@dataclass(frozen=True)
class Proxy:
    tls_port: int
    http_port: int
    local: str
    authority: Path

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """By TLS, as a browser would that trusts this Caddy's own authority."""
        trust = ssl.create_default_context(cafile=str(self.authority))
        url = f"https://localhost:{self.tls_port}{path}"
        return httpx2.get(url, headers=headers, verify=trust, timeout=30)


@pytest.fixture(scope="module")
def proxy(urls: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    need("caddy")
    folder = tmp_path_factory.mktemp("caddy")
    log = folder / "caddy.log"
    tls_port, http_port, local_port = free_ports(3)
    command = [
        str(ROOT / "ops/caddy/Caddyfile") if "/" in part else part for part in PROXY["command"]
    ]
    with serving(urls, folder / "api.log", TRUSTED_PROXIES="127.0.0.1") as api:
        environ = {
            **os.environ,
            "XDG_DATA_HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
            "DOMAIN": "localhost",
            "API": f"127.0.0.1:{api.base_url.port}",
            "HTTP_PORT": str(http_port),
            "HTTPS_PORT": str(tls_port),
            "LOCAL_PORT": str(local_port),
        }
        caddy = spawn(command, log=log, environ=environ)
        made = Proxy(
            tls_port,
            http_port,
            f"http://127.0.0.1:{local_port}",
            folder / "caddy" / "pki" / "authorities" / "local" / "root.crt",
        )
        try:
            wait_until(lambda: _answers(made), caddy, log)
            yield made
        finally:
            stop(caddy)


def _answers(proxy: Proxy) -> bool:
    try:
        return proxy.get("/health/live").is_success
    except (OSError, httpx2.TransportError):
        return False


def test_tls_leads_to_the_api_and_plain_http_to_tls(proxy: Proxy) -> None:
    answer = proxy.get("/health/ready")
    assert answer.json()["status"] in ("ready", "degraded")  # by other tests' workers
    assert "max-age=31536000" in answer.headers["Strict-Transport-Security"]
    plain = httpx2.get(f"http://localhost:{proxy.http_port}/health/live")
    assert plain.status_code == 308
    assert plain.headers["Location"].startswith("https://localhost")


def test_this_machine_needs_no_certificate(proxy: Proxy) -> None:
    answer = httpx2.get(f"{proxy.local}/health/live")
    assert answer.is_success
    assert "Strict-Transport-Security" not in answer.headers


def test_other_machines_do_not_get_in_without_tls(proxy: Proxy) -> None:
    """127.0.0.2 stands for any address of this machine but the one."""
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(proxy.local.replace("127.0.0.1", "127.0.0.2") + "/health/live")


def test_the_health_check_of_the_proxy_asks_through_it(proxy: Proxy) -> None:
    need("wget")
    _, *command, url = PROXY["healthcheck"]["test"]
    asked = url.replace("http://127.0.0.1:8000", proxy.local)
    assert subprocess.run([*command, asked]).returncode == 0
    gone = asked.replace("/health/live", "/nowhere")
    assert subprocess.run([*command, gone]).returncode != 0
