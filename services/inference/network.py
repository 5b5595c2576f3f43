"""One network: ONNX Runtime over a model folder's file, checked against its card and by the self-test.

Made in the process that uses it: ONNX Runtime's threads do not survive a fork.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime

from shared.errors import ModelFolderError
from shared.labels import LABELS
from shared.model_folder import Card, read_network
from shared.self_test import check

INPUT: Final = "input"
OUTPUT: Final = "logits"
ERRORS_ONLY: Final = 3  # ONNX Runtime's log level


class Network:
    """A model version, ready to read faces; safe to use from many threads.

    Args:
        folder: `models/<name>/<version>`.
        threads: CPU threads that it may use for one batch.

    Raises:
        ModelFolderError: the folder cannot be trusted, or the network is not the one that its card describes.
        SelfTestError: it does not read the known face as its card says; running it also makes the first request as
            fast as others.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        card, content = read_network(folder)
        self.card: Card = card
        try:
            self._session: Any = onnxruntime.InferenceSession(
                content, _options(threads), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's errors share no documented base
            raise ModelFolderError(f"{self.card.id} is no network that can be run; export the model again.") from error
        self._check_shapes()
        check(self.card, self.logits)

    def logits(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return float32 (N, 7) of `batch`, float32 (N, channels, size, size) as `shared.preprocessing` makes it."""
        return np.asarray(self._session.run([OUTPUT], {INPUT: batch})[0], dtype=np.float32)

    def _check_shapes(self) -> None:
        spec = self.card.input
        inputs = {each.name: (each.type, each.shape) for each in self._session.get_inputs()}
        outputs = {each.name: (each.type, each.shape) for each in self._session.get_outputs()}
        kind, shape = inputs.get(INPUT, ("", []))
        sides = [spec.channels, spec.size, spec.size]
        if len(inputs) != 1 or kind != "tensor(float)" or len(shape) != 4 or not _fits(shape[1:], sides):
            raise self._wrong(f"float32 `{INPUT}` of (N, {', '.join(map(str, sides))})")
        if isinstance(shape[0], int):
            raise self._wrong("a batch of any size")
        kind, shape = outputs.get(OUTPUT, ("", []))
        if kind != "tensor(float)" or len(shape) != 2 or not _fits(shape[1:], [len(LABELS)]):
            raise self._wrong(f"float32 `{OUTPUT}` of (N, {len(LABELS)})")

    def _wrong(self, expected: str) -> ModelFolderError:
        return ModelFolderError(f"The network of {self.card.id} lacks {expected}; export the model again.")


def _fits(shape: list[int | str | None], expected: list[int]) -> bool:
    """Return whether declared sides are the expected ones, where they are declared as numbers."""
    return len(shape) == len(expected) and all(
        side == wanted or not isinstance(side, int) for side, wanted in zip(shape, expected, strict=True)
    )


def _options(threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # several requests share the cores
    return options
