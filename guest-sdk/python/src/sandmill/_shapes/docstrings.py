"""Docstrings in the styles of Google, Sphinx and NumPy: what they say of the whole, and of each parameter or field."""

import inspect
import re
from typing import NamedTuple

_HEADING = re.compile(r"(\w[\w ]{0,30}):\s*$")
_PARAMETERS = frozenset({"args", "arguments", "parameters", "params", "attributes", "keyword args", "keyword arguments", "other parameters"})
_GOOGLE = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_SPHINX = re.compile(r":(?:param|parameter|arg|argument|key|keyword|ivar|var|attr)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)$")
_NUMPY = re.compile(r"\*{0,2}(\w+)\s*(?::.*)?$")


class Docs(NamedTuple):
    """`summary` is the first paragraph."""

    summary: str | None
    fields: dict[str, str]


def read(text: str | None) -> Docs:
    lines = inspect.cleandoc(text).splitlines() if text else []
    fields: dict[str, str] = {}
    for number, line in enumerate(lines):
        if match := _SPHINX.match(line):
            fields[match[1]] = _joined([match[2], *_deeper(lines[number + 1 :], 0)])
        elif (match := _HEADING.match(line)) and match[1].lower() in _PARAMETERS:
            fields.update(_section(_deeper(lines[number + 1 :], 0), _GOOGLE))
        elif line.strip().lower() in _PARAMETERS and number + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[number + 1].strip()):
            fields.update(_section(_until_heading(lines[number + 2 :]), _NUMPY))
    return Docs(_summary(lines), {name: said for name, said in fields.items() if said})


def _summary(lines: list[str]) -> str | None:
    paragraph: list[str] = []
    for number, line in enumerate(lines):
        underlined = number + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[number + 1].strip())
        if not line.strip() or line.startswith(":") or underlined or ((match := _HEADING.match(line)) and match[1].lower() in _PARAMETERS):
            break
        paragraph.append(line)
    return _joined(paragraph) or None


def _deeper(lines: list[str], indent: int) -> list[str]:
    """The lines that follow and stand further in, or are empty."""
    block = []
    for line in lines:
        if line.strip() and _indent(line) <= indent:
            break
        block.append(line)
    return block


def _until_heading(lines: list[str]) -> list[str]:
    for number in range(len(lines) - 1):
        if re.fullmatch(r"-{3,}", lines[number + 1].strip()):
            return lines[:number]
    return lines


def _section(block: list[str], begin: re.Pattern[str]) -> dict[str, str]:
    entries: dict[str, str] = {}
    outer = min((_indent(line) for line in block if line.strip()), default=0)
    for number, line in enumerate(block):
        if line.strip() and _indent(line) == outer and (match := begin.match(line.strip())):
            first = match[2] if begin.groups > 1 else ""
            entries[match[1]] = _joined([first, *_deeper(block[number + 1 :], outer)])
    return entries


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _joined(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())
