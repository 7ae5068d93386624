"""Mutants that nothing can notice, each with the reason. One that is no mutant any more fails the tests."""

from __future__ import annotations

from tests.mutants.mutations import Key

NARROWS = "The facts were asked for by class, and this tells the type checker which one it is."
FASTER = "One is the shorter way to the answer of the other: only the time that it takes differs."
SAME = "Either way the same is written, kept or given."
TOGETHER = "Both parts are true, or neither is."
NONE_SUCH = "No record that there is has such a field or value; the code is ready for one."

EQUIVALENTS: dict[Key, str] = {
    ("apply.py", "apply_record", "at_ms > state.updated_at_ms", "> -> >=", 1): SAME,
    ("apply.py", "_head_moved", "state.checkpoint_ref or ''", "or -> and", 1): (
        "Nobody reads the checkpoint of a move: it is that of the commit before, whose fact names it."
    ),
    ("attachments.py", "forget_orphans.decide", "rows", "-> True", 1): (
        "Callers look whether there are rows; these may have gone since, but for which nothing else differs."
    ),
    ("attachments.py", "named_ids.view", "state.attachment_row_count == 0", "0 -> -1", 1): FASTER,
    ("attachments.py", "named_ids.view", "isinstance(fact, AttachmentFact)", "-> True", 1): NARROWS,
    ("branches.py", "outline.view", "isinstance(fact, TombstoneFact) and fact.node_id in found", "and -> or", 1): (
        "A node is hidden only where it is, so that every tombstone that counts has its node before it."
    ),
    ("charsets.py", "one_of", "highest > _LAST_OF_TWO", "> -> >=", 1): FASTER,
    ("charsets.py", "one_of", "highest <= _LAST_OF_TWO", "<= -> <", 1): FASTER,
    ("charsets.py", "_candidates", "flags & re.IGNORECASE", "-> True", 1): FASTER,
    ("encoding.py", "_encoder", "not isinstance(default, type)", "without not", 1): FASTER,
    ("encoding.py", "_encoder", "not plain(default)", "without not", 1): FASTER,
    ("encoding.py", "_form", "is_dataclass(hint)", "-> False", 1): FASTER,
    ("encoding.py", "_form", "_is_records(hint)", "-> False", 1): FASTER,
    ("encoding.py", "_form", "get_origin(hint) is tuple", "is -> is not", 1): FASTER,
    ("encoding.py", "_form", "len(parts) == 2", "== -> !=", 1): FASTER,
    ("encoding.py", "_form", "len(parts) == 2", "2 -> 1", 1): FASTER,
    ("encoding.py", "_form", "len(parts) == 2", "2 -> 3", 1): FASTER,
    ("encoding.py", "_form", "parts[1] is Ellipsis", "is -> is not", 1): FASTER,
    ("encoding.py", "_form", "type(None) in parts", "in -> not in", 1): NONE_SUCH,
    ("facts.py", "stored_values", "isinstance(fact, ValueDroppedFact)", "-> True", 1): NARROWS,
    ("feed.py", "traces", "recent[0][0] <= since", "<= -> <", 1): FASTER,
    ("feed.py", "traces", "isinstance(fact, TraceFact) and fact.seq >= since", "and -> or", 1): FASTER,
    (
        "graphs.py",
        "_plan_append",
        "state.dangling_count and isinstance(archive.find(f'd:{node.node_id}'), DanglingFact)",
        "and -> or",
        1,
    ): FASTER,
    (
        "later.py",
        "_inside",
        "get_origin(hint) is tuple and get_args(hint)[1:] == (Ellipsis,)",
        "and -> or",
        1,
    ): NONE_SUCH,
    ("later.py", "_inside", "all(map(is_dataclass, classes))", "-> True", 1): NONE_SUCH,
    ("needles.py", "test_for", "len(tests) == 1", "1 -> 0", 1): FASTER,
    ("needles.py", "_any_of", "len(tests) == 1", "1 -> 0", 1): FASTER,
    ("needles.py", "_test.test", "first in document and last in document", "and -> or", 1): FASTER,
    ("needles.py", "_choices", "each.bits >= _WORTH_BITS", ">= -> >", 1): FASTER,
    ("needles.py", "_best_of_run", "mask == byte.mask", "== -> !=", 1): FASTER,
    ("needles.py", "_choice", "mask == before and mask & mask - 1", "and -> or", 1): FASTER,
    ("needles.py", "_choice", "mask == before", "== -> !=", 1): FASTER,
    ("patterns.py", "_repeated", "len(steps) > _MOST", "> -> >=", 1): FASTER,
    (
        "patterns.py",
        "_literal",
        "not flags & re.IGNORECASE or (character.isascii() and (not character.isalpha()))",
        "or -> and",
        1,
    ): FASTER,
    ("redaction.py", "Redaction.__init__", "isinstance(fact, CommitFact)", "-> True", 1): NARROWS,
    ("redaction.py", "Redaction._look_at_manifests", "isinstance(fact, CommitFact)", "-> True", 1): NARROWS,
    (
        "redaction.py",
        "Redaction._state",
        "before.manifest is not None and before.checkpoint_ref is not None",
        "and -> or",
        1,
    ): TOGETHER,
    ("redaction.py", "Redaction._retell", "self._recount", "-> True", 1): FASTER,
    ("redaction.py", "Redaction._settled", "self._before.owns(fact.seq)", "-> True", 1): (
        "A fork never reads the inputs of its parent that are in its files."
    ),
    ("redactor.py", "Redactor.__init__", "regex", "-> True", 2): FASTER,
    ("redactor.py", "Redactor.octets", "count", "-> True", 1): SAME,
    ("redactor.py", "Redactor._overwritten", "count", "-> True", 1): SAME,
    ("rewinds.py", "head_log.view", "isinstance(fact, CommitFact)", "-> True", 1): NARROWS,
    ("summaries.py", "live_nodes", "isinstance(fact, TombstoneFact)", "-> True", 1): NARROWS,
    ("turn_inputs.py", "enqueue", "blobs", "-> True", 1): SAME,
    ("upkeep.py", "vacuumed", "state.owns(each[0])", "-> True", 1): (
        "The feed of a fork begins behind what its parent did, whether traces of that are there or not."
    ),
    ("upkeep.py", "has_waste", "isinstance(fact, TraceFact)", "-> True", 1): NARROWS,
}
