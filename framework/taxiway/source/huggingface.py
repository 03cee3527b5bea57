"""A transformers model in a folder, exported as a torch.export program."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta
from msgspec.structs import replace

from taxiway import plugins, safety
from taxiway.errors import StepError
from taxiway.model import Model, TensorSpec
from taxiway.model.inspect import describe
from taxiway.plugins import Context, ModelLocation
from taxiway.source.located import Located
from taxiway.source.sentence_transformers import Embedding, Pooling, embedding_of


@dataclass(frozen=True)
class _Task:
    """The class that transformers loads, the end of an architecture's name, and its outputs."""

    auto: str
    ending: str
    outputs: tuple[str, ...] = ("logits",)


TASKS = {
    "feature-extraction": _Task("AutoModel", "Model", ("last_hidden_state",)),
    "text-classification": _Task("AutoModelForSequenceClassification", "ForSequenceClassification"),
    "token-classification": _Task("AutoModelForTokenClassification", "ForTokenClassification"),
    "question-answering": _Task(
        "AutoModelForQuestionAnswering", "ForQuestionAnswering", ("start_logits", "end_logits")
    ),
    "fill-mask": _Task("AutoModelForMaskedLM", "ForMaskedLM"),
    "text-generation": _Task("AutoModelForCausalLM", "ForCausalLM"),
    "image-classification": _Task("AutoModelForImageClassification", "ForImageClassification"),
    "audio-classification": _Task("AutoModelForAudioClassification", "ForSequenceClassification"),
    "automatic-speech-recognition": _Task("AutoModelForCTC", "ForCTC"),
}
TaskName = Literal[
    "feature-extraction",
    "text-classification",
    "token-classification",
    "question-answering",
    "fill-mask",
    "text-generation",
    "image-classification",
    "audio-classification",
    "automatic-speech-recognition",
]


class HuggingFace(plugins.Source):
    """Loads a folder that save_pretrained wrote, from safetensors and offline, and exports it.

    The batch and the length of a text or of audio stay free. A sentence-transformers folder gives
    `sentence_embedding`, pooled and normalized as its modules.json says. Code in the folder and
    pickled weights are refused.
    """

    class Config(Located, frozen=True, tag_field="type", tag="huggingface"):
        """A model of the transformers library."""

        path: Annotated[ModelLocation, Meta(description="The folder with config.json.")]
        task: Annotated[
            TaskName | None,
            Meta(description="What the model is for; null takes it from its architecture."),
        ] = None
        pooling: Annotated[
            Pooling | None,
            Meta(
                description="How the token states become one vector; null takes it from modules.json."
            ),
        ] = None
        normalize: Annotated[
            bool | None,
            Meta(description="Whether that vector gets length 1; null takes it from modules.json."),
        ] = None

        fixed: Annotated[
            dict[str, Annotated[int, Meta(ge=1)]],
            Meta(description="Free axes to fix, by name: `batch`, `sequence`, `samples`."),
        ] = {}

        def __post_init__(self) -> None:
            if self.pooling not in (None, "none") and self.task not in (None, "feature-extraction"):
                raise ValueError(f"`pooling` is for feature-extraction, the task is '{self.task}'")

    produces = "torch"
    libraries = ("torch", "transformers", "safetensors")

    def run(self, options: Config, context: Context) -> Model:
        folder = Path(options.path)
        if not folder.is_dir():
            raise StepError(
                f"{folder.name} is no folder", "name the folder that save_pretrained wrote"
            )
        if not (folder / "config.json").is_file():
            raise StepError(
                f"folder {folder.name} has no config.json, so it is no transformers model"
            )
        safety.check(folder, "huggingface")
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            os.environ[name] = "1"
        from taxiway.source.huggingface_module import SentenceEncoder, Wrapped
        from taxiway.source.torch_export import export

        task = options.task or _default_task(folder)
        embedding = _embedding(folder, task, options)
        model = _load(folder, TASKS[task].auto)
        inputs = _fixed(tuple(_inputs(model)), options.fixed)
        if embedding.pooling == "none":
            module = Wrapped(model, TASKS[task].outputs)
        elif "attention_mask" in {spec.name for spec in inputs}:
            module = SentenceEncoder(model, embedding.pooling, embedding.normalize)
        else:
            raise StepError(
                f"{folder.name} takes no attention mask to pool by", "source.pooling=none"
            )
        target = context.workdir / "model.pt2"
        export(module, inputs, target)
        return describe(target, "torch")


