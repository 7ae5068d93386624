"""The benchmark measures what it says: both turns do the same work, and what is missing afterwards is noticed."""

import asyncio
import sqlite3

import orjson
import pytest

from scripts.benchmarks import frameworks, report
from scripts.benchmarks.cases import adapters
from scripts.benchmarks.cases.whole_turn import SESSION, contestant
from scripts.benchmarks.figures import Figure
from scripts.benchmarks.kinds import OURS, SQLITE, kind_of
from scripts.benchmarks.localstore_turn import LocalTurns
from scripts.benchmarks.rounds import interleave
from scripts.benchmarks.sqlite_turn import SqliteTurns
from scripts.benchmarks.stores import NotThereError, opened, verify_turns, whole_turn
from scripts.benchmarks.workload import branching_turns, turns

KINDS = pytest.mark.parametrize("kind", [LocalTurns(), SqliteTurns()], ids=[OURS, SQLITE])


def play(kind, root, script):
    with opened(kind, root, flushed=True) as store:
        session = store.session(SESSION)
        for turn in script:
            whole_turn(session, turn)


def test_a_round_of_each_is_played_and_verified(tmp_path):
    script = list(turns(3))
    rounds = {name: contestant(kind_of(name), script, flushed=False) for name in (OURS, SQLITE)}
    spreads = interleave(rounds, tmp_path, 2)
    assert {name: len(spread.samples) for name, spread in spreads.items()} == {OURS: 6, SQLITE: 6}
    assert all(spread.mean >= 0 and spread.p99 >= spread.median for spread in spreads.values())
    assert list(tmp_path.iterdir()) == []


@KINDS
def test_a_turn_that_was_not_written_is_noticed(kind, tmp_path):
    script = list(turns(3))
    play(kind, tmp_path, script[:2])
    verify_turns(kind, tmp_path, SESSION, script[:2])
    with pytest.raises(NotThereError):
        verify_turns(kind, tmp_path, SESSION, script)


@KINDS
def test_an_input_that_waits_is_noticed(kind, tmp_path):
    script = list(turns(2))
    play(kind, tmp_path, script[:1])
    with opened(kind, tmp_path, flushed=True) as store:
        store.session(SESSION).enqueue(script[1])
    with pytest.raises(NotThereError, match="wait"):
        verify_turns(kind, tmp_path, SESSION, script[:1])


@KINDS
def test_reads_give_what_was_committed(kind, tmp_path):
    script = list(branching_turns(6, 10, depth=20))
    play(kind, tmp_path, script)
    nodes = {node.node_id: node for turn in script for node in turn.nodes}
    path = [nodes[script[-1].leaf]]
    while path[-1].parent_node_id is not None:
        path.append(nodes[path[-1].parent_node_id])
    assert len(path) == 20
    with opened(kind, tmp_path, flushed=False) as store:
        session = store.session(SESSION)
        assert session.load_all() == list(nodes.values())
        assert session.load_path() == path[::-1]
        assert (session.read_all(), session.read_path()) == (60, 20)
        assert session.load_node(script[2].leaf) == nodes[script[2].leaf]
        assert session.load_node("unknown") is None
        assert store.list_sessions() == [(SESSION, script[0].nodes[0].payload["message"]["content"], 60)]


@KINDS
def test_the_same_turn_again_changes_nothing(kind, tmp_path):
    script = list(turns(2))
    play(kind, tmp_path, script)
    with opened(kind, tmp_path, flushed=True) as store:
        session = store.session(SESSION)
        session.enqueue(script[1])
        assert session.claim_lease()
        assert session.commit(script[1]) == 2
        session.release()
    verify_turns(kind, tmp_path, SESSION, script)


def test_sqlite_refuses_a_node_that_is_there_and_keeps_its_state(tmp_path):
    first, second = turns(2)
    play(kind_of(SQLITE), tmp_path, [first])
    with opened(kind_of(SQLITE), tmp_path, flushed=True) as store:
        session = store.session(SESSION)
        assert session.claim_lease()
        twice = type(second)(**{name: getattr(second, name) for name in second.__slots__} | {"nodes": first.nodes})
        with pytest.raises(sqlite3.IntegrityError):
            session.commit(twice)
        session.release()
    verify_turns(kind_of(SQLITE), tmp_path, SESSION, [first])


@pytest.mark.parametrize("kind", [LocalTurns, SqliteTurns], ids=[OURS, SQLITE])
def test_a_lease_that_another_holds_is_not_granted(kind, tmp_path):
    one, another = kind(owner="one"), kind(owner="another")
    with opened(one, tmp_path, flushed=False) as store, opened(another, tmp_path, flushed=False) as other:
        holder, waiter = store.session(SESSION), other.session(SESSION)
        assert holder.claim_lease()
        assert not waiter.claim_lease()
        holder.release()
        assert waiter.claim_lease()
        waiter.release()


def test_sqlite_flushes_enqueues_and_commits_but_no_claims(tmp_path):
    (turn,) = turns(1)
    store = SqliteTurns().open(tmp_path, flushed=True)
    session = store.session(SESSION)
    full, normal = 2, 1
    steps = (
        (lambda: session.enqueue(turn), full),
        (session.claim_lease, normal),
        (session.claim_input, normal),
        (lambda: session.commit(turn), full),
        (session.release, normal),
    )
    for step, expected in steps:
        step()
        assert store.synchronous() == expected
    store.close()


