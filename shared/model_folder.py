"""The model folder: `models/<name>/<version>/` with `model.onnx` and `card.json`, and `models/active.json`.

The card is written last, and the folder appears by one rename, so a folder without a card is not a model and nobody
sees half of one. Nothing in it is ever unpickled: ONNX and JSON only. `active.json` says which version serves which
slot (a view's name, or `any`), which versions are archived, and who changed that when; it is replaced by one rename, so
a change and its record are one. `shared.model_registry` makes the changes.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import ModelFolderError, UnknownModelError
from shared.files import publish_folder, write_atomically
from shared.labels import LABELS
from shared.preprocessing import InputSpec
from shared.schemas.models import ModelChange
from shared.schemas.training import FIXED_BY_WEIGHTS, SPLIT, TrainSettings

CARD_FORMAT: Final = 1
ACTIVE_FILE: Final = "active.json"
CARD_FILE: Final = "card.json"
MODEL_FILE: Final = "model.onnx"
WEIGHTS_FILE: Final = "weights.safetensors"
"""The trained weights in half precision, to fine-tune from; a model may ship without."""

NAME_PATTERN: Final = r"[a-z0-9][a-z0-9._-]{0,63}"


class Card(BaseModel):
    """Everything that one must know of a model to serve it, to trust it and to make it again."""

    model_config = ConfigDict(frozen=True, extra="allow")

    format: Literal[1] = CARD_FORMAT
    name: str = Field(pattern=rf"^{NAME_PATTERN}$", description="The model's name, its folder.")
    version: str = Field(pattern=rf"^{NAME_PATTERN}$", description="The version, its folder within.")
    view: str = Field(description="What it was trained on: a view, `five` (the study's views mixed) or `any`.")
    file: str = Field(MODEL_FILE, description="The ONNX file: `input` float32 (N, C, S, S) to `logits` (N, 7).")
    sha256: dict[str, str] = Field(description="Digest of each file beside the card.")
    labels: tuple[str, ...] = Field(LABELS, description="Class names in the order of the logits.")
    input: InputSpec = Field(description="What the network reads.")
    architecture: str = Field(description="For example `resnet50`.")
    training: dict[str, Any] = Field(description="The whole training config, seed and code revision.")
    data: dict[str, Any] = Field(description="The data's name, counts and fingerprint.")
    metrics: dict[str, Any] = Field(description="What was measured, with its protocol.")
    self_test: dict[str, tuple[float, ...]] = Field(
        default_factory=dict,
        description="View to the logits of the known face (shared.self_test); older cards lack it.",
    )
    temperature: float = Field(
        1.0,
        gt=0,
        allow_inf_nan=False,
        description="What logits are divided by before they become probabilities (Guo et al. 2017), so that some 70 % "
        "of the answers given with 70 % are right; fitted on validation images. Older cards lack it: 1 divides by "
        "nothing.",
    )
    created: str = Field(description="UTC time, ISO 8601.")
    intended_use: str = Field("", description="What it is for, and what it must not be used for.")

    @property
    def has_weights(self) -> bool:
        """Whether one can fine-tune from it."""
        return WEIGHTS_FILE in self.sha256

    @property
    def settings(self) -> dict[str, Any]:
        """The training's settings by name, as far as the card tells them."""
        settings: dict[str, Any] = (self.training.get("request") or {}).get("settings") or {}
        return settings

    @property
    def fixed_by_weights(self) -> dict[str, Any]:
        """The settings of FIXED_BY_WEIGHTS, which a fine-tuning from this version shares with it, by name."""
        return self._told(FIXED_BY_WEIGHTS) | {"architecture": self.architecture}

    @property
    def split(self) -> dict[str, Any]:
        """The settings of SPLIT, which said how the training split was divided, by name."""
        return self._told(SPLIT)

    @property
    def for_fine_tuning(self) -> dict[str, Any]:
        """The settings of FROM_BASE, which a fine-tuning from this version takes where it is not told, by name."""
        return {**self.split, **self.fixed_by_weights, "size": self.input.size}

    def _told(self, names: Sequence[str]) -> dict[str, Any]:
        """Return settings as the training had them; one that the card does not tell had its default."""
        return {name: self.settings.get(name, TrainSettings.model_fields[name].default) for name in names}

    @property
    def id(self) -> str:
        """`<name>/<version>`, as `active.json` and every answer name it."""
        return f"{self.name}/{self.version}"

    def at(self, folder: Path) -> "Card":
        """Return the card if `folder` is the one of its name; raise ModelFolderError if the folder was renamed."""
        if folder.parts[-2:] != (self.name, self.version):
            raise ModelFolderError(f"{folder} is {self.id} by its card, and a version keeps its name: rename it back.")
        return self


