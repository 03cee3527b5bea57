"""Convolutions and pooling: channels last inside, channels second at the ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from taxiway.convert.from_onnx.lowerings.operation import Lowering, NotKnown, Operation, rank_of

Pads = list[list[int]]


def _channels_last(x: Any) -> Any:
    import tensorflow as tf

    return tf.transpose(x, [0, *range(2, rank_of(x)), 1])


def _channels_second(x: Any) -> Any:
    import tensorflow as tf

    rank = rank_of(x)
    return tf.transpose(x, [0, rank - 1, *range(1, rank - 1)])


def _pads(operation: Operation, x: Any, window: Sequence[int], strides: Sequence[int]) -> Pads:
    """[before, after] of each spatial axis. window: sizes with the holes of the dilation."""
    auto = operation.attribute("auto_pad", b"NOTSET")
    count = len(window)
    if auto == b"VALID":
        return [[0, 0]] * count
    if auto == b"NOTSET":
        pads = operation.attribute("pads", [0] * 2 * count)
        return [[pads[at], pads[at + count]] for at in range(count)]
    result = []
    for size, reach, step in zip(x.shape[2:], window, strides, strict=True):
        if size is None:
            raise NotKnown("auto_pad on an axis of unknown size")
        total = max((-(-size // step) - 1) * step + reach - size, 0)
        less, more = total // 2, total - total // 2
        result.append([more, less] if auto == b"SAME_LOWER" else [less, more])
    return result


def _reach(kernel: Sequence[int], dilations: Sequence[int]) -> list[int]:
    return [(size - 1) * gap + 1 for size, gap in zip(kernel, dilations, strict=True)]


def _conv(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x, weights = (tf.convert_to_tensor(tensor) for tensor in operation.inputs[:2])
    spatial = rank_of(x) - 2
    kernel = weights.shape[2:]
    groups = operation.attribute("group", 1)
    strides = operation.attribute("strides", [1] * spatial)
    dilations = operation.attribute("dilations", [1] * spatial)
    if None in weights.shape or spatial not in (1, 2, 3):
        raise NotKnown("weights of unknown shape")
    reach = _reach(kernel, dilations)
    pads = _pads(operation, x, reach, strides)
    last = _channels_last(x)
    centred = [[(size - 1) // 2] * 2 for size in reach]
    # What TFLite computes in one operator.
    same = set(strides) == {1} and pads == centred and all(size % 2 for size in reach)
    if not same and any(map(any, pads)):
        last = tf.pad(last, [[0, 0], *pads, [0, 0]])
    padding = "SAME" if same else "VALID"
    filters = tf.transpose(weights, [*range(2, spatial + 2), 1, 0])
    outputs = weights.shape[0]
    depthwise = groups > 1 and weights.shape[1] == 1 and spatial == 2 and len({*strides}) == 1
    if depthwise and (set(strides) == {1} or set(dilations) == {1}):
        shape = [*kernel, groups, outputs // groups]
        filters = tf.reshape(filters, shape)
        y = tf.nn.depthwise_conv2d(last, filters, [1, *strides, 1], padding, None, dilations)
    else:
        if groups > 64:
            raise NotKnown("many groups of channels")
        parts = zip(
            tf.split(last, groups, -1) if groups > 1 else [last],
            tf.split(filters, groups, -1) if groups > 1 else [filters],
            strict=True,
        )
        results = [
            tf.nn.convolution(part, own, strides, padding, dilations=dilations)
            for part, own in parts
        ]
        y = tf.concat(results, -1) if groups > 1 else results[0]
    bias = operation.input(2)
    return [_channels_second(y if bias is None else tf.nn.bias_add(y, bias))]


def _conv_transpose(operation: Operation) -> list[Any]:
    """The whole overlap, then cut by the pads; `output_padding` adds to the end."""
    import tensorflow as tf

    x, weights = (tf.convert_to_tensor(tensor) for tensor in operation.inputs[:2])
    spatial = rank_of(x) - 2
    strides = operation.attribute("strides", [1] * spatial)
    more = operation.attribute("output_padding", [0] * spatial)
    plain = operation.attribute("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID")
    if not plain or {*operation.attribute("dilations", [1])} != {1} or None in weights.shape:
        raise NotKnown("a ConvTranspose with dilation or automatic padding")
    if "output_shape" in operation.attributes or operation.attribute("group", 1) != 1:
        raise NotKnown("a ConvTranspose with groups or a given shape")
    kernel = weights.shape[2:]
    pads = _pads(operation, x, kernel, strides)
    last = _channels_last(x)
    sizes = tf.shape(last)[1:-1]
    whole = [
        (sizes[at] - 1) * strides[at] + kernel[at]
        if last.shape[1 + at] is None
        else (last.shape[1 + at] - 1) * strides[at] + kernel[at]
        for at in range(spatial)
    ]
    batch = tf.shape(last)[0] if last.shape[0] is None else last.shape[0]
    filters = tf.transpose(weights, [*range(2, spatial + 2), 1, 0])
    shape = tf.stack([batch, *whole, weights.shape[1]])
    y = tf.nn.conv_transpose(last, filters, shape, strides, "VALID")
    after = [end - extra for (_, end), extra in zip(pads, more, strict=True)]
    if any(cut < 0 for cut in after):
        y = tf.pad(y, [[0, 0], *([0, max(-cut, 0)] for cut in after), [0, 0]])
    cuts = [
        slice(start, -cut if cut > 0 else None) for (start, _), cut in zip(pads, after, strict=True)
    ]
    y = y[(slice(None), *cuts)]
    bias = operation.input(2)
    return [_channels_second(y if bias is None else tf.nn.bias_add(y, bias))]


def _pool(kind: str) -> Lowering:
    """kind: MAX or AVG, as `tf.nn.pool` calls them."""

    def lower(operation: Operation) -> list[Any]:
        import tensorflow as tf

        x = tf.convert_to_tensor(operation.inputs[0])
        kernel = operation.attribute("kernel_shape", [])
        strides = operation.attribute("strides", [1] * len(kernel))
        dilations = operation.attribute("dilations", [1] * len(kernel))
        if operation.outputs > 1:
            raise NotKnown("the indices of a MaxPool")
        if max(strides) > 1 and max(dilations) > 1:
            raise NotKnown("a pooling with strides and dilation")
        reach = _reach(kernel, dilations)
        pads = _pads(operation, x, reach, strides)
        counted = operation.attribute("count_include_pad", 0)
        if operation.attribute("ceil_mode", 0):
            extra = _ceiling(x, reach, strides, pads)
            if counted and any(extra):
                raise NotKnown("a mean that counts its padding, rounded up")
            pads = [[a, b + more] for (a, b), more in zip(pads, extra, strict=True)]
        last = _channels_last(x)
        if not any(map(any, pads)):
            return [_channels_second(_pooled(last, kernel, kind, strides, dilations))]
        widths = [[0, 0], *pads, [0, 0]]
        filling = last.dtype.min if kind == "MAX" else 0
        padded = tf.pad(last, widths, constant_values=filling)
        y = _pooled(padded, kernel, kind, strides, dilations)
        if kind == "AVG" and not counted:
            ones = tf.pad(tf.ones_like(last[:1, ..., :1]), widths)
            y = y / _pooled(ones, kernel, kind, strides, dilations)
        return [_channels_second(y)]

    return lower


def _pooled(
    x: Any, kernel: Sequence[int], kind: str, strides: Sequence[int], dilations: Sequence[int]
) -> Any:
    """Pooling without padding. TFLite pools two axes at most; a third one is pooled on its own, which
    gives the same maximum and the same mean."""
    import tensorflow as tf

    if len(kernel) < 3:
        return tf.nn.pool(x, kernel, kind, strides, "VALID", dilations=dilations)
    depth, *plane = x.shape[1:]
    if len(kernel) > 3 or None in (depth, *plane) or max(dilations) > 1:
        raise NotKnown("a pooling over more than two axes of unknown size")
    flat = tf.nn.pool(tf.reshape(x, [-1, *plane]), kernel[1:], kind, strides[1:], "VALID")
    rows, columns, channels = flat.shape[1:]
    lines = tf.reshape(flat, [-1, depth, rows * columns, channels])
    y = tf.nn.pool(lines, [kernel[0], 1], kind, [strides[0], 1], "VALID")
    fixed = -1 if x.shape[0] is None else x.shape[0]
    return tf.reshape(y, [fixed, y.shape[1], rows, columns, channels])


def _ceiling(x: Any, reach: Sequence[int], strides: Sequence[int], pads: Pads) -> list[int]:
    """What has to follow each axis so that its last, partial window counts; that window must start
    inside of the input or the padding before it."""
    extra = []
    for size, window, step, (before, after) in zip(x.shape[2:], reach, strides, pads, strict=True):
        if size is None:
            raise NotKnown("a pooling rounded up over an axis of unknown size")
        steps = -(-(size + before + after - window) // step)
        if steps * step >= size + before:
            steps -= 1
        extra.append(max(steps * step + window - (size + before + after), 0))
    return extra


LOWERINGS: dict[str, Lowering] = {
    "AveragePool": _pool("AVG"),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _pool("MAX"),
}
