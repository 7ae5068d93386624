"""The pins that tests run with are what pyproject.toml says of the frameworks."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
FRAMEWORKS = ["adk", "claude-agent-sdk", "langgraph", "openai-agents"]


def pinned(name: str) -> dict[str, str]:
    """The releases that .ci/requirements-NAME.txt pins, by package."""
    text = (REPOSITORY / ".ci" / f"requirements-{name}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==([\w.!+]+)", text, re.MULTILINE))


def numbers(release: str) -> tuple[int, ...]:
    """A release to compare, in three numbers: 1.2 is 1.2.0."""
    found = [int(part) for part in release.split(".")]
    return (*found, *[0] * (3 - len(found)))


@pytest.fixture(scope="module")
def bounds() -> dict[str, tuple[str, str]]:
    """From which release on, and below which, an extra takes each package of its framework."""
    found = {}
    for extra in FRAMEWORKS:
        for requirement in EXTRAS[extra]:
            match = re.fullmatch(r"([\w.-]+)>=([\d.]+),<([\d.]+)", requirement)
            assert match is not None, requirement
            found[match[1]] = (match[2], match[3])
    return found


def test_the_oldest_releases_are_the_lower_bounds(bounds: dict[str, tuple[str, str]]) -> None:
    oldest = pinned("oldest")
    grouped = dict(each.split("==") for each in PROJECT["dependency-groups"]["oldest"] if isinstance(each, str))
    assert set(grouped) == set(bounds)
    for package, (lowest, _) in bounds.items():
        assert numbers(oldest[package]) == numbers(grouped[package]) == numbers(lowest), package


def test_the_releases_in_use_are_within_the_bounds_and_newer(bounds: dict[str, tuple[str, str]]) -> None:
    current = pinned("dev")
    for package, (lowest, beyond) in bounds.items():
        assert numbers(lowest) < numbers(current[package]) < numbers(beyond), package


def test_every_extra_of_a_framework_is_among_those_that_are_looked_at() -> None:
    others = {"all", "cli", "watch"}
    assert set(EXTRAS) - others == set(FRAMEWORKS)
    for name in ("dev", "oldest"):
        text = (REPOSITORY / ".ci" / f"requirements-{name}.txt").read_text(encoding="utf-8")
        assert all(f"--extra {extra} " in text.splitlines()[1] for extra in FRAMEWORKS), name
