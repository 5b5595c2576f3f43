"""Brings a release's models into a models folder: `python -m services.inference.release <released> <models>`.

Versions that are not there yet are added; one that is there never changes. Slots follow the release unless a person has
decided on them (`shared.model_registry.follow_release`). The study and its answers are replaced unless a person made
what is there; to have the release's again, delete both. Used by the containers, whose models lie in a volume.
"""

import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from services.inference.network import Network
from shared.errors import ModelFolderError, StudyError
from shared.files import write_atomically
from shared.model_folder import CARD_FILE, Card, list_models, model_path, read_card, sha256_of, write_model
from shared.model_registry import follow_release
from shared.study import STUDY_FILE, read_study
from shared.study_answers import STUDY_ANSWERS_FILE, read_answers

STUDY_FILES: Final = (STUDY_ANSWERS_FILE, STUDY_FILE)
"""In the order in which they appear: a reader shows nothing of answers without a study."""
BROUGHT_FILE: Final = ".released_study"
"""Digests of every study and answers that a release brought, a line each: a file with another one is a person's."""


def bring(released: Path, models_dir: Path) -> list[str]:
    """Add the release's versions and study, let slots follow it, and return a sentence on each thing left out.

    A version that fails its self-test on this machine is added, but no slot follows it: what serves stays.
    """
    problems = []
    for model_id, _ in list_models(released):
        if (models_dir / model_id / CARD_FILE).is_file():
            continue
        try:
            source = model_path(released, model_id)
            card = read_card(source)
            write_model(models_dir, {name: source / name for name in card.sha256}, card.model_dump())
        except ModelFolderError as error:
            problems.append(str(error))
    try:
        bring_study(released, models_dir)
    except StudyError as error:
        problems.append(f"The release's study is left out. {error}")

    def self_test(card: Card) -> None:
        Network(model_path(models_dir, card.id), threads=1)

    try:
        follow_release(models_dir, released, self_test, problems.append)
    except ModelFolderError as error:
        problems.append(str(error))
    return problems


def bring_study(released: Path, models_dir: Path) -> None:
    """Put the release's study and answers into the models folder, unless a file there is not from a release.

    Both or neither: both are written aside before either appears. Their digests are noted first, so that what a crash
    leaves between is known as a release's at the next start, and completed. A release without both changes nothing.

    Raises:
        StudyError: one of the two is missing or broken, they belong to two studies, or the folder cannot be written.
    """
    try:
        contents = {name: (released / name).read_bytes() for name in STUDY_FILES if (released / name).exists()}
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        there = {name: sha256_of(models_dir / name) for name in STUDY_FILES if (models_dir / name).exists()}
        record = models_dir / BROUGHT_FILE
        brought = set(record.read_text("utf-8", "replace").split()) if record.exists() else set()
        known = brought.union(digests.values())
        if not contents or not known.issuperset(there.values()):
            return
        if there == digests and known == brought:
            return
        _check_study(released)
        models_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=models_dir, prefix=f".{STUDY_FILE}.") as aside:
            for name in STUDY_FILES:
                write_atomically(Path(aside) / name, contents[name])
            write_atomically(record, "".join(f"{digest}\n" for digest in sorted(known)))
            for name in STUDY_FILES:
                (Path(aside) / name).replace(models_dir / name)
    except OSError as error:
        where = error.filename or models_dir
        raise StudyError(f"It could not be brought to {models_dir}: {where}: {error.strerror}.") from error


def _check_study(released: Path) -> None:
    study, answers = read_study(released / STUDY_FILE), read_answers(released / STUDY_ANSWERS_FILE)
    versions: dict[str, str] = {model.slot: model.version for model in study.models}
    measured = dict(zip(answers.models, answers.versions, strict=True))
    if (answers.fingerprint, measured) != (study.protocol.fingerprint, versions):
        raise StudyError(f"{STUDY_ANSWERS_FILE} and {STUDY_FILE} belong to two studies; make both again.")


def main() -> int:
    """Do it for the folders of the command line; return the exit status."""
    if len(sys.argv) != 3:
        print("Usage: python -m services.inference.release <released models> <models folder>", file=sys.stderr)
        return 2
    released = Path(sys.argv[1])
    if not os.access(released, os.R_OK | os.X_OK):
        print(f"{released} is not there, or user {os.getuid()} may not read it: chmod -R a+rX models", file=sys.stderr)
        return 1
    if not any(released.glob(f"*/*/{CARD_FILE}")):
        print(f"{released} holds no model: it is to be the folder models of the checkout.", file=sys.stderr)
        return 1
    for problem in bring(released, Path(sys.argv[2])):
        print(problem, file=sys.stderr)
    return 0  # what was in the folder before can go on serving


if __name__ == "__main__":
    sys.exit(main())