def _default_task(folder: Path) -> str:
    """By the architecture's name; a sentence-transformers folder extracts features."""
    config = json.loads((folder / "config.json").read_bytes())
    architectures = config.get("architectures") or []
    if (folder / "modules.json").is_file() or not architectures:
        return "feature-extraction"
    architecture = str(architectures[0])
    if architecture.endswith("LMHeadModel"):
        return "text-generation"
    for name, task in TASKS.items():
        if architecture.endswith(task.ending):
            return name
    raise StepError(
        f"{folder.name} is a {architecture}, whose task Taxiway does not know",
        f"source.task=feature-extraction, or one of: {', '.join(TASKS)}",
    )


def _embedding(folder: Path, task: str, options: Any) -> Embedding:
    if task != "feature-extraction" or options.pooling == "none":
        return Embedding()
    if options.pooling:
        kept = embedding_of(folder).normalize if options.normalize is None else options.normalize
        return Embedding(options.pooling, kept)
    found = embedding_of(folder)
    normalize = found.normalize if options.normalize is None else options.normalize
    return Embedding(found.pooling, normalize)


def _load(folder: Path, auto: str) -> Any:
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        model = getattr(transformers, auto).from_pretrained(
            str(folder),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            attn_implementation="eager",
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:
        raise StepError(
            f"transformers {transformers.__version__} cannot load {folder.name} as {auto}: "
            f"{' '.join(str(error).split())[:400]}",
            "check source.task",
        ) from error
    model, loading = model
    missing = sorted(name for name in loading["missing_keys"] if "position_ids" not in name)
    if missing:
        raise StepError(
            f"{folder.name} has no weights for {', '.join(missing[:5])}"
            f"{' and others' if len(missing) > 5 else ''} of {type(model).__name__}",
            "check source.task: the folder holds a model for another one",
        )
    if model.config.is_encoder_decoder:
        raise StepError(
            f"{folder.name} is an encoder-decoder, which takes two graphs and a loop around them",
            "export its encoder and decoder yourself, as two torch.export programs",
        )
    model.config.use_cache = False
    return model.eval()


def _fixed(inputs: tuple[TensorSpec, ...], sizes: dict[str, int]) -> tuple[TensorSpec, ...]:
    """The inputs with sizes in place of some free axes. Raises StepError for an axis there is not."""
    free = {axis for spec in inputs for axis in spec.shape if isinstance(axis, str)}
    for name in sizes:
        if name not in free:
            raise StepError(
                f"the model has no free axis '{name}'; it has {', '.join(sorted(free))}",
                "check source.fixed",
            )
    return tuple(
        replace(spec, shape=tuple(sizes.get(str(axis), axis) for axis in spec.shape))
        for spec in inputs
    )


def _inputs(model: Any) -> Iterator[TensorSpec]:
    """The tensors that the model takes: text, an image, or a wave."""
    config, main = model.config, model.main_input_name
    known = set(signature(model.forward).parameters)
    if main == "pixel_values":
        size = getattr(config, "image_size", 224)
        height, width = size if isinstance(size, list | tuple) else (size, size)
        shape = ("batch", getattr(config, "num_channels", 3), height, width)
        yield TensorSpec(name=main, dtype="float32", shape=shape)
    elif main == "input_values":
        yield TensorSpec(name=main, dtype="float32", shape=("batch", "samples"))
    elif main == "input_ids":
        names = [main, "attention_mask"]
        if getattr(config, "type_vocab_size", 0) > 1:
            names.append("token_type_ids")
        for name in names:
            if name in known:
                yield TensorSpec(name=name, dtype="int64", shape=("batch", "sequence"))
    else:
        raise StepError(
            f"{type(model).__name__} takes '{main}', which Taxiway does not know",
            "export it with torch.export yourself, and use source=torch",
        )
