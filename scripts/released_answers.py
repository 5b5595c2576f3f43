"""Note what the released files answer to drawn faces, so that a test sees whether they still do, here and elsewhere.

    python -m scripts.released_answers

reads tests/golden/drawn_faces.png with every version that `models/active.json` names, under the study's views, and
writes tests/golden/released_answers.json. Run it after each change of what is released, and commit the file. The faces
are drawn (`scripts.draw_faces`) and lie in the repository as pixels: other versions of the libraries that draw would
draw other ones.
"""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from scripts.draw_faces import draw_face
from shared.files import write_atomically
from shared.labels import LABELS
from shared.masking import STUDY_VIEWS
from shared.model_folder import read_active
from shared.probabilities import softmax
from trainer.evaluation import logits_of
from trainer.study.answers import Reader, open_reader

ROOT: Final = Path(__file__).parents[1]
MODELS: Final = ROOT / "models"
FACES_FILE: Final = ROOT / "tests" / "golden" / "drawn_faces.png"
ANSWERS_FILE: Final = ROOT / "tests" / "golden" / "released_answers.json"
COMMAND: Final = "python -m scripts.released_answers"

SIDE: Final = 48
FACES_A_LABEL: Final = 4
SEED: Final = 7_000

Faces = npt.NDArray[np.uint8]


def drawn_faces() -> tuple[Faces, npt.NDArray[np.int64]]:
    """Return the committed faces, uint8 (28, 48, 48), and their labels, int64 (28,): a line of the picture each."""
    with Image.open(FACES_FILE) as image:
        pixels = np.asarray(image, np.uint8)
    rows = pixels.reshape(len(LABELS), SIDE, FACES_A_LABEL, SIDE).swapaxes(1, 2)
    return rows.reshape(-1, SIDE, SIDE), np.repeat(np.arange(len(LABELS)), FACES_A_LABEL)


def write_faces() -> None:
    """Draw the faces and write them as one picture."""
    lines = [[np.asarray(draw_face(label, SEED + index)) for index in range(FACES_A_LABEL)] for label in LABELS]
    Image.fromarray(np.vstack([np.hstack(line) for line in lines])).save(FACES_FILE, optimize=True)


def answers_of(reader: Reader) -> dict[str, npt.NDArray[np.float64]]:
    """Return view to what a version answers to the drawn faces: probabilities (28, 7)."""
    faces, _ = drawn_faces()
    return {view.value: softmax(logits_of(reader.forward, faces, view, reader.card.input)) for view in STUDY_VIEWS}


def as_line(shares: npt.NDArray[np.float64]) -> str:
    """Return the probabilities of one face as a line of the file."""
    return " ".join(f"{share:.4f}" for share in shares)


def released_answers(models_dir: Path) -> dict[str, Any]:
    """Return the answers of every version that serves, and which slots it serves.

    Raises:
        ModelFolderError: a version that serves is missing or altered.
    """
    active = read_active(models_dir)
    versions = {}
    for version in sorted(set(active.values())):
        reader = open_reader(models_dir, "any", version, threads=1)
        views = {view: [as_line(row) for row in shares] for view, shares in answers_of(reader).items()}
        versions[version] = {"sha256": reader.file_digest, "probabilities": views}
    return {"command": COMMAND, "slots": active, "versions": versions}


def main() -> None:
    """Write the answers; draw the faces first where they are missing."""
    if not FACES_FILE.exists():
        write_faces()
    answers = released_answers(MODELS)
    write_atomically(ANSWERS_FILE, json.dumps(answers, indent=1) + "\n")
    print(f"wrote {ANSWERS_FILE.relative_to(ROOT)}: {', '.join(answers['versions'])}")


if __name__ == "__main__":
    main()
