"""Makes the calls of the script in the folder that it is told, and says on another disk which were acknowledged.

It ends with 3 when its disk is gone. It takes: base folder, file of acknowledgements, durability, fold_bytes, fan_in,
grace_s.
"""

from __future__ import annotations

import os
import sys

from localstore import BackendError, Durability, LocalStore
from localstore.testing import ManualClock
from tests.crash.crash_settings import ROOT_NAME, Setting
from tests.crash.crash_workload import SCRIPT, Ids, World


def main() -> int:
    base, acks, durability, fold_bytes, fan_in, grace_s = sys.argv[1:]
    setting = Setting(Durability(durability), fold_bytes=int(fold_bytes), fan_in=int(fan_in), grace_s=float(grace_s))
    clock, ids = ManualClock(), Ids()
    log = os.open(acks, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with setting.installed() as run_due, ids.installed():
        try:
            root = f"{base}/{ROOT_NAME}"
            world = World(clock, lambda: LocalStore(root, durability=setting.durability, clock=clock), True)
            print(0, flush=True)
            for number, step in enumerate(SCRIPT, 1):
                ids.start(number)
                clock.advance(1_000)
                step.run(world)
                os.write(log, b"%d\n" % number)
                print(number, flush=True)
                run_due()
        except BackendError:
            return 3
    return 0


if __name__ == "__main__":
    # Nothing is closed: the process may have lost its disk in the midst of anything.
    os._exit(main())
