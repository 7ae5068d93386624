"""Mutants of the rules: the source of `localstore/machine` with one comparison, connective or condition turned.

A mutant is known by its file, the function it is in, the text of the expression and the flip, so that its name outlives
edits elsewhere in the file.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Key: TypeAlias = tuple[str, str, str, str, int]

FOLDER = Path(__file__).parents[2] / "localstore" / "machine"
FILES = tuple(sorted(path.name for path in FOLDER.glob("*.py")))
MOST = 16
"""The largest number that is taken for a boundary, of which a neighbour is tried."""

_OPPOSITES: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_SIGNS = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}


@dataclass(frozen=True, order=True, slots=True)
class Mutant:
    """One flip. `place` counts the nodes of the syntax tree before it, and `part` is the operand of its node.

    `key` has what outlives edits elsewhere: file, function, text and flip, and which one it is of those that are alike
    in all of these, mostly the first.
    """

    file: str
    line: int
    place: int
    part: int
    scope: str
    text: str
    flip: str
    which: int

    @property
    def key(self) -> Key:
        return self.file, self.scope, self.text, self.flip, self.which

    def __str__(self) -> str:
        which = "" if self.which == 1 else f" (number {self.which})"
        return f"{self.file}:{self.line} {self.scope}: {self.text}: {self.flip}{which}"


def mutants_of(file: str) -> list[Mutant]:
    """All mutants of one file, in the order of its syntax tree."""
    found = []
    alike: Counter[tuple[str, str, str]] = Counter()
    for place, (scope, node) in enumerate(_walk(parsed(file), "")):
        for part, flip in _flips(node):
            text, line = _told(node, part)
            alike[scope, text, flip] += 1
            found.append(Mutant(file, line, place, part, scope, text, flip, alike[scope, text, flip]))
    return found


def all_mutants() -> list[Mutant]:
    return [mutant for file in FILES for mutant in mutants_of(file)]


def mutated(mutant: Mutant) -> ast.Module:
    """The syntax tree of the mutant's file with the flip made."""
    tree = parsed(mutant.file)
    _, node = list(_walk(tree, ""))[mutant.place]
    _make(node, mutant.part, mutant.flip)
    return ast.fix_missing_locations(tree)


def parsed(file: str) -> ast.Module:
    return ast.parse((FOLDER / file).read_text(encoding="utf-8"))


def _walk(node: ast.AST, scope: str) -> Iterator[tuple[str, ast.AST]]:
    yield scope, node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        scope = f"{scope}.{node.name}".lstrip(".")
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, scope)


def _flips(node: ast.AST) -> Iterator[tuple[int, str]]:
    match node:
        case ast.Compare():
            for part, sign in enumerate(node.ops):
                yield from ((part, f"{_SIGNS[type(sign)]} -> {_SIGNS[new]}") for new in _OPPOSITES[type(sign)])
            for part, side in enumerate((node.left, *node.comparators)):
                if isinstance(side, ast.Constant) and type(side.value) is int and abs(side.value) <= MOST:
                    yield from ((part, f"{side.value} -> {new}") for new in (side.value - 1, side.value + 1))
        case ast.BoolOp():
            yield 0, "and -> or" if isinstance(node.op, ast.And) else "or -> and"
        case ast.UnaryOp(op=ast.Not()):
            yield 0, "without not"
        case ast.If(test=test) | ast.IfExp(test=test) if _is_whole(test):
            yield from ((0, "-> True"), (0, "-> False"))
        case ast.comprehension():
            for part, test in enumerate(node.ifs):
                if _is_whole(test):
                    yield from ((part, "-> True"), (part, "-> False"))


def _is_whole(test: ast.expr) -> bool:
    """Whether a condition has no part that is turned by itself."""
    return not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp)


def _told(node: ast.AST, part: int) -> tuple[str, int]:
    """The text of the expression that is turned, and its line."""
    match node:
        case ast.If(test=test) | ast.IfExp(test=test):
            return ast.unparse(test), test.lineno
        case ast.comprehension(ifs=ifs):
            return ast.unparse(ifs[part]), ifs[part].lineno
        case ast.expr():
            return ast.unparse(node), node.lineno
    raise AssertionError(node)


def _make(node: ast.AST, part: int, flip: str) -> None:
    match node:
        case ast.Compare():
            old, new = flip.split(" -> ")
            if old in _SIGNS.values():
                node.ops[part] = next(kind for kind, sign in _SIGNS.items() if sign == new)()
            else:
                side = (node.left, *node.comparators)[part]
                assert isinstance(side, ast.Constant)
                side.value = int(new)
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.UnaryOp():
            node.operand = ast.UnaryOp(ast.Not(), node.operand)
        case ast.If() | ast.IfExp():
            node.test = ast.Constant(flip == "-> True")
        case ast.comprehension():
            node.ifs[part] = ast.Constant(flip == "-> True")
        case _:
            raise AssertionError(node)
