"""What holds for the records, the errors and the abstract base, whatever the backend: for a star import."""

from .cases.badfields import TestBadFields
from .cases.defaults import TestAbstractBase, TestDefaults, TestDefaultsOnOthers
from .cases.hashing import TestTurnCommitHash
from .cases.identity import TestDeath, TestErrors, TestOwner
from .cases.jsonfields import TestBlobFields, TestJsonFields
from .cases.records import TestRecords
from .cases.signatures import TestSignatures
from .cases.values import (
    TestClaimRecords,
    TestCommitBuilders,
    TestEnums,
    TestGraphRecord,
    TestInputRecord,
    TestMaterializing,
    TestMetaRecord,
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
    "TestSignatures",
    "TestTurnCommitHash",
]
