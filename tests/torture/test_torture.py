"""The trials of a folder: they pass where all is well, and tell what is not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import orjson
import pytest

from localstore import LocalStore
from localstore.cli import ExitCode, main
from localstore.disk import filesystems
from localstore.testing.torture import answers, full_disk, livecopies, probes, soak, torture, workers
from localstore.testing.torture.answers import Answer

pytestmark = pytest.mark.race

NAMES = ["flushes", "renames", "locks", "copies", "full disk", "kills"]


def test_a_folder_that_keeps_its_promises_passes(tmp_path: Path) -> None:
    told: list[str] = []
    found = torture(tmp_path, seconds=3, tell=lambda name, _: told.append(name))
    assert [trial.failures for trial in found.trials] == [()] * len(NAMES)
    assert found.passed
    assert told == [trial.name for trial in found.trials] == NAMES
    assert all(trial.count > 0 or trial.what.startswith("not tried: ") for trial in found.trials)
    assert list(tmp_path.iterdir()) == []


def test_the_command_gives_a_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["torture", str(tmp_path), "--seconds", "1", "--json"]) == 0
    certificate = orjson.loads(capsys.readouterr().out)
    assert certificate["record"] == "torture_certificate"
    assert certificate["passed"] is True
    assert certificate["folder"] == str(tmp_path)
    assert [trial["name"] for trial in certificate["trials"]] == NAMES
    assert main(["torture", str(tmp_path / "missing")]) == ExitCode.REFUSED


def test_a_synchronised_folder_and_a_network_are_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "Dropbox"
    folder.mkdir()
    place = filesystems.FileSystem("nfs4", "/", is_network=True, is_passing=False, free_bytes=None)
    monkeypatch.setattr("localstore.testing.torture.file_system", lambda path: place)
    found = torture(folder, seconds=0.5)
    assert any("Dropbox" in warning for warning in found.warnings)
    assert any("network" in warning for warning in found.warnings)
    assert found.passed


def test_flushes_that_do_nothing_are_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    assert "before the data is safe" in probes.flushes(str(tmp_path), 0.1).notes[0]


def test_renames_that_are_not_whole_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began = probes.start

    def start(task: str, path: str, size: str):
        return began(task, path, str(int(size) // 2))

    monkeypatch.setattr(probes, "start", start)
    assert probes.renames(str(tmp_path), 1).failures


def test_locks_that_do_not_exclude_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began = probes.start
    locks = iter(range(100))

    def start(task: str, path: str, *more: str):
        return began(task, f"{path}{next(locks)}", *more)

    monkeypatch.setattr(probes, "start", start)
    assert any(
        "exclude" in failure or "take the lock" in failure for failure in probes.locks(str(tmp_path), 1).failures
    )


def test_answers_that_are_not_so_fail(tmp_path: Path) -> None:
    assert soak.kills(str(tmp_path), 1).failures == ()
    (known, *_) = [each for each in answers.answers_in(str(tmp_path / "logs")) if each.kind == "commit"]
    lies = [Answer("commit", "never", 1, 0), Answer("input", "never", 0, 0), Answer("refused", known.mark, 0, 0)]
    told = [Answer("refused", "never", 0, 0), known]
    failures = soak.judge(str(tmp_path / "store"), [*told, *lies])
    assert [failure.partition(" ")[0] for failure in failures] == ["commit", "input", known.mark]


@pytest.mark.damaged
def test_copies_that_miss_something_fail(tmp_path: Path) -> None:
    found = livecopies.copies(str(tmp_path), 1)
    assert found.failures == ()
    assert found.count > 0
    copy = livecopies.Copy(str(tmp_path / "copy-0"), 2, 3, 0)
    held = answers.held_by(copy.root)
    assert livecopies.judge(copy, [], held) == []
    never = [Answer("commit", "never", 1, 1), Answer("input", "never", 0, 1)]
    assert len(livecopies.judge(copy, never, held)) == 2
    other = held._replace(nodes=["another", *held.nodes])
    assert livecopies.judge(copy, [], other) == ["its history is not one that there was"]
    for pattern in ("*.jsonl", "*.journal"):
        for path in tmp_path.joinpath("copy-0").rglob(pattern):
            path.unlink()
    assert livecopies.judge(copy, [Answer("commit", held.nodes[0], 1, 1)], held) != []


@pytest.mark.damaged
@pytest.mark.parametrize(("seconds", "folds"), [(1, 65), (61, 1)])
def test_a_copy_that_took_longer_than_was_promised_is_not_judged(tmp_path: Path, seconds: int, folds: int) -> None:
    """A slow disk is not a bad one: such copies are told of, and the others are judged."""
    end = seconds * 1_000_000_000
    slow = livecopies.Copy(str(tmp_path / "slow"), 0, end, folds)
    fast = livecopies.Copy(str(tmp_path / "fast"), 0, 1_000_000_000, 64)
    with LocalStore(tmp_path / "store") as store:
        store.create_session(workers.SESSION)
    for copy in (slow, fast):
        shutil.copytree(tmp_path / "store", copy.root)
        next(Path(copy.root).rglob("head.json")).write_bytes(b"damaged")
    found = livecopies._judged([slow], str(tmp_path / "store"), [], [])
    assert (found.count, found.failures) == (0, ())
    assert "1 of 1 copies took longer" in found.notes[0]
    found = livecopies._judged([slow, fast], str(tmp_path / "store"), [], [])
    assert (found.count, len(found.notes)) == (1, 1)
    assert {failure.partition(":")[0] for failure in found.failures} == {"copy 0"}


def test_a_disk_that_is_full_at_times_loses_nothing(tmp_path: Path) -> None:
    found = full_disk.full_disk(str(tmp_path), 2)
    obstacle = full_disk._obstacle()
    if obstacle:
        assert found.what == f"not tried: {obstacle}"
        return
    assert found.failures == ()
    assert found.count > 0
    assert not os.path.ismount(tmp_path / "small")


def test_where_a_disk_cannot_be_filled_the_certificate_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(full_disk, "_obstacle", lambda: "nobody may")
    found = full_disk.full_disk(str(tmp_path), 0.5)
    assert (found.name, found.what, found.failures) == ("full disk", "not tried: nobody may", ())
