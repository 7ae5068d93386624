"""What holds within the life of one store: for a star import beside a `backend` fixture."""

from .cases.attachments import (
    TestAttachmentManifest,
    TestBytes,
    TestCommittedAttachments,
    TestIntentForAnotherSession,
    TestSessionScopedStore,
    TestSweep,
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
from .cases.graph import TestLoadNode, TestLoadSession, TestSessionHead
from .cases.handles import TestClosing, TestDeletedUnderAHandle, TestManyHandles, TestUnknownSessions
from .cases.input_claims import (
    TestClaimingForTheNextTurn,
    TestClaimingForTheRunningTurn,
    TestDeferringOrphans,
    TestEndOfAnInputClaim,
    TestLeaseForClaims,
    TestNothingIsStranded,
)
from .cases.inputs import TestEnqueueingInput, TestInputId, TestListingInput, TestSourceKeyOfInput
from .cases.leases import TestClaimingALease, TestFencing, TestLiveLease, TestReleasingALease, TestRenewingALease
from .cases.races import TestQueueRaces, TestRaces
from .cases.reclaims import TestReclaimingFromTheDead, TestReclaimingFromTheLiving, TestReclaimingWhatIsNotLive
from .cases.replays import TestReplay, TestStampConflict
from .cases.sessions import TestCreateSession, TestDeleteSession, TestOpenSession, TestSessionMeta
from .cases.summaries import TestListOrder, TestSummary
from .cases.upkeep import TestCollectionOfImages, TestGarbageCollection, TestTombstones, TestVacuum
from .cases.wallclock import TestSteppedWallClock
from .cases.work import (
    TestAbandoningAWorkClaim,
    TestCancellingWork,
    TestEndOfAWorkClaim,
    TestEnqueueingWork,
    TestListingWork,
    TestRenewingAWorkClaim,
    TestSourceKeyOfWork,
)
from .cases.work_claims import (
    TestBoundaries,
    TestClaimingACommand,
    TestClaimingByBatchIds,
    TestClaimingTurnWork,
    TestGroups,
    TestLeaseForWork,
    TestReadiness,
)

__all__ = [
    "TestAbandoningAWorkClaim",
    "TestAllTogether",
    "TestAppend",
    "TestArguments",
    "TestAttachmentManifest",
    "TestBinding",
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
    "TestFencing",
    "TestFrameSnapshots",
    "TestGarbageCollection",
    "TestGroups",
    "TestHeadRevision",
    "TestInputId",
    "TestIntentForAnotherSession",
    "TestInterruptedTurn",
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
    "TestNothingIsStranded",
    "TestOpenSession",
    "TestOrderOfChecks",
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
    "TestUnchanged",
    "TestUnknownSessions",
    "TestVacuum",
]
