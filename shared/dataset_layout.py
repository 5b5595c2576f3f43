"""Where the images of a data set lie: FER2013 in every form in which people have it. Finds and counts, decodes nothing.

Three kinds: a zip or a folder with `train/<label>/` and `test/<label>/` (at any depth), or Kaggle's `fer2013.csv` and
`icml_face_data.csv` (columns emotion, pixels, Usage; the second with leading spaces).
"""

import csv
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from shared.errors import DatasetError, UnreadableDatasetError
from shared.labels import FER_CSV_LABELS, LABELS

Kind = Literal["zip", "folder", "csv"]
SPLITS: Final = ("train", "test")
IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
CSV_USAGE: Final = {"training": "train", "publictest": "test", "privatetest": "test"}
CSV_COLUMNS: Final = ("emotion", "pixels", "usage")
MAX_NAMED: Final = 5
MAX_NAME: Final = 200
"""How many names an error gives, and how much of each: a zip may hold any number, 65,535 letters long."""


@dataclass(frozen=True)
class Entry:
    """One image file of a zip or folder: `name` is its path in there, as the zip has it or with forward slashes."""

    split: str
    label: str
    name: str


@dataclass(frozen=True)
class CsvRow:
    """One image of a CSV: `pixels` is the text of the column, values 0 to 255 separated by spaces."""

    split: str
    label: str
    usage: str
    line: int
    pixels: str


def kind_of(path: Path) -> Kind | None:
    """Return what kind of data set `path` could be by its name, or None."""
    if path.name.startswith("."):
        return None
    if path.is_dir():
        return "folder"
    return {".zip": "zip", ".csv": "csv"}.get(path.suffix.lower())  # type: ignore[return-value]


def require_kind(path: Path) -> Kind:
    """Return the kind of the data set at `path`.

    Raises:
        DatasetError: nothing there, or neither a zip, a folder nor a CSV.
    """
    if not path.exists():
        raise DatasetError(f"There is no data set at {path}; put FER2013's zip, folder or CSV there.")
    kind = kind_of(path)
    if kind is None:
        raise DatasetError(f"{path.name} is no data set; give a zip, a folder or a CSV.")
    return kind


def _entry(name: str) -> tuple[str, str] | None:
    """Return (split, label folder) of an image's path, or None if it is no image below a split."""
    parts = PurePosixPath(name).parts
    if len(parts) < 3 or "__MACOSX" in parts or any(part.startswith(".") for part in parts):
        return None
    split, label = parts[-3].lower(), parts[-2].lower()
    if split not in SPLITS or PurePosixPath(name).suffix.lower() not in IMAGE_SUFFIXES:
        return None
    return split, label


def list_images(path: Path) -> list[Entry]:
    """Return the images of a zip or folder, sorted by name.

    Raises:
        DatasetError: not readable, a label folder that is none of the seven emotions, or a missing split or class.
    """
    names = sorted(_names(path))
    entries = [Entry(*place, as_written) for name, as_written in names if (place := _entry(name))]
    if not entries:
        instead = _instead(name for name, _ in names)
        raise DatasetError(f"{path.name} holds no images in train/<label>/ and test/<label>/{instead}.")
    unknown = Counter(f"{entry.split}/{entry.label}" for entry in entries if entry.label not in LABELS)
    if unknown:
        folders = first_of([f"{folder[:MAX_NAME]} ({count} images)" for folder, count in sorted(unknown.items())])
        raise DatasetError(f"{path.name} has folders that are no emotion: {folders}. Known are {', '.join(LABELS)}.")
    require_complete(path.name, Counter((entry.split, entry.label) for entry in entries))
    return entries


