"""Versions of models between a models folder and the storage. A version never changes, so it travels once.

card.json is put last and fetched into a hidden folder that appears by one rename, with digests checked: nobody sees
half of a version on either side.
"""

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from shared.errors import ModelFolderError, RunFolderError
from shared.model_folder import ACTIVE_FILE, CARD_FILE, ServingModels, model_path, read_card, write_atomically
from shared.run_folder import REQUEST_FILE, STATE_FILE, RunFolder
from shared.schemas.jobs import RUN_PREFIX
from trainer.storage.store import Storage

log = logging.getLogger(__name__)

ACTIVE_KEY: Final = f"models/{ACTIVE_FILE}"


def put_model(storage: Storage, models_dir: Path, model_id: str) -> bool:
    """Put a version; return False where the storage has it already: that one stays as it is.

    Raises:
        StorageError: the storage fails.
        ModelFolderError: the version is not whole here.
    """
    folder, prefix = model_path(models_dir, model_id), f"models/{model_id}/"
    if storage.exists(prefix + CARD_FILE):
        return False
    card = read_card(folder)
    for name in card.sha256:
        storage.put_file(prefix + name, folder / name)
    storage.put_file(prefix + CARD_FILE, folder / CARD_FILE)
    return True


def fetch_model(storage: Storage, models_dir: Path, model_id: str) -> bool:
    """Fetch a version unless it is here; return whether it is here now.

    Raises:
        StorageError: the storage fails.
        ModelFolderError: what is there is no whole version, or the id is none.
    """
    folder, prefix = model_path(models_dir, model_id), f"models/{model_id}/"
    if folder.exists():
        return True
    there = storage.files(prefix)
    if CARD_FILE not in there:
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for name, item in there.items():
            if Path(name).name == name and not name.startswith("."):
                storage.fetch(prefix + name, item, staging / name)
        card = read_card(staging)
        if card.id != model_id:
            raise ModelFolderError(f"The storage has {card.id} where {model_id} should be.")
        staging.chmod(0o755)
        if not folder.exists():  # another process may have fetched it meanwhile
            staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return True


def fetch_needed(storage: Storage, runs_dir: Path, models_dir: Path, run: RunFolder) -> None:
    """Fetch what a run reads beside its own folder: what it waits for, the versions that it names, and what serves.

    A version that is nowhere is left to the run, which says so. Raises StorageError.
    """
    asked = run.request()
    for other in asked.after:
        for name, item in storage.files(f"runs/{other}/").items():
            if name in (REQUEST_FILE, STATE_FILE):
                storage.fetch(f"runs/{other}/{name}", item, runs_dir / other / name)
    wanted = [name for name in asked.request.named().values() if not name.startswith(RUN_PREFIX)]
    wanted += [made for other in asked.after if (made := _made_by(runs_dir, other))]
    for model_id in dict.fromkeys([*wanted, *_fetch_serving(storage, models_dir)]):
        try:
            fetch_model(storage, models_dir, model_id)
        except ModelFolderError as error:
            log.error("%s could not be fetched: %s", model_id, error)


def _made_by(runs_dir: Path, run_id: str) -> str | None:
    try:
        return RunFolder.open(runs_dir, run_id).state().model
    except RunFolderError:
        return None


def _fetch_serving(storage: Storage, models_dir: Path) -> list[str]:
    """Take over active.json, with which a new version is compared; return what it names."""
    found = storage.read(ACTIVE_KEY)
    if found is None:
        return []
    try:
        serving = ServingModels.model_validate_json(found[0])
    except ValidationError:
        return []
    write_atomically(models_dir / ACTIVE_FILE, found[0])
    return sorted(set(serving.active.values()))
