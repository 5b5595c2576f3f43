"""The errors of the shared package.

HalffaceError
├── UnknownViewError      a view's or quadrant set's name that does not exist
├── FaceShapeError        an array that is no face or batch of faces
├── ModelFolderError      a model folder that is missing, incomplete, altered or of another format
├── DatasetError          a data set that is missing or cannot be trained on
└── RunFolderError        a run's folder that is missing or cannot be read

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


class DatasetError(HalffaceError):
    """A data set that is missing or not laid out as FER2013 is."""


class RunFolderError(HalffaceError):
    """A run's folder that is missing or cannot be read."""
