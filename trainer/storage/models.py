"""Versions of models between a models folder and the storage. A version never changes, so it travels once.

card.json is put last and fetched into a hidden folder that appears by one rename, with digests checked: nobody sees
half of a version on either side.
"""

import logging
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from shared.errors import ModelFolderError, RunFolderError
from shared.files import publish_folder, write_atomically
from shared.model_folder import ACTIVE_FILE, CARD_FILE, Card, ServingModels, model_path, read_card
from shared.run_folder import REQUEST_FILE, STATE_FILE, RunFolder
from shared.schemas.jobs import RUN_PREFIX
from trainer.storage.store import Storage

log = logging.getLogger(__name__)

ACTIVE_KEY: Final = f"models/{ACTIVE_FILE}"

CUT_OFF_S: Final = 3600.0
"""Age of a hidden folder that no fetch can still be filling: each file in it is younger while one does."""


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
    """Fetch a version unless it is here; return whether it is here now. Another one of its name here gives way.

    Raises:
        StorageError: the storage fails.
        ModelFolderError: what is there is no whole version, or the id is none.
    """
    folder, prefix = model_path(models_dir, model_id), f"models/{model_id}/"
    if folder.exists() and _is_published(storage, folder, prefix):
        return True
    there = storage.files(prefix)
    if CARD_FILE not in there:
        return folder.exists()
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_cut_off(folder)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for name, item in there.items():
            if Path(name).name == name and not name.startswith("."):
                storage.fetch(prefix + name, item, staging / name)
        card = read_card(staging)
        if card.id != model_id:
            raise ModelFolderError(f"The storage has {card.id} where {model_id} should be.")
        if folder.exists() and not _is_published(storage, folder, prefix):
            folder.rename(staging.with_name(f"{staging.name}.old"))
        if not folder.exists():  # another process may have fetched it meanwhile
            publish_folder(staging, folder)
    finally:
        for left in (staging, staging.with_name(f"{staging.name}.old")):
            shutil.rmtree(left, ignore_errors=True)
    return True


def _is_published(storage: Storage, folder: Path, prefix: str) -> bool:
    """Return whether the version here is the one of its name that the storage has, or the storage has none.

    A worker that dies before it can publish what it made leaves a version that another worker makes anew.
    """
    found = storage.read(prefix + CARD_FILE)
    if found is None:
        return True
    try:
        return Card.model_validate_json(found[0]).sha256 == read_card(folder, verify=False).sha256
    except (ValidationError, ModelFolderError):
        return False


def _remove_cut_off(folder: Path) -> None:
    """Remove what a fetch that was killed has left, once no other process can still be at it."""
    for left in folder.parent.glob(f".{folder.name}.*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > CUT_OFF_S:
                shutil.rmtree(left, ignore_errors=True)


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
