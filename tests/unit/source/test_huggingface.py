"""transformers folders: tasks, pooling as sentence-transformers does, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from taxiway.errors import SafetyError, StepError, TaxiwayError
from taxiway.model import Model
from taxiway.model.runners import open_runner
from taxiway.plugins import Context
from taxiway.source.huggingface import HuggingFace

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")
pytestmark = pytest.mark.slow

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
TEXT = {**SIZES, "vocab_size": 60, "max_position_embeddings": 40}
TOKENS = {
    "input_ids": np.array([[5, 6, 7, 8, 9, 1, 1], [3, 4, 5, 1, 1, 1, 1], [9, 8, 7, 6, 5, 4, 3]]),
    "attention_mask": np.array([[1] * 5 + [0] * 2, [1] * 3 + [0] * 4, [1] * 7]),
    "token_type_ids": np.array([[0, 0, 0, 1, 1, 0, 0]] * 3),
}


def bring_in(folder: Path, workdir: Path, **options: Any) -> Model:
    workdir.mkdir()
    given = {"type": "huggingface", "path": str(folder), **options}
    config = msgspec.convert(given, HuggingFace.Config)
    return HuggingFace().run(config, Context(workdir=workdir))


def build(folder: Path, architecture: str, config: str, **options: Any) -> Any:
    torch.manual_seed(0)
    made = getattr(transformers, architecture)(getattr(transformers, config)(**options)).eval()
    made.save_pretrained(folder)
    return made


@pytest.fixture
def bert(tmp_path: Path) -> tuple[Path, Any]:
    return tmp_path / "bert", build(tmp_path / "bert", "BertModel", "BertConfig", **TEXT)


def expected(model: Any, inputs: Mapping[str, Any]) -> Any:
    with torch.no_grad():
        return model(**{name: torch.from_numpy(array) for name, array in inputs.items()})


TASKS: dict[str, tuple[str, str, dict[str, Any], list[str]]] = {
    "classes": ("BertForSequenceClassification", "BertConfig", {"num_labels": 3}, ["logits"]),
    "answers": (
        "BertForQuestionAnswering",
        "BertConfig",
        {},
        ["start_logits", "end_logits"],
    ),
    "no-types": ("MPNetModel", "MPNetConfig", {}, ["last_hidden_state"]),
    "causal": ("LlamaForCausalLM", "LlamaConfig", {"num_key_value_heads": 2}, ["logits"]),
}


@pytest.mark.parametrize(
    ("architecture", "config", "options", "outputs"), TASKS.values(), ids=TASKS
)
def test_text(
    tmp_path: Path, architecture: str, config: str, options: dict[str, Any], outputs: list[str]
) -> None:
    """The task follows from the architecture; padding and any length give transformers' own numbers."""
    original = build(tmp_path / "m", architecture, config, **TEXT, **options)
    model = bring_in(tmp_path / "m", tmp_path / "w")
    assert [spec.name for spec in model.signature.outputs] == outputs
    assert {spec.shape for spec in model.signature.inputs} == {("batch", "sequence")}
    names = [spec.name for spec in model.signature.inputs]
    runner = open_runner(model)
    for inputs in (
        {name: TOKENS[name] for name in names},
        {name: TOKENS[name][:1, :4] for name in names},
    ):
        found, reference = runner.predict(inputs), expected(original, inputs)
        for name in outputs:
            np.testing.assert_allclose(found[name], reference[name].numpy(), atol=1e-6)


def test_image(tmp_path: Path) -> None:
    options = {**SIZES, "image_size": 16, "patch_size": 8, "num_labels": 4}
    original = build(tmp_path / "m", "ViTForImageClassification", "ViTConfig", **options)
    model = bring_in(tmp_path / "m", tmp_path / "w")
    assert str(model.signature.inputs[0]) == "pixel_values: float32[batch, 3, 16, 16]"
    x = np.random.default_rng(0).normal(size=(2, 3, 16, 16)).astype(np.float32)
    reference = expected(original, {"pixel_values": x}).logits.numpy()
    found = open_runner(model).predict({"pixel_values": x})["logits"]
    np.testing.assert_allclose(found, reference, atol=1e-6)


def pooled(states: Any, pooling: str) -> Any:
    """By the definition of each, written for one sentence at a time."""
    vectors = []
    for row, mask in zip(states, TOKENS["attention_mask"], strict=True):
        tokens = row[mask == 1]
        made = {"mean": tokens.mean(0), "cls": row[0], "max": tokens.max(0)}
        vectors.append(made[pooling])
    return np.stack(vectors)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("normalize", [False, True])
def test_pooling(bert: tuple[Path, Any], pooling: str, normalize: bool) -> None:
    from taxiway.source.huggingface_module import SentenceEncoder

    module = SentenceEncoder(bert[1], pooling, normalize)
    found = expected(module, TOKENS)["sentence_embedding"].numpy()
    vectors = pooled(expected(bert[1], TOKENS).last_hidden_state.numpy(), pooling)
    if normalize:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(found, vectors, atol=1e-6)


def sentence_transformers(folder: Path, pooling: dict[str, Any], *kinds: str) -> None:
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (kind, path) in enumerate(
            [("Transformer", ""), ("Pooling", "1_Pooling"), *((kind, "") for kind in kinds)]
        )
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))


