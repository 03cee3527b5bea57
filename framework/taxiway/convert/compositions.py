"""TensorFlow operators that TFLite has no builtin for, in float32 out of those that it has.

Each is within a few units in the last place of the true value, odd or even where the function is, and no
number where the argument is none or lies outside of the domain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

_ERF_SMALL = (
    1.1283791065216064,
    -0.3761262595653534,
    0.1128358542919159,
    -0.026853812858462334,
    0.005188327748328447,
    -0.0008010193705558777,
    7.853861461626366e-05,
)
"""erf(x)/x by powers of x**2 on |x| <= 1: the polynomial of least largest relative error, 1.3e-9."""

_ERFC_LOG = (
    -0.00035371375270187855,
    -1.1270400285720825,
    -0.6382256150245667,
    -0.10303740203380585,
    0.021805332973599434,
    -0.002939610742032528,
    0.00018557434668764472,
)
"""log(erfc(x)) by powers of x on 1 <= x <= 4: that of least largest error times erfc(x), 1.1e-9.

Both were found by Lawson's algorithm (C. L. Lawson, thesis, UCLA 1961: least squares, weights multiplied by
the error, until the errors are level) against mpmath at 40 digits, then rounded to float32. From 4 on, erf
is 1 in float32.
"""


def _polynomial(coefficients: Sequence[float], x: Any) -> Any:
    value = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def erf(x: Any) -> Any:
    """Largest error 1.5e-7, and of 1.8e-7 relative to the value, where it is computed in float32."""
    import tensorflow as tf

    small = x * _polynomial(_ERF_SMALL, x * x)
    far = 1 - tf.exp(_polynomial(_ERFC_LOG, tf.minimum(tf.abs(x), 4.0)))
    value = tf.where(tf.abs(x) < 1, small, tf.where(x < 0, -far, far))
    # A minimum in TFLite is a number where its argument is none.
    return tf.where(tf.math.is_nan(x), x, value)


def erfc(x: Any) -> Any:
    """1 - erf(x): 1.8e-7 at most from the true value, which for large x is smaller than that."""
    return 1 - erf(x)


def _log1p(x: Any) -> Any:
    """W. Kahan's, accurate near 0: the error of 1 + x is divided out again (as in the HP-15C's manual)."""
    import tensorflow as tf

    one = 1 + x
    near = tf.equal(one, 1)
    return tf.where(near, x, tf.math.log(one) * (x / tf.where(near, tf.ones_like(x), one - 1)))


def _odd(x: Any, positive: Any) -> Any:
    import tensorflow as tf

    return tf.where(x < 0, -positive, positive)


def _sinh(x: Any) -> Any:
    import tensorflow as tf

    series = x * _polynomial((1, 1 / 6, 1 / 120, 1 / 5040, 1 / 362880), x * x)
    half = tf.exp(tf.abs(x) * 0.5)
    return tf.where(tf.abs(x) < 1, series, _odd(x, half * 0.5 * half - 0.5 / half / half))


def _cosh(x: Any) -> Any:
    import tensorflow as tf

    half = tf.exp(tf.abs(x) * 0.5)
    return half * 0.5 * half + 0.5 / half / half


def _asinh(x: Any) -> Any:
    import tensorflow as tf

    a = tf.abs(x)
    near = tf.minimum(a, 1e4)
    inner = _log1p(near + near * near / (1 + tf.sqrt(1 + near * near)))
    return _odd(x, tf.where(a < 1e4, inner, tf.math.log(a) + 0.6931471805599453))


def _acosh(x: Any) -> Any:
    import tensorflow as tf

    t = tf.minimum(x, 1e4) - 1
    return tf.where(x < 1e4, _log1p(t + tf.sqrt(t * (2 + t))), tf.math.log(x) + 0.6931471805599453)


def _atanh(x: Any) -> Any:
    import tensorflow as tf

    a = tf.abs(x)
    return _odd(x, 0.5 * _log1p(2 * a / (1 - a)))


def _asin(x: Any) -> Any:
    import tensorflow as tf

    return tf.atan2(x, tf.sqrt((1 - x) * (1 + x)))


def _acos(x: Any) -> Any:
    import tensorflow as tf

    return tf.atan2(tf.sqrt((1 - x) * (1 + x)), x)


def _atan(x: Any) -> Any:
    import tensorflow as tf

    return tf.atan2(x, tf.ones_like(x))


def _tan(x: Any) -> Any:
    """Near its poles with the error of TFLite's cosine, which is the sine of x + pi/2."""
    import tensorflow as tf

    return tf.sin(x) / tf.cos(x)


COMPOSITIONS: dict[str, Callable[[Any], Any]] = {
    "Acos": _acos,
    "Acosh": _acosh,
    "Asin": _asin,
    "Asinh": _asinh,
    "Atan": _atan,
    "Atanh": _atanh,
    "Cosh": _cosh,
    "Erf": erf,
    "Erfc": erfc,
    "Sinh": _sinh,
    "Tan": _tan,
}
"""TensorFlow's name of the operator -> the function of one float32 tensor."""
