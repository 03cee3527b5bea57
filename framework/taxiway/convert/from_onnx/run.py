"""Calls onnx2tf so that it touches nothing but the graph it is given.

Left alone it fetches a file of images, runs onnxsim and nvidia-smi as programs, writes beside the
model and leaves the process with sys.exit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

IMAGES = "calibration_image_sample_data_20x128x128x3_float32.npy"
"""The file that onnx2tf fetches unless it lies in the working folder
(onnx2tf/utils/common_functions.py, download_test_image_data)."""


SECONDS = 120.0
"""The longest that one call of onnx2tf may take; node by node is the way out."""


class Onnx2tfFailed(Exception):
    """onnx2tf gave no model. node: the name of the node it stopped at, where it says."""

    def __init__(self, reason: str, node: str | None) -> None:
        super().__init__(reason)
        self.node = node


class _TooLong(BaseException):
    """No Exception, for onnx2tf catches those and goes on."""


@contextlib.contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raise _TooLong after `seconds`: onnx2tf may try all orders of the axes of two tensors, which are
    500 000 for six axes. Without effect outside of the main thread, where signals do not arrive."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _imported() -> Any:
    """onnx2tf takes Python's limit on recursion away, without which a nested file ends the process."""
    limit = sys.getrecursionlimit()
    import onnx2tf

    sys.setrecursionlimit(limit)
    return onnx2tf


def keras_model(proto: Any, samples: Mapping[str, np.ndarray[Any, Any]], folder: Path) -> Any:
    """`proto` (an onnx.ModelProto) as a tf_keras.Model whose inputs keep their axes as they are.

    samples: one array for each input, on which onnx2tf tells its guesses apart. folder: that of
    `work_folder`. Raises Onnx2tfFailed.
    """
    given = []
    for position, (name, array) in enumerate(samples.items()):
        path = folder / f"{position}.npy"
        _save(path, array)
        given.append([name, str(path)])
    try:
        onnx2tf = _imported()
        with _deadline(SECONDS):
            return onnx2tf.convert(
                onnx_graph=proto,
                input_onnx_file_path=None,
                output_folder_path=str(folder / "result"),
                not_use_onnxsim=True,
                not_use_opname_auto_generate=True,
                keep_shape_absolutely_input_names=[value.name for value in proto.graph.input],
                custom_input_op_name_np_data_path=given or None,
                disable_model_save=True,
                verbosity="error",
            )
    except _TooLong as error:
        raise Onnx2tfFailed(f"it gave no result within {SECONDS:.0f} s", None) from error
    except SystemExit as error:
        raise Onnx2tfFailed("it gave up without a reason", None) from error
    except ImportError as error:
        if (error.name or "").startswith("onnx2tf.ops."):
            raise Onnx2tfFailed("it has no converter for this operator", _node(error)) from error
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise Onnx2tfFailed(" ".join(lines)[:300], _node(error)) from error


def _node(error: BaseException) -> str | None:
    return getattr(error, "onnx_op_name", None)


def _save(path: Path, array: np.ndarray[Any, Any]) -> None:
    import numpy as np

    np.save(path, array, allow_pickle=False)


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """A temporary working folder with the images in it; afterwards the old one is back, and the
    environment as it was."""
    import numpy as np
    import tf_keras

    tf_keras.backend.reset_uids()
    before, device = Path.cwd(), os.environ.get("CUDA_VISIBLE_DEVICES")
    with TemporaryDirectory() as name:
        folder = Path(name)
        _save(folder / IMAGES, np.random.default_rng(0).random((20, 128, 128, 3), np.float32))
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)
            if device is None:
                os.environ.pop("CUDA_VISIBLE_DEVICES", None)
            else:
                os.environ["CUDA_VISIBLE_DEVICES"] = device
