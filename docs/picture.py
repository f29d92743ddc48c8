"""Draws the picture in docs/architecture.md: which room imports which, read from the imports.

A room is a folder of ``api``, ``worker``, ``ops`` or ``shared``. The modules beside the folders are
one room together, but each that a folder of the same package stands on is one by itself. Rooms that
import each other in a circle have no picture.
"""

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = ("api", "worker", "ops", "shared")
BEGIN, END = "<!-- picture -->\n", "<!-- /picture -->"

Arrows = dict[str, set[str]]


def rooms(root: Path = ROOT) -> Arrows:
    """Each room, with those that it imports."""
    modules = _modules(root)
    folder_of = {module: _folder(module, root) for module in modules}
    beneath = {
        each
        for module in modules
        if folder_of[module]
        for each in _reached_from(module, modules)
        if not folder_of[each] and _package(module) == _package(each)
    }
    room_of = {
        module: folder or (module if module in beneath else _package(module))
        for module, folder in folder_of.items()
    }
    arrows: Arrows = {room: set() for room in room_of.values()}
    for module, imported in modules.items():
        arrows[room_of[module]] |= {room_of[each] for each in imported} - {room_of[module]}
    return arrows


def picture(arrows: Arrows) -> str:
    """A Mermaid flowchart of the rooms, the importing above the imported. Raises CycleError.

    An arrow is left out where others lead the same way.
    """
    in_order = {room: sorted(arrows[room]) for room in sorted(arrows)}
    order = list(TopologicalSorter(in_order).static_order())[::-1]
    lines = ["```mermaid", "flowchart TD"]
    for package in PACKAGES:
        boxes = [f'        {_id(room)}["{room}"]' for room in order if _package(room) == package]
        lines += [f'    subgraph {package}_["{package}/"]', *boxes, "    end"]
    for room in order:
        detours = {end for to in arrows[room] for end in _reached_from(to, arrows)}
        lines += [f"    {_id(room)} --> {_id(to)}" for to in sorted(arrows[room] - detours)]
    return "\n".join([*lines, "```", ""])


def draw(document: Path, text: str) -> None:
    """Put the picture between the marks in the document."""
    before, _, rest = document.read_text().partition(BEGIN)
    document.write_text(before + BEGIN + text + END + rest.partition(END)[2])


def _modules(root: Path) -> Arrows:
    """Each module, with those that it imports."""
    paths = [path for package in PACKAGES for path in (root / package).rglob("*.py")]
    names = [".".join(path.relative_to(root).with_suffix("").parts) for path in paths]
    found = dict(zip([name.removesuffix(".__init__") for name in names], paths, strict=True))
    return {name: found.keys() & set(_imports(path)) for name, path in found.items()}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _folder(module: str, root: Path) -> str:
    """The folder that it is in; empty if it is beside the folders of its package."""
    package, _, rest = module.partition(".")
    folder = rest.partition(".")[0]
    return f"{package}.{folder}" if folder and (root / package / folder).is_dir() else ""


def _id(room: str) -> str:
    return room.replace(".", "_")


def _package(name: str) -> str:
    return name.partition(".")[0]


def _reached_from(room: str, arrows: Arrows) -> set[str]:
    reached, waiting = set[str](), [*arrows[room]]
    while waiting:
        if (each := waiting.pop()) not in reached:
            reached.add(each)
            waiting += arrows[each]
    return reached


if __name__ == "__main__":
    try:
        draw(ROOT / "docs" / "architecture.md", picture(rooms()))
    except CycleError as error:
        sys.exit(f"these rooms import each other: {' → '.join(reversed(error.args[1]))}")
