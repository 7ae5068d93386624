"""What holds within the life of one store: for a star import beside a `backend` fixture."""

from .cases.attachments import (
    TestAttachmentManifest,
    TestBytes,
    TestCommittedAttachments,
    TestIntentForAnotherSession,
    TestSessionScopedStore,
)
from .cases.badinput import TestArguments, TestExtremes, TestStoreArguments
from .cases.cancels import TestCancellingASuffix, TestCancellingOne, TestCancellingSeveral
from .cases.checkpoints import TestCheckpointManifest, TestFrameSnapshots, TestPartsByReference, TestPartsByValue
from .cases.commit_checks import TestBinding, TestHeadRevision, TestLeaseOfACommit, TestOrderOfChecks
from .cases.commit_claims import TestCompletingQueuedWork, TestCompletingTurnInput
from .cases.commit_effects import (
    TestAllTogether,
    TestCompletedWork,
    TestInterruptedTurn,
    TestReleasingCommit,
    TestResult,
    TestTokenLedger,
)
from .cases.commit_graph import TestAppend, TestCycles, TestReplaceFull, TestUnchanged
from .cases.faces import TestAttachmentsOfAStore, TestFace, TestTuples
from .cases.graph import TestLoadNode, TestLoadSession, TestOwnCopies, TestSessionHead
from .cases.handles import TestClosing, TestDeletedUnderAHandle, TestManyHandles, TestUnknownSessions
from .cases.input_claims import (
    TestClaimingForTheNextTurn,
    TestClaimingForTheRunningTurn,
    TestEndOfAnInputClaim,
    TestLeaseForClaims,
)
from .cases.inputs import TestEnqueueingInput, TestInputId, TestKeysOfBothQueues, TestListingInput, TestSourceKeyOfInput
from .cases.leases import TestClaimingALease, TestFencing, TestLiveLease, TestReleasingALease, TestRenewingALease
from .cases.races import TestQueueRaces, TestRaces
from .cases.reclaims import TestReclaimingFromTheDead, TestReclaimingFromTheLiving, TestReclaimingWhatIsNotLive
from .cases.replays import TestReplay, TestReplayOfQueues, TestStampConflict
from .cases.sessions import TestCreateSession, TestDeleteSession, TestOpenSession, TestSessionMeta
from .cases.stranded import TestDeferringOrphans, TestNextTurnIsNotStranded, TestNothingIsStranded
from .cases.summaries import TestActivityOfAttachments, TestListOrder, TestNoActivity, TestSummary
from .cases.sweep import TestSweep
from .cases.upkeep import TestCollectionOfImages, TestGarbageCollection, TestTombstones, TestVacuum
from .cases.wallclock import TestBootClockThatComesAndGoes, TestSteppedWallClock
from .cases.work import TestCancellingWork, TestEnqueueingWork, TestListingWork, TestSourceKeyOfWork
from .cases.work_by_ids import TestClaimingByBatchIds
from .cases.work_claims import (
    TestBoundaries,
    TestClaimingACommand,
    TestClaimingTurnWork,
    TestGroups,
    TestLeaseForWork,
    TestReadiness,
)
from .cases.work_ends import TestAbandoningAWorkClaim, TestEndOfAWorkClaim, TestRenewingAWorkClaim

__all__ = [
    "TestAbandoningAWorkClaim",
    "TestActivityOfAttachments",
    "TestAllTogether",
    "TestAppend",
    "TestArguments",
    "TestAttachmentManifest",
    "TestAttachmentsOfAStore",
    "TestBinding",
    "TestBootClockThatComesAndGoes",
    "TestBoundaries",
    "TestBytes",
    "TestCancellingASuffix",
    "TestCancellingOne",
    "TestCancellingSeveral",
    "TestCancellingWork",
    "TestCheckpointManifest",
    "TestClaimingACommand",
    "TestClaimingALease",
    "TestClaimingByBatchIds",
    "TestClaimingForTheNextTurn",
    "TestClaimingForTheRunningTurn",
    "TestClaimingTurnWork",
    "TestClosing",
    "TestCollectionOfImages",
    "TestCommittedAttachments",
    "TestCompletedWork",
    "TestCompletingQueuedWork",
    "TestCompletingTurnInput",
    "TestCreateSession",
    "TestCycles",
    "TestDeferringOrphans",
    "TestDeleteSession",
    "TestDeletedUnderAHandle",
    "TestEndOfAWorkClaim",
    "TestEndOfAnInputClaim",
    "TestEnqueueingInput",
    "TestEnqueueingWork",
    "TestExtremes",
    "TestFace",
    "TestFencing",
    "TestFrameSnapshots",
    "TestGarbageCollection",
    "TestGroups",
    "TestHeadRevision",
    "TestInputId",
    "TestIntentForAnotherSession",
    "TestInterruptedTurn",
    "TestKeysOfBothQueues",
    "TestLeaseForClaims",
    "TestLeaseForWork",
    "TestLeaseOfACommit",
    "TestListOrder",
    "TestListingInput",
    "TestListingWork",
    "TestLiveLease",
    "TestLoadNode",
    "TestLoadSession",
    "TestManyHandles",
    "TestNextTurnIsNotStranded",
    "TestNoActivity",
    "TestNothingIsStranded",
    "TestOpenSession",
    "TestOrderOfChecks",
    "TestOwnCopies",
    "TestPartsByReference",
    "TestPartsByValue",
    "TestQueueRaces",
    "TestRaces",
    "TestReadiness",
    "TestReclaimingFromTheDead",
    "TestReclaimingFromTheLiving",
    "TestReclaimingWhatIsNotLive",
    "TestReleasingALease",
    "TestReleasingCommit",
    "TestRenewingALease",
    "TestRenewingAWorkClaim",
    "TestReplaceFull",
    "TestReplay",
    "TestReplayOfQueues",
    "TestResult",
    "TestSessionHead",
    "TestSessionMeta",
    "TestSessionScopedStore",
    "TestSourceKeyOfInput",
    "TestSourceKeyOfWork",
    "TestStampConflict",
    "TestSteppedWallClock",
    "TestStoreArguments",
    "TestSummary",
    "TestSweep",
    "TestTokenLedger",
    "TestTombstones",
    "TestTuples",
    "TestUnchanged",
    "TestUnknownSessions",
    "TestVacuum",
]
