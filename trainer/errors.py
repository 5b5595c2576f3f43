"""The trainer's errors; all are `shared.errors.HalffaceError`, so their text may be shown to a user.

HalffaceError
├── DatasetError (shared)   a data set that cannot be trained on
└── TrainerError
    ├── BaseModelError      a model to start from that is missing or does not fit
    ├── CheckpointError     no checkpoint of a run can be read
    ├── DivergedError       a training whose loss is no finite number any more
    ├── ExportError         an exported network that does not answer as the trained one
    ├── RunTakenError       a run that another process does
    ├── StorageError        a storage that does not answer, or cannot be used
    │   └── FileChangedError    a file of it that was replaced while it was fetched
    ├── StudyMismatchError  released models that do not give the study's figures
    └── Stopped             somebody asked the job to stop; what is kept of it, its sentence says
"""

from shared.errors import HalffaceError


class TrainerError(HalffaceError):
    """Root of the trainer's own errors."""


class BaseModelError(TrainerError):
    """A model to start from that is missing, without weights, or of another architecture."""


class CheckpointError(TrainerError):
    """No checkpoint of a run can be read."""


class DivergedError(TrainerError):
    """A training whose loss is no finite number any more."""


class ExportError(TrainerError):
    """An exported network that does not answer as the trained one does."""


class RunTakenError(TrainerError):
    """Another process does the run, so this one cannot go on with it."""


class StorageError(TrainerError):
    """The storage that machines share does not answer, or cannot be used."""


class FileChangedError(StorageError):
    """A file of the storage was replaced or removed while it was fetched; the next look sees the new one."""


class StudyMismatchError(TrainerError):
    """Released models whose answers are not those that the study's figures were made from."""


class Stopped(TrainerError):  # noqa: N818 - a way to end, not a mistake
    """The job was asked to stop; the sentence says what is kept, such as a checkpoint."""
