"""Runs and models on a storage that several machines reach: S3 and the like, or whatever else `obstore` knows.

Folders stay what all code reads and writes. Two sides mirror them:

- `python -m trainer sync`, on the gateway's machine, puts new requests, cancel marks and models there and fetches what
  workers of other machines did (`trainer.storage.sync`). It alone judges which runs are lost.
- a worker with TRAINER_STORAGE_URL takes a run's lease, fetches the run's folder and the models that it names, puts
  what changes while it trains, and at the end the new model and the state, in this order (`trainer.storage.loan`).

```
<TRAINER_STORAGE_URL>/runs/<id>/...                  as in the folder; lease.json says who has the run
<TRAINER_STORAGE_URL>/models/<name>/<version>/...    as in the folder; card.json is put last
<TRAINER_STORAGE_URL>/models/active.json             the gateway's: what serves
```
A worker on the gateway's machine shares its folders, so it only takes leases: nothing is mirrored twice.

`obstore` keeps threads that do not survive a fork, and a worker forks for each run. So the worker's own process never
loads it: the process that trains does, and `python -m trainer.storage` for the rest.
"""

from pathlib import Path
from typing import Final

SYNC_DIR: Final = ".sync"
"""In the gateway's runs folder: what `python -m trainer sync` remembers."""


def is_home(runs_dir: Path) -> bool:
    """Return whether this folder of runs is the gateway's, which `python -m trainer sync` looks after."""
    return (runs_dir / SYNC_DIR).is_dir()
