"""Train the example model: a small CNN on scikit-learn's digits (1,797 images of 8 x 8 pixels).

    python recipes/train_digits.py            # writes models/digits.keras and data/digits.npz

The data is the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak,
UCI Machine Learning Repository, 1998, CC BY 4.0) as scikit-learn ships it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 7
SCALE = 0.0625
TEST_ROWS = 500


def build() -> keras.Model:
    """A CNN of three convolutions: [n, 8, 8, 1] float32 in 0..1 to 10 class probabilities."""
    pixels = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(16, 3, padding="same", use_bias=False)(pixels)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dropout(0.4)(x)
    probabilities = keras.layers.Dense(10, activation="softmax", name="probabilities")(x)
    return keras.Model(pixels, probabilities, name="digits")


def main() -> None:
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Train the digits example model.")
    parser.add_argument("--out", type=Path, default=here, help="folder for models/ and data/")
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()

    keras.utils.set_random_seed(SEED)
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).astype(np.uint8)
    x_train, x_test, y_train, y_test = train_test_split(
        images, labels.astype(np.int64), test_size=TEST_ROWS, stratify=labels, random_state=SEED
    )
    model = build()
    model.compile(
        keras.optimizers.Adam(2e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(x_train * np.float32(SCALE), y_train, batch_size=32, epochs=options.epochs, verbose=2)
    _, accuracy = model.evaluate(x_test * np.float32(SCALE), y_test, verbose=0)

    for folder in ("models", "data"):
        (options.out / folder).mkdir(parents=True, exist_ok=True)
    # Without the optimizer's state the file is a third of the size.
    bare = keras.Model.from_config(model.get_config())
    bare.set_weights(model.get_weights())
    bare.save(options.out / "models" / "digits.keras")
    np.savez_compressed(
        options.out / "data" / "digits.npz",
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
    )
    print(f"test accuracy {accuracy:.4f} on {len(y_test)} images")


if __name__ == "__main__":
    main()
