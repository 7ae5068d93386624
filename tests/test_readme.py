"""The README keeps its word: its example runs, its commands are the commands, its examples of the format are read."""

import re
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from localstore import ProcessWake, SessionMeta, SessionNodeRecord
from localstore.cli import ExitCode, main
from localstore.contract.trash import TrashedSession
from localstore.disk import names, spool
from localstore.disk.attachments import AttachmentRecord
from localstore.disk.factlines import decode_fact
from localstore.disk.files import read_sealed, unseal
from localstore.disk.head import load_head, unseal_head
from localstore.disk.journal import Header, open_journal
from localstore.disk.lines import check_line
from localstore.disk.linescan import intact_lines
from localstore.disk.nodefile import NodeFile
from localstore.disk.root import StoreRecord
from localstore.machine.encoding import FACT_CLASSES, KINDS, load
from localstore.machine.facts import NodeFact
from localstore.machine.state import HeldLease
from scripts.benchmarks import report
from scripts.benchmarks.cases import CASES
from tests import format_examples
from tests.cli.sample import DEMO, DEMO_ID, commands

REPOSITORY = Path(__file__).resolve().parents[1]
TEXT = (REPOSITORY / "README.md").read_text(encoding="utf-8")
EXAMPLES = format_examples.in_readme()
COMMANDS = commands()


@pytest.fixture(scope="module")
def fresh():
    """The examples as the code makes them now."""
    return format_examples.examples()


def block(language):
    """The first block of that language: those further below are parts of programs."""
    return re.findall(rf"```{language}\n(.*?)```\n", TEXT, re.DOTALL)[0]


# What a newcomer does first.


def test_the_example_runs_and_prints_what_the_readme_says(tmp_path):
    code = block("python")
    assert 25 <= len([line for line in code.splitlines() if line.strip()]) <= 35
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.stdout) == ("", block("text"))
    assert [path.name for path in tmp_path.iterdir()] == ["sessions"]


def test_the_first_screen_has_the_two_commands():
    first_screen = "\n".join(TEXT.splitlines()[:25])
    for script in ("scripts/demo", "scripts/test"):
        assert f"\n{script}\n" in first_screen
        assert (REPOSITORY / script).is_file()


def test_what_it_installs_is_what_it_says():
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    core = re.search(r"^dependencies = \[\n(.*?)^\]", project, re.DOTALL | re.MULTILINE)
    assert core is not None
    needed = re.findall(r'^ *"([a-z-]+)', core[1], re.MULTILINE)
    assert f"# the library: {', '.join(sorted(needed))}\n" in TEXT


# What it refers to.


def test_links_lead_somewhere():
    headings = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in headings, target
        else:
            assert (REPOSITORY / target).exists(), target


PROMISES = re.findall(r"^\|.* held to it by \|\n\|[ -|]*\n((?:\|.*\|\n)+)", TEXT, re.MULTILINE)
"""The rows of each table of promises."""


def test_there_are_two_tables_of_promises():
    assert [len(rows.splitlines()) > 2 for rows in PROMISES] == [True, True]


@pytest.mark.parametrize("row", [row for rows in PROMISES for row in rows.splitlines()])
def test_each_promise_names_tests_that_there_are(row):
    named = re.findall(r"`(tests/[^`]+)`", row.split(" | ")[-1])
    assert named
    for name in named:
        path = REPOSITORY / name
        tests = [path] if path.is_file() else list(path.glob("test_*.py"))
        assert tests, name
        # A suite that is imported has its tests elsewhere.
        assert all(re.search(r"def test_|import \*", test.read_text(encoding="utf-8")) for test in tests), name


def test_each_room_is_where_it_says():
    for name in re.findall(r"`((?:localstore/)?[a-z_]+(?:/|\.py|/[a-z_]+\.py))`", TEXT[TEXT.index("## Reading") :]):
        assert (REPOSITORY / name).exists() or (REPOSITORY / "localstore" / name).exists(), name
    rooms = {path.name for path in (REPOSITORY / "localstore").iterdir() if (path / "__init__.py").exists()}
    for room in rooms:
        assert f"`localstore/{room}/`" in TEXT


# The command reference.


def section(command):
    title = re.search(rf"^### `localstore {command}\b.*$", TEXT, re.MULTILINE)
    assert title is not None, command
    return TEXT[title.end() :].partition("\n#")[0]


def test_every_command_is_in_the_reference_and_no_other():
    assert sorted(re.findall(r"^### `localstore ([a-z]+)", TEXT, re.MULTILINE)) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_in_the_reference(capsys, command):
    main([command, "--help"])
    for option in set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}:
        assert option in section(command), option


