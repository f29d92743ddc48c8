"""A real OpenID provider for the tests: django-oauth-toolkit, with a login page, by itself.

``python -m tests.sign_in.django_provider FD FOLDER`` serves on an inherited socket; FOLDER has its
key and database.
Everything that makes it a provider is the package's; here stand its settings, and a way for the
tests to set riders and clients up.
"""

import json
import socket
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

LOGIN_PAGE = '<form method="post">{% csrf_token %}{{ form }}<button>Log in</button></form>'
urlpatterns: list[Any] = []


def configure(port: int, folder: Path) -> None:
    """Django in one call."""
    settings.configure(
        SECRET_KEY="of the tests",
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=__name__,
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "provider.sqlite"}
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # the tests' time
        USE_TZ=True,
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "oauth2_provider",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": [
                        (
                            "django.template.loaders.locmem.Loader",
                            {"registration/login.html": LOGIN_PAGE},
                        ),
                        "django.template.loaders.app_directories.Loader",
                    ]
                },
            }
        ],
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_ISS_ENDPOINT": f"http://127.0.0.1:{port}",
            "OIDC_RSA_PRIVATE_KEY": (folder / "key.pem").read_text(),
            "OAUTH2_VALIDATOR_CLASS": "tests.sign_in.django_claims.Validator",
            "SCOPES": {"openid": "who you are", "email": "your address", "profile": "your name"},
            "PKCE_REQUIRED": True,
            "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
            "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
            "ALLOWED_REDIRECT_URI_SCHEMES": ["http"],
        },
    )
    django.setup()


@csrf_exempt  # type: ignore[untyped-decorator]
def put_rider(request: HttpRequest) -> HttpResponse:
    """A rider as the test wants it. Django knows no verified addresses: staff have one."""
    from django.contrib.auth.models import User

    wanted = json.loads(request.body)
    password = wanted.pop("password")
    rider, _ = User.objects.update_or_create(username=wanted.pop("username"), defaults=wanted)
    rider.set_password(password)
    rider.save()
    return JsonResponse({"sub": str(rider.pk)})


@csrf_exempt  # type: ignore[untyped-decorator]
def put_client(request: HttpRequest) -> HttpResponse:
    """This service, as a client that the provider knows."""
    from oauth2_provider.models import Application

    wanted = json.loads(request.body)
    Application.objects.update_or_create(
        client_id=wanted["client_id"],
        defaults={
            "client_type": "confidential",
            "authorization_grant_type": "authorization-code",
            "client_secret": wanted["client_secret"],
            "redirect_uris": wanted["redirect_uris"],
            "algorithm": "RS256",
        },
    )
    return JsonResponse({})


def make_urlpatterns() -> list[Any]:
    from django.contrib.auth.views import LoginView

    return [
        path("accounts/login/", LoginView.as_view()),
        path("test/riders", put_rider),
        path("test/clients", put_client),
        path("", include("oauth2_provider.urls", namespace="oauth2_provider")),
    ]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingMixIn, WSGIServer):
    """Serves on a socket that listens already: its port was never free for others to take."""

    daemon_threads = True

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(listener.getsockname(), Quiet, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = listener.getsockname()
        self.setup_environ()


def main() -> None:
    listener, folder = socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2])
    configure(listener.getsockname()[1], folder)
    call_command("migrate", verbosity=0)
    urlpatterns.extend(make_urlpatterns())
    server = Server(listener)
    server.set_app(get_wsgi_application())
    server.serve_forever()


if __name__ == "__main__":
    main()