def first_of(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are, as part of a sentence."""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def _instead(names: Iterable[str]) -> str:
    """Return what a zip or folder without a face in its place seems to be, as the end of a sentence."""
    suffixes = Counter(PurePosixPath(name).suffix.lower() for name in names if not name.endswith("/"))
    if suffixes[".csv"]:
        return ": it holds a CSV; unpack that and give the CSV itself"
    if other := {kind: count for kind, count in suffixes.items() if kind in (".tif", ".tiff", ".gif", ".pgm", ".heic")}:
        kind, count = max(other.items(), key=lambda item: item[1])
        return f": {count} files end in {kind}; save them as PNG"
    if images := sum(suffixes[kind] for kind in IMAGE_SUFFIXES):
        return f": {images} images lie elsewhere; sort them into folders of these names"
    return ""


def walk(
    path: Path, onerror: Callable[[OSError], None] | None = None
) -> Iterator[tuple[Path, os.stat_result, list[str]]]:
    """Yield each folder from `path` down, what the system says of it, and the names in it that are no folders'.

    Links to folders are followed; a folder to which several ways lead comes once, on the first way by name.

    Args:
        path: the folder.
        onerror: told why a folder cannot be listed, which is passed over then.
    """
    seen = set()
    for folder, below, names in os.walk(path, onerror=onerror, followlinks=True):
        about = Path(folder).stat()
        if (about.st_dev, about.st_ino) in seen:
            below.clear()
            continue
        seen.add((about.st_dev, about.st_ino))
        below.sort()
        yield Path(folder), about, names


def _raise_unless_forbidden(error: OSError) -> None:
    if not isinstance(error, PermissionError):
        raise error


def _names(path: Path) -> list[tuple[str, str]]:
    """Return each file's path with forward slashes, and as it is written there: old PowerShells zip with others."""
    try:
        if path.is_dir():
            files = (folder / name for folder, _, inside in walk(path, _raise_unless_forbidden) for name in inside)
            names = [file.relative_to(path.parent).as_posix() for file in files if file.is_file()]
            return list(zip(names, names, strict=True))
        with zipfile.ZipFile(path) as archive:
            return [(name.replace("\\", "/"), name) for name in archive.namelist()]
    except OSError as error:
        raise cannot_be_read(path.name, error) from error
    except (zipfile.BadZipFile, RuntimeError, ValueError) as error:  # zipfile's, of damaged files
        raise DatasetError(f"{path.name} is not a readable zip; download it again.") from error


def cannot_be_read(name: str, error: OSError) -> UnreadableDatasetError:
    """Return the error that says that a file is there and cannot be read now, whatever is in it."""
    why = error.strerror or type(error).__name__
    return UnreadableDatasetError(f"{name} cannot be read ({why}); check the disk and who may read the file.")


def iterate_csv(path: Path) -> Iterator[CsvRow]:
    """Yield the images of a Kaggle CSV in order.

    Raises:
        DatasetError: a missing column, an unknown emotion number or Usage, or text that is no CSV.
    """
    csv.field_size_limit(1 << 24)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = [column.strip().lower() for column in next(reader, [])]
            missing = [column for column in CSV_COLUMNS if column not in header]
            if missing:
                raise DatasetError(f"{path.name} lacks the column {', '.join(missing)}; it needs emotion,pixels,Usage.")
            emotion, pixels, usage = (header.index(column) for column in CSV_COLUMNS)
            for row in reader:
                if row:
                    yield _csv_row(path.name, reader.line_num, row, emotion, pixels, usage)
    except OSError as error:
        raise cannot_be_read(path.name, error) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path.name} is not a readable CSV; download it again.") from error


def _csv_row(file: str, line: int, row: list[str], emotion: int, pixels: int, usage: int) -> CsvRow:
    where = f"{file}, line {line}"
    if len(row) <= max(emotion, pixels, usage):
        raise DatasetError(f"{where}: the row is cut off; download the file again.")
    number, name = row[emotion].strip(), row[usage].strip()
    if not number.isdecimal() or int(number) >= len(FER_CSV_LABELS):
        raise DatasetError(f"{where}: the emotion is '{number[:20]}', but emotions are numbered 0 to 6.")
    if name.lower() not in CSV_USAGE:
        raise DatasetError(f"{where}: Usage is '{name[:20]}', but it is Training, PublicTest or PrivateTest.")
    return CsvRow(CSV_USAGE[name.lower()], FER_CSV_LABELS[int(number)], name, line, row[pixels])


def count_images(path: Path) -> dict[str, dict[str, int]]:
    """Return split to label to number of images.

    Raises:
        DatasetError: as `list_images` and `iterate_csv`.
    """
    if require_kind(path) == "csv":
        counts = Counter((row.split, row.label) for row in iterate_csv(path))
        require_complete(path.name, counts)
    else:
        counts = Counter((entry.split, entry.label) for entry in list_images(path))
    return {split: {label: counts[split, label] for label in LABELS} for split in SPLITS}


def require_complete(name: str, counts: Counter[tuple[str, str]]) -> None:
    """Raise a DatasetError that names each split or class that has no image."""
    if not counts:
        raise DatasetError(f"{name} holds no images in train/<label>/ and test/<label>/.")
    for split in SPLITS:
        total = sum(counts[split, label] for label in LABELS)
        if total == 0:
            raise DatasetError(
                f"{name} has no {split} images ({sum(counts.values())} others); it needs {split}/<label>/."
            )
        empty = [label for label in LABELS if counts[split, label] == 0]
        if empty:
            raise DatasetError(
                f"{name} has no {split} images of {', '.join(empty)} ({total} of the others); each class needs some."
            )


def list_datasets(data_dir: Path) -> list[Path]:
    """Return what could be a data set in the data folder: zips, CSVs and folders, sorted by name."""
    if not data_dir.is_dir():
        return []
    return sorted(path for path in data_dir.iterdir() if kind_of(path))