def fields_of(value):
    """Every field name in a JSON value, but for what is the host's own."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            if name not in {"payload", "caused_by", "relation", "ingress", "merge_key", "items", "checked"}:
                yield from fields_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from fields_of(inner)


@pytest.mark.parametrize(
    "arguments",
    [
        ("import", str(DEMO), "/nowhere"),
        ("ls",),
        ("show", DEMO_ID),
        ("tree", DEMO_ID),
        ("log", DEMO_ID),
        ("rewind", DEMO_ID, "--none"),
        ("undo", DEMO_ID),
        ("branches", DEMO_ID),
        ("branch", DEMO_ID, "idea"),
        ("fork", DEMO_ID),
        ("queue", DEMO_ID),
        ("enqueue", DEMO_ID, "text"),
        ("enqueue", DEMO_ID, "--work", "{}"),
        ("cancel", DEMO_ID, "an-input", "--batch", "a-batch"),
        ("lease", DEMO_ID),
        ("changes", DEMO_ID),
        ("du", DEMO_ID),
        ("doctor",),
        ("search", "the"),
        ("redact", "the"),
        ("export", DEMO_ID, "--output", "{folder}/session.tar"),
        ("backup", "{folder}/backup"),
        ("rm", DEMO_ID),
        ("trash",),
        ("purge",),
        ("prune", "--max-sessions", "0", "--apply"),
        ("vacuum", "--all"),
        ("gc", "--all"),
        ("check",),
    ],
    ids=lambda arguments: " ".join(arguments[:1] + arguments[2:3]),
)
def test_every_field_of_the_json_is_in_the_reference(tmp_path, capsys, arguments):
    root = ["--root", str(tmp_path / "store")]
    main([*root, "import", str(DEMO)])
    capsys.readouterr()
    main([*root, *(each.replace("{folder}", str(tmp_path)) for each in arguments), "--json"])
    told = orjson.loads(capsys.readouterr().out)
    general = TEXT[TEXT.index("## The command") : TEXT.index("### `localstore import")]
    # What several commands print is told at the first of them.
    shared = [section(command) for command in ("import", "ls", "queue", "log", "branches", "trash", "check")]
    known = "\n".join([general, *shared, section(arguments[0])])
    for name in fields_of(told):
        assert f"`{name}`" in known or f'"{name}"' in known, name


def test_exit_codes():
    told = re.findall(r"^\| ([0-9]) \| ", TEXT, re.MULTILINE)
    assert told == [str(code.value) for code in ExitCode]


# The on-disk format.


def test_the_tree_names_what_the_store_names():
    tree = TEXT[TEXT.index("<root>/") :].partition("```")[0]
    fixed = (
        names.STORE,
        names.ATTACHMENTS,
        f"{names.TRASH}/",
        f"{names.TRASH}/{names.TRASH_LOCK}",
        names.SESSIONS,
        names.QUARANTINE,
        names.META,
        names.HEAD,
        names.LEASE,
        names.LOCK,
        names.NODES,
        names.BLOBS,
        names.INPUTS,
        names.WORK,
    )
    assert names.RECEIPT in tree
    for name in fixed:
        assert re.search(rf"^ +{re.escape(name)}(?![a-z])", tree, re.MULTILINE), name


def test_there_is_an_example_of_everything(fresh):
    assert set(EXAMPLES) == set(fresh)


def shape(value, depth=0):
    """The field names of a record, of the records in it too, but not of what the host put in."""
    if not isinstance(value, dict) or depth > 2:
        return None
    return {name: shape(inner, depth + 1) for name, inner in value.items()}


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - {"quarantine"}))
def test_the_example_is_as_the_code_writes_it_today(fresh, name):
    def shapes(text):
        return [shape(orjson.loads(line)) for line in text.splitlines()]

    assert shapes(EXAMPLES[name]) == shapes(fresh[name]), "renew them: python -m tests.format_examples"


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - {"quarantine"}))
def test_every_line_has_its_sum(name):
    for line in EXAMPLES[name].splitlines():
        assert check_line(line) is not None


@pytest.mark.parametrize(
    "name, kind, record",
    [
        ("store.json", "store", StoreRecord),
        ("meta.json", "meta", SessionMeta),
        ("lease.json", "lease", HeldLease),
        ("attachment", "attachment", AttachmentRecord),
        ("receipt.json", "receipt", TrashedSession),
    ],
)
def test_files_of_one_record(name, kind, record):
    assert isinstance(read_sealed(record, kind, EXAMPLES[name], name), record)


def test_head():
    head = unseal_head(EXAMPLES["head.json"], "head.json")
    assert (head.session_id, head.revision, head.leaf_node_id) == ("trip", 2, "n2")
    assert head.said is None


def test_files_of_spools():
    live = spool.INPUTS.load(EXAMPLES["input"], "input")
    assert (live.stored.record.input_id != "", live.stored.record.source_key) == (True, "message-1")
    batch = spool.WORK.load(EXAMPLES["work"], "work").batch
    assert batch.items[0].payload == ProcessWake({"timer": "departure"})


def test_journal(tmp_path):
    header = load(Header, unseal("journal", EXAMPLES["journal"].splitlines()[0], "journal"))
    path = tmp_path / names.journal(header.first_seq)
    path.write_bytes(EXAMPLES["journal"] + bytes(100))
    journal = open_journal(str(path), header.first_seq, header.prev, write=False)
    assert journal is not None
    try:
        records = journal.read_all(header, "")
    finally:
        journal.close()
    assert [record.seq for record in records] == [header.first_seq]
    assert (journal.torn, [type(event).__name__ for event in records[0].events]) == (0, ["InputsClaimed"])


@pytest.fixture
def node_file(tmp_path):
    raw = EXAMPLES["node file"]
    head = unseal_head(EXAMPLES["head.json"], "head.json")
    [ref] = head.files
    path = tmp_path / names.node_file(ref.name)
    path.write_bytes(raw)
    file = NodeFile.open(str(path), ref.name)
    yield file
    file.close()


def test_node_file_is_named_by_the_head_and_sound(node_file):
    node_file.verify()
    assert intact_lines(EXAMPLES["node file"])[1] == []


def test_node_file_has_every_kind_of_line(node_file):
    facts = [decode_fact(line, node_file.path, offset) for offset, line in node_file.lines()]
    assert {type(fact) for fact in facts} == set(FACT_CLASSES)
    kinds = [orjson.loads(line)["kind"] for line in EXAMPLES["node file"].splitlines()]
    assert set(kinds) == {KINDS[cls] for cls in FACT_CLASSES} | {"file.index", "file.head", "file.end"}
    assert kinds[-3:] == ["file.index", "file.head", "file.end"]
    forms = [set(orjson.loads(line)) & {"json", "base64", "blob"} for line in EXAMPLES["node file"].splitlines()]
    assert {"json"} in forms
    assert {"base64"} in forms
    assert {"blob"} in forms


def test_node_file_finds_by_key_and_has_a_copy_of_the_head(node_file):
    line = node_file.lookup("n:n2")
    fact = decode_fact(line, node_file.path, 0)
    assert isinstance(fact, NodeFact)
    assert isinstance(fact.node, SessionNodeRecord)
    assert fact.node.payload["content"] == "At 7:25 or at 9:50?"
    copy = load_head(node_file.head_copy())
    head = unseal_head(EXAMPLES["head.json"], "head.json")
    assert (copy.session_id, copy.generation, copy.revision) == (head.session_id, head.generation, head.revision)


def test_quarantine_receipt():
    receipt, _, rest = EXAMPLES["quarantine"].partition(b"\n")
    assert check_line(receipt) is not None
    fields = unseal("quarantined", receipt, "quarantine")
    assert names.parse_journal(fields["from"]) == 1
    assert "was cut short" in fields["reason"]
    assert rest == b'{"sum":"00000000","seq":2\n'


def test_numbers_of_the_format():
    from localstore.disk import compaction, factlines, leftovers, openfolder

    assert f"past {openfolder.FOLD_BYTES // 1024**2} MB of journal" in TEXT
    assert f"values from {factlines.LARGE_VALUE // 1024} KB on" in TEXT
    assert f"up to {compaction.MAX_FILE // 1024**2} MB" in TEXT
    assert leftovers.STALE_S == 60
    assert "a minute later" in TEXT


# The changelog.


def test_changelog_follows_its_format():
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.startswith("# Changelog\n")
    assert "keepachangelog.com" in text
    versions = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)
    assert versions[0] == "Unreleased"
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        headings = re.findall(r"^### (.+)$", part, re.MULTILINE)
        allowed = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security", "On-disk format"}
        assert set(headings) <= allowed
        assert headings[-1] == "On-disk format"


def test_figures_are_those_that_were_measured():
    measured = orjson.loads((REPOSITORY / report.MEASURED).read_bytes())
    assert (measured["quick"], measured["failures"]) == (False, [])
    assert {row["case"] for row in measured["rows"]} == {case.name for case in CASES}
    assert all(row["verified"] for row in measured["rows"])
    table = TEXT.partition(report.BEGIN)[2].partition(report.END)[0]
    assert table == "\n" + report.markdown(measured)
    assert (REPOSITORY / report.CHART).read_text(encoding="utf-8").startswith("<?xml")
    assert f"({report.CHART})" in TEXT
