"""`python -m tests.mutants.trial FILE NUMBER ARGUMENT...`: pytest, with one mutant in place of a file of the rules.

NUMBER is the mutant's place among those of the file; `none` compiles all files the same way and changes nothing. The
exit is pytest's, or 1 where the mutant cannot even be imported. No file is changed, and no bytecode is written.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

import pytest

from tests.mutants import mutations

PACKAGE = "localstore.machine"
SPENT = 1


class Swapped(SourceFileLoader):
    """Loads a module from a syntax tree, whatever its file says."""

    def __init__(self, name: str, path: str, tree: ast.Module) -> None:
        super().__init__(name, path)
        self.tree = tree

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.tree, self.path, "exec", dont_inherit=True)


class Finder(MetaPathFinder):
    """Finds the modules of the rules by the syntax trees that are given in their place, by name of the file."""

    def __init__(self, trees: dict[str, ast.Module]) -> None:
        self.trees = trees

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path) if fullname.startswith(PACKAGE) else None
        if spec is None or spec.origin is None or Path(spec.origin).name not in self.trees:
            return None
        if Path(spec.origin).parent != mutations.FOLDER:
            return None
        spec.loader = Swapped(fullname, spec.origin, self.trees[Path(spec.origin).name])
        return spec


def main(file: str, number: str, arguments: list[str]) -> int:
    if number == "none":
        trees = {each: mutations.parsed(each) for each in mutations.FILES}
    else:
        trees = {file: mutations.mutated(mutations.mutants_of(file)[int(number)])}
    for name in [name for name in sys.modules if name.partition(".")[0] == "localstore"]:
        del sys.modules[name]
    sys.meta_path.insert(0, Finder(trees))
    try:
        module = importlib.import_module(f"{PACKAGE}.{Path(file).stem}".removesuffix(".__init__"))
    except Exception as error:  # noqa: BLE001 - whatever a mutant does
        print(f"{file} cannot be imported: {error!r}")
        return SPENT
    assert isinstance(module.__loader__, Swapped)
    return int(pytest.main(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