class ServingModels(BaseModel):
    """The part of `models/active.json` that serving needs: a damaged history keeps nobody from predicting."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = 1
    active: dict[str, str] = Field(default_factory=dict, description="Slot (a view or `any`) to `<name>/<version>`.")


class ActiveModels(ServingModels):
    """The content of `models/active.json`: which model serves which slot, and how that came."""

    archived: tuple[str, ...] = Field((), description="Versions that are put away.")
    history: tuple[ModelChange, ...] = Field((), description="Oldest first; the newest 1000 and each slot's last.")


Content = TypeVar("Content", bound=ServingModels)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as lower-case hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def split_model_id(model_id: str) -> tuple[str, str]:
    """Return (name, version) of `<name>/<version>`.

    Raises:
        ModelFolderError: not of that form (also where it would leave the models folder).
    """
    if not re.fullmatch(rf"{NAME_PATTERN}/{NAME_PATTERN}", model_id):
        raise ModelFolderError(f"'{model_id}' is not a model: write it as <name>/<version>, such as first/1.")
    name, version = model_id.split("/")
    return name, version


def model_path(models_dir: Path, model_id: str) -> Path:
    """Return the folder of a model, whether it exists or not."""
    name, version = split_model_id(model_id)
    return models_dir / name / version


def read_card(folder: Path, *, verify: bool = True) -> Card:
    """Return the card of a model folder.

    Args:
        folder: `models/<name>/<version>`.
        verify: also compare the digests of the files that the card names.

    Raises:
        ModelFolderError: no card, a card of another format, labels in another order, a missing or altered file.
    """
    path = folder / CARD_FILE
    try:
        card = Card.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise UnknownModelError(f"{folder} holds no {CARD_FILE}, so it is not a model.") from error
    except (OSError, ValidationError) as error:
        raise ModelFolderError(f"{path} cannot be read as a card of format {CARD_FORMAT}.") from error
    if card.labels != LABELS:
        raise ModelFolderError(f"{path} lists other labels than {', '.join(LABELS)}; export the model again.")
    if card.file not in card.sha256:
        raise ModelFolderError(f"{path} gives no digest for {card.file}; export the model again.")
    for name, digest in card.sha256.items():
        _check_file(folder, name, digest if verify else None)
    return card


def read_network(folder: Path) -> tuple[Card, bytes]:
    """Return the card and its ONNX file's content, digest checked; no other file's is, to be quick. As `read_card`."""
    card = read_card(folder, verify=False).at(folder)
    file = folder / card.file
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ModelFolderError(f"{file} cannot be read; check the disk and who may read the file.") from error
    if hashlib.sha256(content).hexdigest() != card.sha256[card.file]:
        raise _altered(file)
    return card, content


def _altered(file: Path) -> ModelFolderError:
    return ModelFolderError(f"{file} is not the file that its card describes (its SHA-256 differs).")


def _check_file(folder: Path, name: str, digest: str | None) -> None:
    """Check that a file of a card lies in the folder, and that it has this SHA-256. Raises ModelFolderError."""
    file = folder / name
    try:
        if Path(name).name != name or not file.is_file():
            raise ModelFolderError(f"{folder} lacks the file {name} that its card names.")
        if digest is not None and sha256_of(file) != digest:
            raise _altered(file)
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"{file} cannot be read; check the disk and who may read the file.") from error


def write_model(models_dir: Path, files: Mapping[str, Path], card: Mapping[str, Any]) -> Card:
    """Add a version to the models folder, all of it or nothing.

    Args:
        models_dir: the folder `models`.
        files: file name in the model folder to the file to copy; one of them `model.onnx`.
        card: the card without `format`, `sha256` and `labels`, which are filled in here.

    Raises:
        ModelFolderError: the version exists already (versions never change), the card is incomplete, a file's name
            is no plain name, or the folder cannot be written.
    """
    digests = {name: sha256_of(source) for name, source in files.items()}
    try:
        complete = Card.model_validate({**card, "sha256": digests})
    except ValidationError as error:
        keys = ", ".join(".".join(map(str, each["loc"])) for each in error.errors())
        raise ModelFolderError(f"The card is incomplete; mend its {keys}.") from error
    if complete.file not in digests or any(Path(name).name != name or name == CARD_FILE for name in digests):
        raise ModelFolderError(f"A model needs {complete.file} and plain names; got {', '.join(sorted(digests))}.")
    folder = model_path(models_dir, complete.id)
    if folder.exists():
        raise ModelFolderError(f"{complete.id} exists already, and a version never changes; choose another version.")
    try:
        _publish(folder, files, complete)
    except OSError as error:
        raise ModelFolderError(f"{complete.id} could not be written to {models_dir}: {error.strerror}.") from error
    return complete


def _publish(folder: Path, files: Mapping[str, Path], card: Card) -> None:
    """Fill a hidden folder beside `folder`, then rename it. Raises OSError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{card.version}."))
    try:
        for name, source in files.items():
            shutil.copyfile(source, staging / name)
            with (staging / name).open("rb") as file:
                os.fsync(file.fileno())  # a power cut after the rename must not leave a card beside a file of zeros
        write_atomically(staging / CARD_FILE, card.model_dump_json(indent=1) + "\n")
        publish_folder(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def message_of(error: ModelFolderError, models_dir: Path) -> str:
    """Return an error's sentence with places as seen from the models folder: a server's paths are its own."""
    return str(error).replace(f"{models_dir}/", "")


def list_models(models_dir: Path) -> Iterator[tuple[str, Card | ModelFolderError]]:
    """Yield (`<name>/<version>`, its card or why it has none) of every model folder, sorted; digests unchecked."""
    for path in sorted(models_dir.glob(f"*/*/{CARD_FILE}")):
        folder = path.parent
        if folder.name.startswith(".") or folder.parent.name.startswith("."):
            continue
        try:
            yield f"{folder.parent.name}/{folder.name}", read_card(folder, verify=False).at(folder)
        except ModelFolderError as error:
            yield f"{folder.parent.name}/{folder.name}", error


def read_active_models(models_dir: Path) -> ActiveModels:
    """Return the content of `active.json`; nothing active where there is no such file.

    Raises:
        ModelFolderError: the file is there but cannot be read.
    """
    return _read_active_file(models_dir, ActiveModels)


def read_active(models_dir: Path) -> dict[str, str]:
    """Return slot to `<name>/<version>`; empty where there is no `active.json`.

    Raises:
        ModelFolderError: the file is there but cannot be read.
    """
    return _read_active_file(models_dir, ServingModels).active


def _read_active_file(models_dir: Path, kind: type[Content]) -> Content:
    path = models_dir / ACTIVE_FILE
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return kind()
    except (OSError, ValidationError) as error:
        message = f"{path} cannot be read; put a good copy back, or delete it and promote a model again."
        raise ModelFolderError(message) from error


def write_active(
    models_dir: Path,
    active: Mapping[str, str],
    archived: Sequence[str] = (),
    history: Sequence[ModelChange] = (),
) -> None:
    """Replace `active.json` by one rename, whatever it held; `shared.model_registry` keeps its history.

    Raises:
        ModelFolderError: an id that is none.
        OSError: the file cannot be written.
    """
    for model_id in active.values():
        split_model_id(model_id)
    content = ActiveModels(active=dict(active), archived=tuple(archived), history=tuple(history))
    write_atomically(models_dir / ACTIVE_FILE, content.model_dump_json(indent=1) + "\n")