def test_modules_of_sentence_transformers(bert: tuple[Path, Any], tmp_path: Path) -> None:
    folder, original = bert
    sentence_transformers(folder, {"pooling_mode_mean_tokens": True}, "Normalize")
    models = [bring_in(folder, tmp_path / f"w{n}") for n in range(2)]
    assert models[0].path.read_bytes() == models[1].path.read_bytes()
    assert str(models[0].signature.outputs[0]) == "sentence_embedding: float32[batch, 16]"
    found = open_runner(models[0]).predict(TOKENS)["sentence_embedding"]
    vectors = pooled(expected(original, TOKENS).last_hidden_state.numpy(), "mean")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(found, vectors, atol=1e-6)


@pytest.mark.parametrize(
    ("pooling", "kinds", "said"),
    [
        ({"pooling_mode_weightedmean_tokens": True}, (), "pools by pooling_mode_weightedmean"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, (), "pools by"),
        ({}, (), "pools by nothing"),
        ({"pooling_mode_mean_tokens": True}, ("Dense",), "has a module 'Dense'"),
    ],
    ids=["weighted", "two", "none", "dense"],
)
def test_other_modules_are_named(
    bert: tuple[Path, Any], tmp_path: Path, pooling: Any, kinds: tuple[str, ...], said: str
) -> None:
    sentence_transformers(bert[0], pooling, *kinds)
    with pytest.raises(StepError, match=said):
        bring_in(bert[0], tmp_path / "w")


def test_fixed_axes(bert: tuple[Path, Any], tmp_path: Path) -> None:
    sentence_transformers(bert[0], {"pooling_mode_mean_tokens": True})
    options = {"fixed": {"batch": 1, "sequence": 7}, "pooling": "none"}
    model = bring_in(bert[0], tmp_path / "w", **options)
    assert model.signature.outputs[0].name == "last_hidden_state"
    assert {spec.shape for spec in model.signature.inputs} == {(1, 7)}
    with pytest.raises(StepError, match="no free axis 'length'; it has batch, sequence"):
        bring_in(bert[0], tmp_path / "v", fixed={"length": 7})


def test_wrong_task(bert: tuple[Path, Any], tmp_path: Path) -> None:
    """A head that the folder has no weights for must not be made up of random ones."""
    with pytest.raises(StepError, match=r"has no weights for classifier\.") as caught:
        bring_in(bert[0], tmp_path / "w", task="text-classification")
    assert caught.value.hint and "source.task" in caught.value.hint
    with pytest.raises(msgspec.ValidationError, match="`pooling` is for feature-extraction"):
        bring_in(bert[0], tmp_path / "v", task="fill-mask", pooling="mean")


def test_encoder_decoder(tmp_path: Path) -> None:
    options = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    build(tmp_path / "m", "T5Model", "T5Config", vocab_size=60, **options)
    with pytest.raises(StepError, match="encoder-decoder"):
        bring_in(tmp_path / "m", tmp_path / "w")


def spoil(folder: Path, how: str) -> None:
    config = folder / "config.json"
    if how == "auto_map":
        config.write_text(json.dumps({**json.loads(config.read_text()), "auto_map": {"A": "b.C"}}))
    elif how == "unknown model":
        config.write_text(json.dumps({**json.loads(config.read_text()), "model_type": "evil"}))
    elif how == "truncated":
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-9])
    elif how == "no config":
        config.unlink()
    else:
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("how", "kind", "said"),
    [
        ("auto_map", SafetyError, "auto_map"),
        ("unknown model", StepError, "cannot load bert"),
        ("truncated", SafetyError, "the file holds"),
        ("no config", StepError, "has no config.json"),
        ("pickles", SafetyError, "save_pretrained"),
    ],
)
def test_bad_folders(
    bert: tuple[Path, Any], tmp_path: Path, how: str, kind: type[TaxiwayError], said: str
) -> None:
    spoil(bert[0], how)
    with pytest.raises(kind, match=said):
        bring_in(bert[0], tmp_path / "w")
    assert list((tmp_path / "w").iterdir()) == []


@pytest.mark.skipif("TAXIWAY_MINILM" not in os.environ, reason="set TAXIWAY_MINILM to its folder")
def test_minilm(tmp_path: Path) -> None:
    """Sentence embeddings of all-MiniLM-L6-v2, through ONNX, against transformers."""
    from taxiway.convert.torch_to_onnx import TorchToOnnx

    folder = Path(os.environ["TAXIWAY_MINILM"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    original = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()
    sentences = ["A plane taxis to the runway.", "The aircraft rolls to its take-off.", "No."]
    inputs = dict(tokenizer(sentences, padding=True, return_tensors="np"))
    states = expected(original, inputs).last_hidden_state.numpy()
    mask = inputs["attention_mask"][..., None]
    vectors = (states * mask).sum(1) / mask.sum(1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    model = bring_in(folder, tmp_path / "w")
    (tmp_path / "onnx").mkdir()
    result = TorchToOnnx().run(model, TorchToOnnx.Config(), Context(workdir=tmp_path / "onnx"))
    for each in (model, result):
        found = open_runner(each).predict(inputs)["sentence_embedding"]
        assert (found * vectors).sum(1).min() >= 0.9999
        assert np.abs(found - vectors).max() < 1e-5
