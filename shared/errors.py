"""The errors of the shared package.

HalffaceError
├── UnknownViewError      a view's or quadrant set's name that does not exist
├── FaceShapeError        an array that is no face or batch of faces
├── ModelFolderError      a model folder that is missing, incomplete, altered or of another format
│   ├── UnknownModelError     a version that does not exist
│   ├── SelfTestError         a version that does not answer as its card says
│   ├── ModelChangeError      a promotion, roll back or archiving that is not possible now
│   └── ModelsUnavailableError    a models folder that cannot be written now
├── DatasetError          a data set that is missing or cannot be trained on
│   └── UnreadableDatasetError    one that the disk, or its permissions, keep from being read now
├── RunFolderError        a run's folder that is missing, or cannot be read or written
└── StudyError            the study's figures are missing or of another format

Every message is a sentence for a person and says what to do.
"""


class HalffaceError(Exception):
    """Root of every error that Halfface raises on purpose; its text may be shown to a user."""


class UnknownViewError(HalffaceError, ValueError):
    """The name of a view that does not exist."""


class FaceShapeError(HalffaceError, ValueError):
    """An array whose shape or type is not that of a grayscale face."""


class ModelFolderError(HalffaceError):
    """A model folder that cannot be trusted: missing, half written, altered or of another format."""


class UnknownModelError(ModelFolderError):
    """A version that does not exist."""


class SelfTestError(ModelFolderError):
    """A version that does not answer as its card says."""


class ModelChangeError(ModelFolderError):
    """A change of what serves that is not possible in the state that the models are in."""


class ModelsUnavailableError(ModelFolderError):
    """A models folder that the disk, or its permissions, keep from being changed now."""


class DatasetError(HalffaceError):
    """A data set that is missing or not laid out as FER2013 is."""


class UnreadableDatasetError(DatasetError):
    """A data set that the disk, or its permissions, keep from being read now."""


class RunFolderError(HalffaceError):
    """A run's folder that is missing, or cannot be read or written."""


class StudyError(HalffaceError):
    """The study's figures are missing or of another format."""
