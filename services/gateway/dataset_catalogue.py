"""What lies in the data folder: its data sets with their counts, or with why they cannot be trained on."""

import logging
from collections.abc import Hashable, Iterator
from pathlib import Path

from services.gateway.remembered import Remembered
from shared.dataset_layout import count_images, kind_of, list_datasets, walk
from shared.errors import DatasetError, UnreadableDatasetError
from shared.schemas.datasets import DatasetInfo, DatasetList

_log = logging.getLogger("halfface.gateway.datasets")


class DatasetCatalogue:
    """The data folder's content; counts are kept until a data set's files change."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._counted: Remembered[DatasetInfo] = Remembered()

    def all(self) -> DatasetList:
        """Return every data set, sorted by name; none if the folder is empty or missing."""
        datasets = [info for path in self._paths() if (info := self._info(path))]
        return DatasetList(datasets=datasets, folder=self._data_dir.resolve().name)

    def find(self, name: str) -> DatasetInfo | None:
        """Return the data set called `name`, a plain name of the folder's listing, or None."""
        return next((self._info(path) for path in self._paths() if path.name == name), None)

    def with_test_images(self, count: int) -> Iterator[tuple[Path, Hashable]]:
        """Yield the data sets that have so many test images, each with what changes when its files do."""
        for path in self._paths():
            info = self._info(path)
            if info is None or sum(info.counts.get("test", {}).values()) != count:
                continue
            try:
                files = _files_state(path)
            except OSError:  # it went away meanwhile
                continue
            yield path, files

    def _paths(self) -> list[Path]:
        try:
            return list_datasets(self._data_dir)
        except OSError as error:
            _log.warning("the data folder cannot be listed: %s", error)
            return []

    def _info(self, path: Path) -> DatasetInfo | None:
        """Return one data set; None if it went away meanwhile."""
        kind = kind_of(path)
        try:
            files = _files_state(path)
        except OSError:
            return None
        if kind is None:
            return None
        empty = DatasetInfo(name=path.name, kind=kind, counts={}, total=0, problem=None)
        try:
            return self._counted.get(path.name, files, lambda: _count(path, empty))
        except UnreadableDatasetError as error:  # not remembered: it may pass without a change of the files
            return empty.model_copy(update={"problem": str(error)})
        except OSError as error:
            _log.warning("%s cannot be read: %s", path, error)
            return empty.model_copy(update={"problem": f"{path.name} cannot be read; check who may read it."})


def _count(path: Path, empty: DatasetInfo) -> DatasetInfo:
    """Return a data set with its counts, or with what is wrong in it. Raises OSError and UnreadableDatasetError."""
    try:
        counts = count_images(path)
    except UnreadableDatasetError:
        raise
    except DatasetError as error:
        return empty.model_copy(update={"problem": str(error)})
    except ValueError as error:
        _log.warning("%s cannot be read: %s", path, error)
        return empty.model_copy(update={"problem": f"{path.name} cannot be read; check its content."})
    total = sum(sum(labels.values()) for labels in counts.values())
    return empty.model_copy(update={"counts": counts, "total": total})


def _files_state(path: Path) -> Hashable:
    """Return what changes when the data set does, or who may read it: times and size, or the times of all folders."""
    if not path.is_dir():
        state = path.stat()
        return state.st_mtime_ns, state.st_ctime_ns, state.st_size
    return tuple((str(folder), about.st_mtime_ns, about.st_ctime_ns) for folder, about, _ in walk(path))
