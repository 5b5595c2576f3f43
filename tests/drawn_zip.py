"""Drawn faces as a zip with the file names of FER2013, which tell the two parts of its test split."""

import zipfile
from pathlib import Path


def write_drawn_zip(drawn: Path, path: Path) -> Path:
    """Write the folder of drawn faces (see `scripts.draw_faces.write_dataset`) as a zip; return its path.

    Every third test image is a PublicTest one; the others are PrivateTest ones.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for number, file in enumerate(sorted(drawn.rglob("*.png"))):
            split, label = file.parts[-3:-1]
            kind = "Training" if split == "train" else "PrivateTest" if number % 3 else "PublicTest"
            archive.write(file, f"{split}/{label}/{kind}_{number}.png")
    return path
