"""Whole passes with a fallback: real models, real quantizers, planted faults, kills."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.optimize.quantize.fallback.journal import FILE
from taxiway.optimize.quantize.quantizing import Quantizing
from taxiway.plugins import Context, registry

Array = np.ndarray[Any, Any]
ROWS = 400
WIDE = 300.0


@dataclass
class Ran:
    """What a pass with a fallback gave."""

    model: Model
    facts: dict[str, Any]
    folder: Path

    @property
    def kept(self) -> dict[str, str]:
        return {entry["operator"]: entry["precision"] for entry in self.facts["kept"]}


@dataclass
class Pass:
    """Runs a pass with a fallback in folders below `root`; counts how often it quantizes."""

    root: Path
    data: Any
    made: int = 0
    runs: int = field(default=0)

    def run(
        self, model: Model, name: str = "quantize_static", dies_at: int = 0, **options: Any
    ) -> Ran:
        """dies_at: the attempt that ends as a killed process does, with nothing published."""
        plugin = registry().get("optimize", name)
        step = plugin.implementation(model.format)
        assert isinstance(step, Quantizing)
        options = {"fallback": {"max_drop": "0.5 pt", **options.pop("fallback", {})}, **options}
        config = msgspec.convert(options, plugin.step.Config)
        quantize = step.quantize
        self.made = 0

        def counting(*arguments: Any) -> Model:
            self.made += 1
            if self.made == dies_at:
                raise KeyboardInterrupt
            return quantize(*arguments)

        step.quantize = counting  # type: ignore[method-assign]
        told: dict[str, Any] = {}
        self.runs += 1
        workdir = self.root / f"work{self.runs}"
        workdir.mkdir()
        context = Context(
            workdir=workdir,
            data=self.data,
            tell=told.__setitem__,
            checkpoints=self.root / "checkpoints",
        )
        result = step.run(model, config, context)
        return Ran(result, told["fallback"], workdir)


@pytest.fixture
def fallback(tmp_path: Path, labelled: Any) -> Pass:
    return Pass(tmp_path, labelled)


def network(layers: list[tuple[Array, Array]], path: Path, end: str = "Softmax") -> Model:
    """Dense layers with ReLU between them: operators fc0, relu0, fc1, ..."""
    nodes, constants, name = [], [], "pixels"
    for number, (kernel, bias) in enumerate(layers):
        for what, values in (("w", kernel), ("b", bias)):
            constants.append(numpy_helper.from_array(values.astype(np.float32), f"{what}{number}"))
        inputs = [name, f"w{number}", f"b{number}"]
        nodes.append(helper.make_node("Gemm", inputs, [f"h{number}"], f"fc{number}"))
        last = number + 1 == len(layers)
        name = "scores" if last else f"r{number}"
        nodes.append(helper.make_node(end if last else "Relu", [f"h{number}"], [name], name))
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "network",
        [info("pixels", TensorProto.FLOAT, ["batch", 64])],
        [info("scores", TensorProto.FLOAT, ["batch", 10])],
        constants,
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return describe(path, "onnx")


@pytest.fixture(scope="session")
def layers(digits: tuple[Array, Array]) -> list[tuple[Array, Array]]:
    """A trained network with three hidden layers."""
    from sklearn.neural_network import MLPClassifier

    images, labels = digits
    trained = MLPClassifier((48, 32, 24), random_state=0, max_iter=40).fit(images, labels)
    return list(zip(trained.coefs_, trained.intercepts_, strict=True))


def wide(layers: list[tuple[Array, Array]], at: int) -> list[tuple[Array, Array]]:
    """The same function, with one wide channel between two layers."""
    made = [(kernel.copy(), bias.copy()) for kernel, bias in layers]
    channel = int(np.argmax(made[at][1]))
    made[at][0][:, channel] *= WIDE
    made[at][1][channel] = (made[at][1][channel] + 1) * WIDE
    made[at + 1][0][channel] /= WIDE
    made[at + 1][1][:] -= made[at + 1][0][channel] * WIDE
    return made


@pytest.fixture
def healthy(layers: list[tuple[Array, Array]], tmp_path: Path) -> Model:
    return network(layers, tmp_path / "healthy.onnx")


@pytest.fixture
def faulty(layers: list[tuple[Array, Array]], tmp_path: Path) -> Model:
    return network(wide(layers, 1), tmp_path / "faulty.onnx")


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_planted_channel_is_found_and_the_accuracy_restored(
    at: int, layers: list[tuple[Array, Array]], fallback: Pass, tmp_path: Path
) -> None:
    ran = fallback.run(network(wide(layers, at), tmp_path / "m.onnx"))
    facts = ran.facts
    assert facts["quantized_drop"] > 0.05
    assert facts["restored"] and facts["drop"] <= 0.005
    assert f"fc{at}" in ran.kept
    assert {*ran.kept} <= {f"fc{at}", f"r{at}", f"fc{at + 1}"}
    assert facts["size"]["final"] == ran.model.size
    assert facts["given_back_share"] <= 0.1
    low, high = facts["drop_interval"]
    assert low <= facts["drop"] <= high
    assert [path.name for path in ran.folder.iterdir()] == [ran.model.path.name]


def test_where_nothing_is_lost_nothing_is_kept(
    healthy: Model, fallback: Pass, optimize: Any, labelled: Any
) -> None:
    ran = fallback.run(healthy)
    assert (ran.kept, ran.facts["given_back"], fallback.made) == ({}, 0, 1)
    plain = optimize(healthy, "quantize_static", labelled)
    assert ran.model.path.read_bytes() == plain.path.read_bytes()


def test_agreement_needs_no_labels(faulty: Model, fallback: Pass, labelled: Any) -> None:
    fallback.data = type(labelled)(labelled.pixels, np.full(ROWS, -1))
    ran = fallback.run(faulty, fallback={"metric": "agreement", "samples": 300})
    assert (ran.facts["input"], ran.facts["n"]) == (1.0, 300)
    assert ran.facts["restored"]
    assert "fc1" in ran.kept


def test_a_precision_that_is_asked_for_is_taken(faulty: Model, fallback: Pass) -> None:
    ran = fallback.run(faulty, fallback={"precision": "float32"})
    assert set(ran.kept.values()) == {"float32"}
    graph = onnx.load(ran.model.path).graph
    floats = {t.name for t in graph.initializer if t.data_type == TensorProto.FLOAT}
    assert {"w1", "w2"} <= floats


def test_what_the_recipe_keeps_is_no_candidate(faulty: Model, fallback: Pass) -> None:
    """Both sides are kept already: nothing is left to repair."""
    ran = fallback.run(faulty, exclude=["fc1", "fc2"])
    assert (ran.kept, ran.facts["restored"]) == ({}, True)


def test_the_best_is_given_where_nothing_restores_it(faulty: Model, fallback: Pass) -> None:
    """Only two operators are quantized, and both disturb: one must stay so."""
    ran = fallback.run(faulty, only=["fc1", "fc2"])
    assert not ran.facts["restored"]
    assert ran.facts["final"] >= ran.facts["quantized"]
    assert any("best one found" in warning for warning in ran.facts["warnings"])


@pytest.mark.parametrize("dies_at", [1, 4, 14])
def test_an_attempt_after_a_kill_measures_nothing_again(
    dies_at: int, faulty: Model, labelled: Any, tmp_path: Path
) -> None:
    (tmp_path / "clean").mkdir()
    clean = Pass(tmp_path / "clean", labelled)
    expected = clean.run(faulty)
    (tmp_path / "killed").mkdir()
    killed = Pass(tmp_path / "killed", labelled)
    with pytest.raises(KeyboardInterrupt):
        killed.run(faulty, dies_at=dies_at)
    journal = tmp_path / "killed" / "checkpoints" / FILE
    lines = journal.read_bytes().count(b"\n") if journal.exists() else 0
    ran = killed.run(faulty)
    assert ran.model.path.read_bytes() == expected.model.path.read_bytes()
    assert ran.facts["resumed"] == lines >= dies_at - 2
    assert killed.made == clean.made - max(dies_at - 2, 0)
    for same in ("kept", "final", "given_back", "candidates", "drop_interval"):
        assert ran.facts[same] == expected.facts[same]


def test_an_input_model_with_nan_is_refused(
    layers: list[tuple[Array, Array]], fallback: Pass, tmp_path: Path
) -> None:
    made = [(kernel.copy(), bias.copy()) for kernel, bias in layers]
    made[2][1][3] = np.nan
    with pytest.raises(StepError, match="NaN"):
        fallback.run(network(made, tmp_path / "nan.onnx"))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full(ROWS, 12), "labels go from 12"),
        (np.full(ROWS, 0.5), "not whole numbers"),
    ],
    ids=["outside", "halves"],
)
def test_labels_that_do_not_fit(
    labels: Array, message: str, healthy: Model, fallback: Pass, labelled: Any
) -> None:
    fallback.data = type(labelled)(labelled.pixels, labels)
    with pytest.raises(StepError, match=message):
        fallback.run(healthy)


def test_an_output_that_is_not_there(healthy: Model, fallback: Pass) -> None:
    """The model's only output is taken under any name; of several, one must be called so."""
    assert fallback.run(healthy, fallback={"output": "probabilities"}).facts["restored"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quantize_static", "quantize_dynamic", "quantize_weights"])
def test_every_pass_has_it_on_tflite(
    name: str, weights: list[tuple[Array, Array]], fallback: Pass, tmp_path: Path
) -> None:
    """One weight a thousand times the others of its channel: 8 bits leave the channel nothing else."""
    import tensorflow as tf

    (w0, b0), (w1, b1) = [(kernel.copy(), bias.copy()) for kernel, bias in weights]
    w0[0] += 2000 * np.sign(w0[1])
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, 64], tf.float32, "pixels")])
    def scores(pixels: Any) -> dict[str, Any]:
        return {"scores": tf.nn.relu(pixels @ w0 + b0) @ w1 + b1}

    function = scores.get_concrete_function()
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=function)
    content = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "m")).convert()
    (tmp_path / "mlp.tflite").write_bytes(content)
    ran = fallback.run(describe(tmp_path / "mlp.tflite", "tflite"), name)
    assert ran.facts["quantized_drop"] > 0.05
    assert ran.facts["restored"]
    assert len(ran.kept) == 1
