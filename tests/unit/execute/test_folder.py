"""The run folder and its log: new, whole, never through a link, and one line where the disk refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from taxiway.errors import SafetyError, StepError
from taxiway.execute import events
from taxiway.execute.folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "runs", "mine")


def test_runs_of_one_second_have_folders_of_their_own(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("time.strftime", lambda format: "2030-01-01_00-00-00")
    made = [RunFolder.create(tmp_path, "mine").path.name for _ in range(3)]
    assert made == [
        "2030-01-01_00-00-00",
        "2030-01-01_00-00-00-2",
        "2030-01-01_00-00-00-3",
    ]


@pytest.mark.parametrize("link", ["runs", "runs/mine"])
def test_a_link_in_the_output_folder_is_refused(link: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SafetyError, match="is a link"):
        RunFolder.create(tmp_path / "runs", "mine")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_file_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(StepError) as caught:
        RunFolder.create(tmp_path / "runs", "mine")
    assert "--output" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("suffix", "status", "name"),
    [
        (".tflite", "accepted", "mine.tflite"),
        (".onnx", "no gates", "mine.onnx"),
        (".onnx", "not accepted", "mine.not_accepted.onnx"),
        ("", "accepted", "mine"),
        ("", "not accepted", "mine.not_accepted"),
    ],
)
def test_the_artifact_says_whether_it_was_accepted(suffix, status, name, folder, tmp_path) -> None:
    model = tmp_path / f"model{suffix}"
    if suffix:
        model.write_bytes(b"model")
    else:
        (model / "variables").mkdir(parents=True)
        (model / "variables/0").write_bytes(b"model")
    kept = folder.keep_artifact(model, "mine", status)
    assert kept == folder.path / name
    assert (kept if suffix else kept / "variables/0").read_bytes() == b"model"
    assert [path.name for path in folder.path.iterdir()] == [name]


def test_a_copy_that_fails_leaves_nothing(folder: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="cannot be written"):
        folder.keep_artifact(tmp_path / "absent.onnx", "mine", "accepted")
    assert list(folder.path.iterdir()) == []


def test_a_folder_that_is_gone_is_one_line(folder: RunFolder) -> None:
    folder.path.rmdir()
    with pytest.raises(StepError, match="cannot be written"):
        folder.write("report.json", b"{}")
    with pytest.raises(StepError, match="cannot be written"):
        events.EventLog(folder.path / "events.jsonl", lambda plain: plain)


def test_each_event_is_a_line_without_secrets(tmp_path: Path) -> None:
    def redacted(plain):
        return {
            k: v.replace("s3cret", "****") if isinstance(v, str) else v for k, v in plain.items()
        }

    log = events.EventLog(tmp_path / "events.jsonl", redacted)
    log(events.StepStarted(step="source"))
    log(events.StepFailed(step="source", message="s3cret\nin two lines", hint=None))
    log.close()
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    first, second = map(json.loads, lines)
    assert (first["event"], first["step"], first["waiting"]) == ("stepstarted", "source", False)
    assert (second["event"], second["message"]) == ("stepfailed", "****\nin two lines")


def test_an_artifact_keeps_the_weights_beside_it(folder: RunFolder, tmp_path: Path) -> None:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.eye(64, dtype="f4"), "w")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64]) for name in "xy"]
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], [weights])
    model = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph), model, save_as_external_data=True, location="model.data")
    kept = folder.keep_artifact(model, "mine", "accepted")
    assert kept.name == "mine.onnx"
    assert np.array_equal(
        numpy_helper.to_array(onnx.load(kept).graph.initializer[0]), np.eye(64, dtype="f4")
    )
