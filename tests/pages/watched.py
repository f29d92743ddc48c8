"""A browser's window that remembers every error, and takes pictures of what it shows."""

from pathlib import Path
from typing import Final, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, ConsoleMessage, Page

FORMS: Final[tuple[tuple[str, int, Literal["light", "dark"]], ...]] = (
    ("desktop-light", 1440, "light"),
    ("desktop-dark", 1440, "dark"),
    ("phone-light", 390, "light"),
    ("phone-dark", 390, "dark"),
)


# The names of the buttons that are shown, and of which a part is beside the screen.
_OUT_OF_SIGHT: Final = """() => [...document.querySelectorAll("main button, main .button")]
  .map((button) => [button.textContent, button.getBoundingClientRect()])
  .filter(([, box]) => box.width && (box.left < 0 || box.right > innerWidth))
  .map(([name]) => name)"""


class Watched:
    """``errors``: what the console and the scripts of the page have complained about.

    Whatever the policy forbids is among it, and every request to another host. ``expected``: parts
    of messages that are none.
    """

    def __init__(self, context: BrowserContext, screenshots: Path) -> None:
        self.context = context
        self.page: Page = context.new_page()
        self.errors: list[str] = []
        self.expected: list[str] = []
        self._screenshots = screenshots
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._look_at(request.url))

    def _look_at(self, address: str) -> None:
        is_expected = any(part in address for part in self.expected)
        if not (address.startswith(("http://127.0.0.1:", "blob:")) or is_expected):
            self.errors.append(f"{self.page.url} asks {address}")

    def _hear(self, message: ConsoleMessage) -> None:
        is_expected = any(part in message.text for part in self.expected)
        if message.type in ("error", "warning") and not is_expected:
            self.errors.append(f"{self.page.url}: {message.text}")

    def go(self, path: str) -> None:
        """Open a page, and wait until it has loaded what it loads."""
        self.page.goto(path, wait_until="networkidle")

    def picture(self, name: str) -> None:
        """Keep the whole page as it looks now, in four forms; and let axe look at each."""
        size = self.page.viewport_size
        for form, width, scheme in FORMS:
            self.page.set_viewport_size({"width": width, "height": 844 if width < 640 else 900})
            self.page.emulate_media(color_scheme=scheme)
            self.page.evaluate("() => new Promise(requestAnimationFrame)")
            self.require_no_overflow()
            self.require_accessible()
            path = self._screenshots / f"{name}-{form}.png"
            self.page.screenshot(path=path, full_page=True)
        self.page.emulate_media(color_scheme="light")
        if size:
            self.page.set_viewport_size(size)

    def require_accessible(self) -> None:
        """Axe finds nothing, contrast included."""
        found = Axe().run(self.page)
        assert found.violations_count == 0, found.generate_report()

    def require_buttons_in_sight(self) -> None:
        """On a telephone no button is beside the screen, nor in what must be pushed sideways."""
        size = self.page.viewport_size
        self.page.set_viewport_size({"width": 390, "height": 844})
        self.page.evaluate("() => new Promise(requestAnimationFrame)")
        assert self.page.evaluate(_OUT_OF_SIGHT) == []
        if size:
            self.page.set_viewport_size(size)

    def require_no_overflow(self) -> None:
        """Nothing is wider than the screen."""
        wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert self.page.evaluate(wider) <= 0, f"{self.page.url} overflows"