@pytest.mark.parametrize(
    ("figure", "met", "of_goal"),
    [
        (Figure("a", "us", 6.0, "b", 10.0, 0.6), True, 1.0),
        (Figure("a", "us", 7.0, "b", 10.0, 0.5), False, 1.4),
        (Figure("a", "/s", 30.0, "b", 10.0, 1.5, more_is_better=True), True, 0.5),
        (Figure("a", "/s", 10.0, "b", 10.0, 1.5, more_is_better=True), False, 1.5),
        (Figure("a", "ms", 4.0, goal=5.0), True, 0.8),
        (Figure("a", "ms", 4.0), None, None),
    ],
)
def test_a_figure_is_held_against_its_goal(figure, met, of_goal):
    assert (figure.met, figure.of_goal) == (met, of_goal)


FRAMEWORKS = pytest.mark.parametrize("name", ["openai-agents", "langgraph", "adk"])


@FRAMEWORKS
def test_a_round_of_an_adapter_and_of_the_frameworks_own_storage_is_played_and_verified(name, tmp_path):
    used = frameworks.framework(name)
    reads: list[int] = []
    both = {whose: adapters.contestant(used, whose, 3, reads) for whose in (frameworks.OURS, frameworks.THEIRS)}
    spreads = interleave(both, tmp_path, 2)
    assert {whose: len(spread.samples) for whose, spread in spreads.items()} == {"localstore": 6, "theirs": 6}
    assert len(reads) == 2 * 2 * 3
    assert list(tmp_path.iterdir()) == []


@FRAMEWORKS
@pytest.mark.parametrize("whose", [frameworks.OURS, frameworks.THEIRS])
def test_a_turn_that_a_framework_did_not_store_is_noticed(name, whose, tmp_path):
    used = frameworks.framework(name)
    adapters.written(name, whose, str(tmp_path), 2)
    asyncio.run(adapters.verify(used, whose, tmp_path, adapters.SESSION, 2))
    with pytest.raises(NotThereError):
        asyncio.run(adapters.verify(used, whose, tmp_path, adapters.SESSION, 3))
    assert adapters.probe(name, whose, str(tmp_path), 2)["good"]
    assert not adapters.probe(name, whose, str(tmp_path), 3)["good"]


def a_report(*results):
    made = report.Report(False, ["one disk", "another disk"])
    made.results.extend(results)
    return made


def test_table_has_a_row_a_figure_and_a_column_a_disk(tmp_path):
    lines = [
        Figure("a turn", "us", 50.0, "SQLite", 100.0, 0.6),
        Figure("  the same", "us", 90.0, "SQLite", 100.0),
        Figure("  the same", "us", 30.0, "SQLite", 100.0),
        Figure("turns", "/s", 2_000.0, "SQLite", 1_000.0, 3.0, more_is_better=True),
        Figure("a list", "ms", 5.0, goal=6.0),
    ]
    made = a_report(report.Result("turn", "one disk", lines), report.Result("turn", "another disk", lines[:1]))
    report.to_json(made, tmp_path / "measured.json")
    table = report.markdown(orjson.loads((tmp_path / "measured.json").read_bytes())).splitlines()
    assert table[:7] == [
        "| what | against | one disk | another disk | goal |",
        "| --- | --- | ---: | ---: | --- |",
        "| a turn | SQLite | 0.50 (50.0 \u00b5s / 100 \u00b5s) | 0.50 (50.0 \u00b5s / 100 \u00b5s) | at most 0.6 |",
        "| - the same | SQLite | 0.90 (90.0 \u00b5s / 100 \u00b5s) |  |  |",
        "| - the same | SQLite | 0.30 (30.0 \u00b5s / 100 \u00b5s) |  |  |",
        "| turns | SQLite | **2.00 (2,000/s / 1,000/s)** |  | at least 3 |",
        "| a list |  | 5.00 ms |  | at most 6 ms |",
    ]
    assert table[8].startswith("3 of 4 goals are met")


def test_what_was_not_measured_again_is_kept(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("scripts.benchmarks.chart.draw", lambda made, path: drawn.append(made.file_systems))
    (tmp_path / "scripts/benchmarks").mkdir(parents=True)
    (tmp_path / "README.md").write_text(f"before\n{report.BEGIN}\nOUTDATED\n{report.END}\nafter\n")
    turn, lease = Figure("a turn", "us", 5.0, "SQLite", 10.0, 1.0), Figure("  a lease", "us", 1.0)
    report.publish(
        a_report(*(report.Result(case, "one disk", [turn, lease]) for case in ("whole-turn", "lease"))), tmp_path
    )
    slower = Figure("a turn", "us", 20.0, "SQLite", 10.0, 1.0)
    report.publish(a_report(report.Result("whole-turn", "one disk", [slower])), tmp_path)
    rows = orjson.loads((tmp_path / report.MEASURED).read_bytes())["rows"]
    told = [(row["case"], row["what"], row["localstore"], row["detail_of_the_line_before"]) for row in rows]
    assert told == [
        ("whole-turn", "a turn", 20.0, False),
        ("lease", "a turn", 5.0, False),
        ("lease", "a lease", 1.0, True),
    ]
    text = (tmp_path / "README.md").read_text()
    assert text.startswith(f"before\n{report.BEGIN}\n| what |")
    assert text.endswith(f"{report.END}\nafter\n")
    assert "OUTDATED" not in text
    assert drawn == [["one disk", "another disk"]] * 2
