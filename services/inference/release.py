"""Brings a release's models into a models folder: `python -m services.inference.release <released> <models>`.

Versions that are not there yet are added; one that is there never changes. Slots follow the release unless a person has
decided on them (`shared.model_registry.follow_release`). Used by the containers, whose models lie in a volume.
"""

import sys
from pathlib import Path

from services.inference.network import Network
from shared.errors import ModelFolderError
from shared.model_folder import CARD_FILE, Card, list_models, model_path, read_card, write_model
from shared.model_registry import follow_release


def bring(released: Path, models_dir: Path) -> list[str]:
    """Add the release's versions, let slots follow it, and return a sentence on each version that was left out.

    A version that fails its self-test on this machine is added, but no slot follows it: what serves stays.

    Raises:
        ModelFolderError: an `active.json` cannot be read or written.
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

    def self_test(card: Card) -> None:
        try:
            Network(model_path(models_dir, card.id), threads=1)
        except ModelFolderError as error:
            problems.append(str(error))
            raise

    follow_release(models_dir, released, self_test)
    return problems


def main() -> int:
    """Do it for the folders of the command line; return the exit status."""
    if len(sys.argv) != 3:
        print("Usage: python -m services.inference.release <released models> <models folder>", file=sys.stderr)
        return 2
    try:
        problems = bring(Path(sys.argv[1]), Path(sys.argv[2]))
    except ModelFolderError as error:
        problems = [str(error)]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 0  # what was in the folder before can go on serving


if __name__ == "__main__":
    sys.exit(main())
