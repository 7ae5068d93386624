"""The house: imports point one way, one module makes the system calls, one owns the names, one list is the surface."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import localstore

PACKAGE = Path(localstore.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))

ALLOWED: dict[str, set[str]] = {
    "liveness": set(),
    "contract": {"liveness"},
    "machine": {"contract"},
    "surroundings": {"contract", "liveness", "machine"},
    "keeper": {"contract", "machine", "surroundings"},
    "disk": {"contract", "liveness", "machine", "surroundings", "keeper"},
    "importers": set(),
}
"""What each of the lower rooms may import. Whoever is not named here is a face, or stands on the faces."""

OUTER = {"testing", "adapters", "cli"}


def room(path: Path) -> str:
    """The room that a module is in: a folder of the package, or the module itself."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """The rooms of the package that a module imports, wherever in it."""
    package = ("localstore", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = (*base, *(node.module.split(".") if node.module else ()))
            names = [origin] if node.module else [(*origin, alias.name) for alias in node.names]
        else:
            continue
        yield from (name[1] for name in names if name[0] == "localstore" and len(name) > 1)


@pytest.mark.parametrize("name", ALLOWED)
def test_lower_rooms_import_only_what_is_below_them(name: str):
    for path in MODULES:
        if room(path) == name:
            assert set(imported(path)) - {name} <= ALLOWED[name], path


def test_nothing_below_imports_what_stands_on_the_faces():
    for path in MODULES:
        if room(path) not in OUTER | {"__init__"}:
            assert not set(imported(path)) & OUTER, path


def test_every_room_is_one_of_those_that_are_known():
    faces = {
        "local",
        "store",
        "session",
        "history",
        "queues",
        "memory",
        "aio",
        "lanes",
        "attachments",
        "listing",
        "pruning",
        "redacting",
        "exports",
        "transcripts",
        "inspection",
        "watching",
    }
    known = {*ALLOWED, *OUTER, *faces, "__init__"}
    assert {room(path) for path in MODULES} == known


CHANGES = {"rename", "replace", "unlink", "remove", "rmdir", "mkdir", "makedirs", "link", "symlink", "ftruncate"}
CHANGES |= {"truncate", "write", "pwrite", "fsync", "fdatasync", "chmod", "fchmod", "utime", "open"}


def test_one_module_makes_the_system_calls_that_change_files():
    allowed = {"system.py", "platforms.py"}
    for path in MODULES:
        if room(path) not in {"disk", "machine", "contract"} or path.name in allowed:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
                assert node.attr not in CHANGES, f"{path}:{node.lineno}"


SUFFIXES = (".jsonl", ".journal", ".tmp", ".bad", ".aside")


def test_one_module_owns_the_names_of_files():
    for path in MODULES:
        if room(path) != "disk" or path.name == "names.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and "\n" not in text and " " not in text:
                assert not text.endswith(SUFFIXES), f"{path}: {text}"


def test_the_public_surface_is_one_list_of_documented_names():
    assert len(set(localstore.__all__)) == len(localstore.__all__)
    for name in localstore.__all__:
        value = getattr(localstore, name)
        if isinstance(value, type):
            assert value.__doc__, name
            assert not value.__doc__.startswith(f"{name}("), f"{name} has the docstring that dataclasses make up"


def test_names_that_are_not_there_are_not_there():
    with pytest.raises(AttributeError, match="no attribute 'SessionShop'"):
        localstore.SessionShop  # noqa: B018
