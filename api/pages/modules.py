"""A script as one module with all that it imports: a page waits for one answer, not for thirty.

Each of our modules is enclosed in a function of its own, in the order in which they need one
another: what they name collides nowhere, and each runs once. Pure.
"""

import re
from collections.abc import Mapping
from graphlib import TopologicalSorter
from typing import Final

_IMPORT: Final = re.compile(r'^import (?:(\{.*\}) from )?"\./(.+)\.js";\n', re.MULTILINE)
_EXPORT: Final = re.compile(
    r"^export (?=(?:const|class|function|async function) (\w+))", re.MULTILINE
)


def join_modules(sources: Mapping[str, str], name: str) -> str:
    """The module of that name (without ``.js``), and before it what it imports.

    Raises KeyError for a module that is not among the sources, CycleError for modules that import
    one another in a circle.
    """
    graph, waiting = dict[str, list[str]](), [name]
    while waiting:
        module = waiting.pop()
        if module not in graph:
            graph[module] = [each for _, each in _IMPORT.findall(sources[module])]
            waiting += graph[module]
    order = TopologicalSorter(graph).static_order()
    exported = ", ".join(_EXPORT.findall(sources[name]))
    end = f"export const {{ {exported} }} = {_object(name)};\n" if exported else ""
    return "".join(_enclosed(each, sources[each]) for each in order) + end


def _enclosed(name: str, source: str) -> str:
    names = ", ".join(_EXPORT.findall(source))
    body = _EXPORT.sub("", _IMPORT.sub(_taken, source))
    return f"const {_object(name)} = (() => {{\n{body}\nreturn {{ {names} }};\n}})();\n"


def _taken(statement: re.Match[str]) -> str:
    names, module = statement.groups()
    return f"const {names.replace(' as ', ': ')} = {_object(module)};\n" if names else ""


def _object(name: str) -> str:
    return f"module_{name}"
