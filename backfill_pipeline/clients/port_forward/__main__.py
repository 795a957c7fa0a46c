"""`python -m backfill_pipeline.clients.port_forward ROOT NAME LOCK PACE`: a keeper.

Only a holder starts it: LOCK is the descriptor of the forward's lock, which it was given together with its life, so that
there is never a moment with two keepers or with none that looks like one.
"""

import json
import os
import sys
from pathlib import Path

from backfill_pipeline.clients.port_forward.keeper import Keeper, Pace
from backfill_pipeline.clients.port_forward.place import Place


def main(root: str, name: str, lock: str, pace: str) -> int:
    os.set_inheritable(int(lock), False)  # not kubectl's: the lock shall end with this process
    os.umask(0o077)
    Keeper(Place(Path(root), name), Pace(**json.loads(pace))).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
