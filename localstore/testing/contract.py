"""What holds for the records, the errors and the abstract base, whatever the backend: for a star import."""

from .cases.defaults import TestAbstractBase, TestDefaults, TestDefaultsOnOthers
from .cases.hashing import TestTurnCommitHash
from .cases.identity import TestDeath, TestErrors, TestOwner
from .cases.records import (
    TestBadFields,
    TestBlobFields,
    TestClaimRecords,
    TestCommitBuilders,
    TestEnums,
    TestGraphRecord,
    TestInputRecord,
    TestJsonFields,
    TestMaterializing,
    TestMetaRecord,
    TestRecords,
)

__all__ = [
    "TestAbstractBase",
    "TestBadFields",
    "TestBlobFields",
    "TestClaimRecords",
    "TestCommitBuilders",
    "TestDeath",
    "TestDefaults",
    "TestDefaultsOnOthers",
    "TestEnums",
    "TestErrors",
    "TestGraphRecord",
    "TestInputRecord",
    "TestJsonFields",
    "TestMaterializing",
    "TestMetaRecord",
    "TestOwner",
    "TestRecords",
    "TestTurnCommitHash",
]
