"""docs/picture.py: the rooms and their arrows, from the imports alone."""

from graphlib import CycleError
from pathlib import Path

import pytest

from docs.picture import ROOT, draw, picture, rooms

SERVICE = {
    "api/__init__.py": "",
    "api/app.py": "from api.web import routes",
    "api/state.py": "from shared import errors",
    "api/web/__init__.py": "",
    "api/web/routes.py": "import api.state\nfrom shared.samples.codec import decode",
    "shared/errors.py": "",
    "shared/samples/__init__.py": "",
    "shared/samples/codec.py": "import json",
    "worker/__main__.py": "def main(): from shared.errors import TrackerError",
    "ops/setup.py": "import sys",
}


def build(folder: Path, **more: str) -> Path:
    for name, text in {**SERVICE, **more}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_the_picture_is_what_the_imports_make_it() -> None:
    """`make picture` draws it anew."""
    assert picture(rooms()) in (ROOT / "docs" / "architecture.md").read_text()


def test_a_room_is_a_folder_or_what_stands_beside_the_folders(tmp_path: Path) -> None:
    assert rooms(build(tmp_path)) == {
        "api": {"api.web"},
        "api.web": {"api.state", "shared.samples"},
        "api.state": {"shared"},
        "shared": set(),
        "shared.samples": set(),
        "worker": {"shared"},
        "ops": set(),
    }


def test_an_arrow_that_others_imply_is_left_out() -> None:
    text = picture({"api": {"api.web", "shared"}, "api.web": {"shared"}, "shared": set()})
    assert [line.strip() for line in text.splitlines() if "-->" in line] == [
        "api --> api_web",
        "api_web --> shared",
    ]
    assert 'api_web["api.web"]' in text


def test_a_circle_has_no_picture(tmp_path: Path) -> None:
    circle = {"api/state.py": "from api.web.routes import Route"}
    with pytest.raises(CycleError):
        picture(rooms(build(tmp_path, **circle)))


def test_a_new_picture_replaces_the_old_one(tmp_path: Path) -> None:
    document = tmp_path / "architecture.md"
    document.write_text("before\n<!-- picture -->\nold\n<!-- /picture -->\nafter\n")
    for _ in range(2):
        draw(document, "new\n")
        expected = "before\n<!-- picture -->\nnew\n<!-- /picture -->\nafter\n"
        assert document.read_text() == expected
