"""What looks at a store as a whole, which need not be open and may be in use: check, repair, space, diagnosis.

It is what `localstore check`, `du` and `doctor` tell. `repair_store` alone changes something.
"""

from .disk.check import Checked, CheckReport, Finding, Severity, check_store
from .disk.diagnosis import Diagnosis, Limits, diagnose
from .disk.repair import RepairAction, RepairReport, repair_store
from .disk.space import SessionSpace, StoreSpace, measure

__all__ = [
    "CheckReport",
    "Checked",
    "Diagnosis",
    "Finding",
    "Limits",
    "RepairAction",
    "RepairReport",
    "SessionSpace",
    "Severity",
    "StoreSpace",
    "check_store",
    "diagnose",
    "measure",
    "repair_store",
]
