"""scikit-learn estimators -> skops -> ONNX: labels and scores are those of the estimator itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taxiway.convert.onnx import OnnxConfig
from taxiway.convert.sklearn_to_onnx import SklearnToOnnx
from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner
from taxiway.plugins import Context

skops_io = pytest.importorskip("skops.io", reason="scikit-learn and skops are not installed")
pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
pytestmark = pytest.mark.slow

from sklearn.cluster import DBSCAN, KMeans  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis  # noqa: E402
from sklearn.ensemble import (  # noqa: E402
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
)
from sklearn.feature_selection import SelectKBest  # noqa: E402
from sklearn.gaussian_process import GaussianProcessRegressor  # noqa: E402
from sklearn.impute import SimpleImputer  # noqa: E402
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.naive_bayes import GaussianNB  # noqa: E402
from sklearn.neighbors import KNeighborsClassifier  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler  # noqa: E402
from sklearn.svm import SVC, SVR, LinearSVC, OneClassSVM  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.normal(size=(240, 5)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int) + (X[:, 2] > 0.8)
TWO = (Y > 0).astype(int)
VALUE = X @ np.arange(5.0) + X[:, 0] ** 2
UNSEEN = RNG.normal(size=(300, 5)).astype(np.float32) * 1.3
NAMES = np.array(["low", "mid", "high"])[Y]


def fitted(estimator: Any, target: Any = None) -> Callable[[], Any]:
    def fit() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return estimator.fit(X, target)

    return fit


def saved(estimator: Any, folder: Path) -> Model:
    path = folder / "m.skops"
    path.write_bytes(skops_io.dumps(estimator))
    return describe(path, "sklearn")


def convert(model: Model, workdir: Path) -> Model:
    workdir.mkdir()
    return SklearnToOnnx().run(model, OnnxConfig(), Context(workdir=workdir))


CLASSIFIERS = {
    "logistic": fitted(make_pipeline(StandardScaler(), LogisticRegression()), Y),
    "named-classes": fitted(LogisticRegression(), NAMES),
    "two-classes": fitted(LogisticRegression(), TWO),
    "forest": fitted(RandomForestClassifier(12, random_state=0), Y),
    "boosting": fitted(GradientBoostingClassifier(n_estimators=8, random_state=0), Y),
    "histogram-boosting": fitted(HistGradientBoostingClassifier(max_iter=8, random_state=0), Y),
    "neighbours": fitted(KNeighborsClassifier(), Y),
    "network": fitted(MLPClassifier((8,), max_iter=20, random_state=0), Y),
    "bayes": fitted(GaussianNB(), Y),
    "stacked": fitted(
        StackingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], cv=2), Y
    ),
    "columns": fitted(
        make_pipeline(
            ColumnTransformer(
                [("a", StandardScaler(), [0, 1]), ("b", MinMaxScaler(), [3])],
                remainder="passthrough",
            ),
            LogisticRegression(),
        ),
        Y,
    ),
    "selected": fitted(make_pipeline(SimpleImputer(), SelectKBest(k=3), LogisticRegression()), Y),
    "searched": fitted(GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2), Y),
}
DECISIONS = {
    "svc": fitted(make_pipeline(StandardScaler(), SVC()), Y),
    "svc-two": fitted(SVC(), TWO),
    "linear-svc": fitted(LinearSVC(), Y),
    "linear-svc-two": fitted(make_pipeline(StandardScaler(), LinearSVC()), TWO),
    "ridge-two": fitted(RidgeClassifier(), TWO),
}
REGRESSORS = {
    "linear": fitted(LinearRegression(), VALUE),
    "two-targets": fitted(LinearRegression(), np.stack([VALUE, -VALUE], 1)),
    "forest": fitted(RandomForestRegressor(8, random_state=0), VALUE),
    "svr": fitted(make_pipeline(StandardScaler(), SVR()), VALUE),
    "gaussian-process": fitted(GaussianProcessRegressor(random_state=0), VALUE),
}


@pytest.mark.parametrize("fit", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_classifier(fit: Callable[[], Any], tmp_path: Path) -> None:
    estimator = fit()
    model = saved(estimator, tmp_path)
    result = convert(model, tmp_path / "w")
    for found in (
        open_runner(model).predict({"X": UNSEEN}),
        open_runner(result).predict({"X": UNSEEN}),
    ):
        assert list(found) == ["label", "probabilities"]
        assert (found["label"] == estimator.predict(UNSEEN)).mean() >= 0.995
        np.testing.assert_allclose(
            found["probabilities"], estimator.predict_proba(UNSEEN), atol=2e-5
        )


@pytest.mark.parametrize("fit", DECISIONS.values(), ids=DECISIONS)
def test_classifier_without_probabilities(fit: Callable[[], Any], tmp_path: Path) -> None:
    estimator = fit()
    found = open_runner(convert(saved(estimator, tmp_path), tmp_path / "w")).predict({"X": UNSEEN})
    assert (found["label"] == estimator.predict(UNSEEN)).mean() >= 0.995
    scores = estimator.decision_function(UNSEEN)
    expected = np.stack([-scores, scores], 1) if scores.ndim == 1 else scores
    np.testing.assert_allclose(found["probabilities"], expected, atol=2e-5)


@pytest.mark.parametrize("fit", REGRESSORS.values(), ids=REGRESSORS)
def test_regressor(fit: Callable[[], Any], tmp_path: Path) -> None:
    estimator = fit()
    found = open_runner(convert(saved(estimator, tmp_path), tmp_path / "w")).predict({"X": UNSEEN})
    expected = estimator.predict(UNSEEN).reshape(len(UNSEEN), -1)
    assert found["variable"].dtype == np.float32
    np.testing.assert_allclose(found["variable"], expected, rtol=1e-4, atol=1e-4)


def test_transformer(tmp_path: Path) -> None:
    estimator = fitted(make_pipeline(StandardScaler(), PCA(3)))()
    found = open_runner(convert(saved(estimator, tmp_path), tmp_path / "w")).predict({"X": UNSEEN})
    np.testing.assert_allclose(found["variable"], estimator.transform(UNSEEN), atol=1e-5)


def test_clusterer(tmp_path: Path) -> None:
    estimator = fitted(KMeans(4, n_init=2, random_state=0))()
    found = open_runner(convert(saved(estimator, tmp_path), tmp_path / "w")).predict({"X": UNSEEN})
    assert (found["label"] == estimator.predict(UNSEEN)).all()
    np.testing.assert_allclose(found["scores"], estimator.transform(UNSEEN), atol=1e-4)


@pytest.mark.parametrize(
    "estimator", [IsolationForest(n_estimators=8, random_state=0), OneClassSVM()]
)
def test_outliers(estimator: Any, tmp_path: Path) -> None:
    estimator = fitted(estimator)()
    found = open_runner(convert(saved(estimator, tmp_path), tmp_path / "w")).predict({"X": UNSEEN})
    assert (found["label"][:, 0] == estimator.predict(UNSEEN)).mean() >= 0.995
    np.testing.assert_allclose(
        found["scores"][:, 0], estimator.decision_function(UNSEEN), rtol=1e-3, atol=1e-4
    )


def test_equal_bytes(tmp_path: Path) -> None:
    model = saved(CLASSIFIERS["forest"](), tmp_path)
    made = [convert(model, tmp_path / str(n)).path.read_bytes() for n in range(2)]
    assert made[0] == made[1]


REFUSED = {
    "function": (fitted(FunctionTransformer(np.log1p)), "FunctionTransformer"),
    "rank": (fitted(QuadraticDiscriminantAnalysis(reg_param=0.1), Y), "output 'label'"),
}


@pytest.mark.parametrize(("fit", "said"), REFUSED.values(), ids=REFUSED)
def test_what_it_cannot_convert_is_named(fit: Callable[[], Any], said: str, tmp_path: Path) -> None:
    model = saved(fit(), tmp_path)
    with pytest.raises(StepError, match=said) as caught:
        convert(model, tmp_path / "w")
    assert "\n" not in caught.value.message


NO_MODEL = {
    "unfitted": (lambda: LogisticRegression(), "was not fitted"),
    "no-predict": (fitted(DBSCAN()), "predicts nothing for new samples"),
    "several-outputs": (
        fitted(RandomForestClassifier(3), np.stack([Y, TWO], 1)),
        "several outputs",
    ),
    "no-estimator": (lambda: {"a": 1}, "takes no table of numbers"),
}


@pytest.mark.parametrize(("fit", "said"), NO_MODEL.values(), ids=NO_MODEL)
def test_what_is_no_model(fit: Callable[[], Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=said):
        saved(fit(), tmp_path)
