"""Indices in fitted scikit-learn trees: compiled code follows them without a check of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def wrong_indices(fitted: Any) -> str | None:
    """The first tree whose indices lead outside of its arrays or back up; None where all is well.

    Decision trees, histogram gradient boosting's predictors and the k-d and ball trees of
    neighbours are looked at, wherever in the estimator they are.
    """
    for part in _parts(fitted):
        check = _CHECKS.get(type(part).__name__)
        if check and type(part).__module__.startswith("sklearn.") and not check(part):
            return f"a {type(part).__name__} has indices outside of its arrays"
    return None


def _parts(root: Any) -> Iterator[Any]:
    """Everything that the estimator holds, each once."""
    import numpy as np

    stack, seen = [root], set()
    while stack:
        part = stack.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | type(None)):
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            stack.extend(part.values())
        elif isinstance(part, list | tuple | set):
            stack.extend(part)
        elif isinstance(part, np.ndarray):
            stack.extend(part.ravel().tolist() if part.dtype == object else ())
        else:
            yield part
            stack.extend(getattr(part, "__dict__", {}).values())


def _below(values: Any, limit: int) -> bool:
    return bool(((values >= 0) & (values < limit)).all())


def _children(left: Any, right: Any, inner: Any, count: int) -> bool:
    """Both children of every inner node lie behind it, so that each way down ends."""
    import numpy as np

    own = np.arange(count)[inner]
    return all(
        _below(child, count) and bool((child > own).all()) for child in (left[inner], right[inner])
    )


def _tree(tree: Any) -> bool:
    inner = tree.children_left != -1
    return (
        tree.node_count > 0
        and len(tree.value) == tree.node_count
        and _below(tree.feature[inner], tree.n_features)
        and _children(tree.children_left, tree.children_right, inner, tree.node_count)
    )


def _predictor(predictor: Any) -> bool:
    import numpy as np

    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    left, right = (nodes[side].astype(np.int64) for side in ("left", "right"))
    categorical = inner & (nodes["is_categorical"] != 0)
    return (
        len(nodes) > 0
        and bool((nodes["feature_idx"][inner] >= 0).all())
        and bool((nodes["feature_idx"][inner] < 2**16).all())
        and _below(nodes["bitset_idx"][categorical], len(predictor.raw_left_cat_bitsets))
        and _children(left, right, inner, len(nodes))
    )


def _neighbours(tree: Any) -> bool:
    data, indices, nodes, _ = tree.get_arrays()
    ends = nodes["idx_end"]
    return (
        _below(indices, len(data))
        and _below(nodes["idx_start"], len(data) + 1)
        and _below(ends, len(data) + 1)
        and bool((nodes["idx_start"] <= ends).all())
    )


_CHECKS = {
    "Tree": _tree,
    "TreePredictor": _predictor,
    "KDTree": _neighbours,
    "BallTree": _neighbours,
    "KDTree32": _neighbours,
    "BallTree32": _neighbours,
}
