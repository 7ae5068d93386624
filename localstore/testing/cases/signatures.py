"""The public names: fields of records and parameters of methods, with their defaults."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

import localstore

from ... import RuntimePersistence

RECORDS = {
    "SessionNodeRecord": "node_id, parent_node_id, timestamp, payload, caused_by=None, agent_frame_id=None",
    "SessionGraph": "nodes=(), leaf_node_id=None",
    "ActivePath": "leaf_node_id=None",
    "FullGraph": "",
    "PersistedSessionRead": "session_id, head_revision, config, agent_frames, current_agent_frame_id, graph,"
    " checkpoint_ref, checkpoint, token_ledger",
    "RuntimeCommitResult": "head_revision, checkpoint_ref, manifest",
    "RuntimeCommit": "session_id, expected_head_revision, config, agent_frames, current_agent_frame_id, graph,"
    " checkpoint, usage_deltas=(), turn_commit=None, session_execution_lease=None,"
    " release_session_execution_lease=None, completed_queue_claims=(), completed_turn_input_claims=(),"
    " interrupted_turn_input_turn_id=None, committed_attachment_ids=()",
    "RuntimeTurnCommitStamp": "session_id, turn_id, turn_commit_hash",
    "GraphAppend": "nodes, leaf_node_id",
    "GraphReplaceFull": "graph",
    "PersistedSessionConfig": "provider_id='', model={}",
    "AgentFrameRecord": "frame_id, session_id, previous_frame_id=None, status='active', reason='',"
    " caused_by=None, created_at='', assignment={}, protocol_turn_options={}, execution_state_ref=None,"
    " execution_state_snapshot=None",
    "TokenUsage": "input_tokens=0, output_tokens=0, cache_read_input_tokens=0, cache_write_input_tokens=0,"
    " reasoning_output_tokens=0",
    "TokenLedgerEntry": "source, model, usage",
    "HydratedSessionCheckpoint": "turn_state=PersistedTurnState(), tool_state=None, tool_state_ref=None,"
    " plugin_snapshot=None, plugin_snapshot_ref=None, plugin_snapshot_revision=None,"
    " execution_state=None, execution_state_ref=None",
    "VacuumReport": "removed_node_count, removed_pending_turn_input_tombstone_count",
    "GcReport": "root_count, retained_blob_count, deleted_blob_count",
    "SessionMeta": "session_id, session_name, created_at, model, cwd=None, relation=RootSession()",
    "ChildSession": "parent_session_id, caused_by=None",
    "SessionSummary": "session_id, session_name, cwd, model, relation, created_at_ms, updated_at_ms,"
    " first_user_message, user_message_count, node_count, head_revision, size_bytes",
    "LeaseOwnerIdentity": "owner_id, incarnation_id, liveness=Opaque()",
    "LocalProcess": "host_id, boot_id, pid, process_start",
    "SessionExecutionLease": "session_id, owner, lease_token, fencing_token, claimed_at_epoch_ms, expires_at_epoch_ms",
    "SessionExecutionLeaseFence": "session_id, owner, lease_token, fencing_token",
    "SessionExecutionLeaseCompletion": "session_id, owner, lease_token, fencing_token",
    "LeaseAcquired": "lease",
    "LeaseBusy": "holder",
    "TurnInput": "items, image_blobs={}, protocol_turn_options=None, trace_turn_id=None",
    "TextItem": "text",
    "ImageRef": "id",
    "ActiveTurn": "turn_id, min_boundary=AFTER_WORK",
    "NextTurn": "",
    "PendingTurnInputDraft": "session_id, ingress, input, input_id=None, source_key=None",
    "PendingTurnInput": "input_id, session_id, enqueue_seq, ingress, state, enqueued_at_ms, input, source_key=None",
    "CancelByInputId": "input_id",
    "CancelBySourceKey": "source_key",
    "InputCancelled": "input",
    "InputAlreadyClaimed": "input, claim",
    "InputAlreadyCompleted": "input",
    "InputAlreadyCancelled": "input",
    "InputNotFound": "",
    "PendingTurnInputClaimDiagnostics": "state, claim_id, claim_owner, claim_expires_at_ms, claim_fencing_token",
    "PendingTurnInputCancelResult": "target, outcome",
    "SuffixOutcomes": "anchor, outcomes",
    "SuffixAnchorNotFound": "anchor",
    "TurnInputClaim": "session_id, claim_id, owner, lease_token, fencing_token, claimed_at_epoch_ms,"
    " expires_at_epoch_ms, mode, inputs",
    "ActiveTurnClaim": "turn_id, checkpoint",
    "NextTurnClaim": "",
    "TurnInputCompletion": "session_id, claim_id, lease_token, input_ids",
    "QueuedWorkBatchDraft": "session_id, delivery_policy, slot_policy, payloads, source_key=None,"
    " merge_key=MergeNever(), available_at_ms=0",
    "ProcessWake": "wake",
    "SessionCommand": "command",
    "MergeGroup": "group",
    "QueuedWorkBatch": "batch_id, session_id, enqueue_seq, delivery_policy, slot_policy, merge_key,"
    " available_at_ms, enqueued_at_ms, items, source_key=None",
    "QueuedWorkItem": "item_id, payload",
    "QueuedWorkClaim": "session_id, claim_id, owner, lease_token, fencing_token, claimed_at_epoch_ms,"
    " expires_at_epoch_ms, batches",
    "QueuedWorkCompletion": "session_id, claim_id, lease_token, batch_ids",
    "AttachmentIntent": "attachment_id, session_id, canonical_uri, intent_at_epoch_ms",
    "AttachmentManifestEntry": "attachment_id, session_id, canonical_uri, intent_at_epoch_ms,"
    " committed_at_epoch_ms=None",
    "AttachmentCreateMeta": "media_type, width=None, height=None, label=None",
    "AttachmentRef": "id, media_type, byte_len, width=None, height=None, label=None",
    "StoredAttachment": "meta, data",
    "AttachmentSweepReport": "deleted_attachment_ids, deleted_row_count",
    "SessionHead": "session_id, head_revision, leaf_node_id, checkpoint_ref, node_count, current_agent_frame_id",
}

METHODS = {
    "load_session": "scope",
    "load_node": "node_id",
    "commit_runtime_state": "commit",
    "try_claim_session_execution_lease": "session_id, owner, lease_ttl_ms",
    "reclaim_session_execution_lease": "session_id, owner, observed_holder, lease_ttl_ms",
    "renew_session_execution_lease": "fence, lease_ttl_ms",
    "release_session_execution_lease": "completion",
    "save_session_meta": "meta",
    "load_session_meta": "",
    "tombstone_nodes": "ids",
    "vacuum": "",
    "gc_unreachable": "",
    "durability_tier": "",
    "enqueue_pending_turn_input": "draft",
    "list_pending_turn_inputs": "session_id",
    "cancel_pending_turn_input": "session_id, input_id",
    "cancel_pending_turn_inputs": "session_id, targets",
    "cancel_pending_turn_input_suffix": "session_id, anchor",
    "claim_active_turn_inputs": "session_id, fence, owner, turn_id, checkpoint, lease_ttl_ms, max_inputs",
    "claim_next_turn_inputs": "session_id, fence, owner, lease_ttl_ms, max_inputs",
    "abandon_turn_input_claim": "claim",
    "enqueue_queued_work": "draft",
    "claim_leading_ready_session_command": "session_id, fence, owner, lease_ttl_ms",
    "claim_ready_queued_work": "session_id, fence, owner, boundary, lease_ttl_ms, max_batches",
    "claim_ready_queued_work_by_batch_ids": "session_id, fence, owner, boundary, lease_ttl_ms, batch_ids",
    "renew_queued_work_claim": "claim, lease_ttl_ms",
    "abandon_queued_work_claim": "claim",
    "cancel_queued_work_batch": "session_id, batch_id",
    "list_queued_work": "session_id",
    "list_pending_queued_work": "session_id",
    "load_session_head": "",
    "get_session_execution_lease": "session_id",
    "defer_orphaned_turn_inputs": "session_id, fence, turn_id",
    "record_intent": "intent",
    "commit_refs": "session_id, attachment_ids",
    "list_uncommitted": "older_than_epoch_ms",
    "forget": "attachment_id",
}

BUILDERS = {
    "with_turn_commit": "stamp",
    "with_session_execution_lease": "fence",
    "releasing_session_execution_lease": "completion",
    "completing_queue_claim": "claim",
    "completing_turn_input_claim": "claim",
    "deferring_interrupted_turn_inputs": "turn_id",
    "with_committed_attachments": "ids",
    "turn_commit_hash": "",
}


def _shown(item: dataclasses.Field[Any]) -> str:
    if item.default_factory is not dataclasses.MISSING:
        return f"{item.name}={item.default_factory()!r}"
    if item.default is dataclasses.MISSING:
        return item.name
    if item.default == localstore.PersistedTurnState():
        return f"{item.name}=PersistedTurnState()"
    return f"{item.name}={getattr(item.default, 'name', repr(item.default))}"


def _parameters(function: Any) -> str:
    return ", ".join(name for name in inspect.signature(function).parameters if name != "self")


class TestSignatures:
    """The public names, fields and parameters."""

    @pytest.mark.parametrize("name", RECORDS)
    def test_of_records_are_the_contract_s(self, name: str) -> None:
        """A record has these fields in this order, with these defaults."""
        fields = dataclasses.fields(getattr(localstore, name))
        assert ", ".join(map(_shown, fields)) == RECORDS[name]

    @pytest.mark.parametrize("name", METHODS)
    def test_of_methods_are_the_contract_s(self, name: str) -> None:
        """A method takes these parameters, by position or by name."""
        assert _parameters(getattr(RuntimePersistence, name)) == METHODS[name]

    @pytest.mark.parametrize("name", BUILDERS)
    def test_of_builders_are_the_contract_s(self, name: str) -> None:
        """A builder of a commit takes these parameters."""
        assert _parameters(getattr(localstore.RuntimeCommit, name)) == BUILDERS[name]

    def test_of_the_base_are_all_told(self) -> None:
        """The base has these methods and no others."""
        public = {name for name, _ in inspect.getmembers(RuntimePersistence, inspect.isfunction) if name[0] != "_"}
        assert public == METHODS.keys()
