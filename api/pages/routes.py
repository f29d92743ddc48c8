"""Every page, and the files that pages load."""

from typing import Final

from starlette.routing import BaseRoute

from api.pages import (
    account,
    apps,
    athletes,
    entrance,
    home,
    imports,
    ride,
    rides,
    season,
    shared_ride,
    static,
    units,
    webhooks,
)
from api.pages.routing import PageEndpoint
from api.web.routing import Route

PAGES: Final = (
    *home.PAGES,
    *entrance.PAGES,
    *units.PAGES,
    *rides.PAGES,
    *ride.PAGES,
    *shared_ride.PAGES,
    *season.PAGES,
    *athletes.PAGES,
    *imports.PAGES,
    *account.PAGES,
    *webhooks.PAGES,
    *apps.PAGES,
)


def routes() -> list[BaseRoute]:
    """For the application."""
    pages = [Route(each.path, PageEndpoint(each)) for each in PAGES]
    return [*pages, Route(static.PATH, static.send)]
