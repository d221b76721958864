"""Activation functions, element by element, and the softmax along an axis; given arrays or tensors, of any shape.

Names and arguments are PyTorch's. NaN gives NaN, and values and gradients stay finite where the function's are:
exponentials are only taken of arguments that cannot overflow, also in the branch that is not chosen.
"""

from __future__ import annotations

import math

from wimmel.functional.arguments import operand
from wimmel.graph import array
from wimmel.graph.array.axes import axis_of
from wimmel.graph.tensor import Value


def relu(x: Value) -> Value:
    """max(x, 0), element by element; the derivative at 0 is 0.

    Parameters
    ----------
    x : array or tensor, any shape

    Returns
    -------
    array or tensor, as x

    References
    ----------
    Lecture row L32; Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010.

    Examples
    --------
    >>> import numpy as np
    >>> relu(np.array([-2.0, 0.0, 3.0, np.nan]))
    array([ 0.,  0.,  3., nan])
    """
    return array.maximum(x, 0)


def leaky_relu(x: Value, negative_slope: float = 0.01) -> Value:
    """x where it is positive and negative_slope * x elsewhere; the derivative at 0 is the slope.

    Parameters
    ----------
    x : array or tensor, any shape
    negative_slope : float, default 0.01

    Returns
    -------
    array or tensor, as x

    References
    ----------
    Lecture row L32; Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.

    Examples
    --------
    >>> import numpy as np
    >>> leaky_relu(np.array([-2.0, 3.0]), 0.1)
    array([-0.2,  3. ])
    """
    return array.where(array.less(0, x), x, array.multiply(x, negative_slope))


def elu(x: Value, alpha: float = 1.0) -> Value:
    """x where it is positive and alpha * (exp(x) - 1) elsewhere; the derivative at 0 is alpha.

    Parameters
    ----------
    x : array or tensor, any shape
    alpha : float, default 1

    Returns
    -------
    array or tensor, as x

    References
    ----------
    Lecture row L32; Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential linear
    units", ICLR 2016, equation 15.

    Examples
    --------
    >>> import numpy as np
    >>> elu(np.array([-np.inf, 0.0, 3.0]))
    array([-1.,  0.,  3.])
    """
    x = _real(x, "elu")
    positive = array.less(0, x)
    return array.where(positive, x, array.multiply(array.expm1(array.where(positive, 0, x)), alpha))


def selu(x: Value) -> Value:
    """The ELU scaled so that layers keep mean 0 and variance 1: 1.0507 * elu(x, 1.6733).

    Parameters
    ----------
    x : array or tensor, any shape

    Returns
    -------
    array or tensor, as x

    References
    ----------
    Lecture row L32; Klambauer, Unterthiner, Mayr and Hochreiter, "Self-normalizing neural networks", NeurIPS 2017,
    equations 2 and 14.

    Examples
    --------
    >>> import numpy as np
    >>> selu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-1.1113,  0.    ,  1.0507])
    """
    return array.multiply(elu(x, 1.6732632423543772), 1.0507009873554805)


def gelu(x: Value, approximate: str = "none") -> Value:
    """x times the probability that a standard normal number is below x.

    Parameters
    ----------
    x : array or tensor, any shape
    approximate : {"none", "tanh"}, default "none"
        "none": x / 2 * (1 + erf(x / sqrt(2))). "tanh": x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))), which is
        within 0.0005 of it.

    Returns
    -------
    array or tensor, as x

    Raises
    ------
    ValueError
        For another word.

    References
    ----------
    Lecture row L32; Hendrycks and Gimpel, "Gaussian error linear units" (2016), section 2.

    Examples
    --------
    >>> import numpy as np
    >>> gelu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413])
    >>> gelu(np.array([-1.0, 0.0, 1.0]), approximate="tanh").round(4)
    array([-0.1588,  0.    ,  0.8412])
    """
    x = _real(x, "gelu")
    if approximate == "none":
        step = array.erf(array.multiply(x, math.sqrt(0.5)))
    elif approximate == "tanh":
        # tanh is 1 to the last digit well before 12; without the limit x^3 could overflow and its derivative be 0 * inf
        near = array.clip(x, -12, 12)
        cube = array.multiply(array.multiply(near, array.multiply(near, near)), 0.044715)
        step = array.tanh(array.multiply(array.add(near, cube), math.sqrt(2 / math.pi)))
    else:
        raise ValueError(f"gelu was given approximate={approximate!r}; it is 'none' or 'tanh'")
    return array.multiply(array.multiply(x, 0.5), array.add(step, 1))


def silu(x: Value) -> Value:
    """x * sigmoid(x), element by element; also called swish.

    Parameters
    ----------
    x : array or tensor, any shape

    Returns
    -------
    array or tensor, as x

    References
    ----------
    Lecture row L32; Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units for neural network function approximation
    in reinforcement learning", Neural Networks 107 (2018).

    Examples
    --------
    >>> import numpy as np
    >>> silu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.2689,  0.    ,  0.7311])
    """
    return array.multiply(x, sigmoid(x))


def mish(x: Value) -> Value:
    """x * tanh(softplus(x)), element by element.

    Parameters
    ----------
    x : array or tensor, any shape

    Returns
    -------
    array or tensor, as x

    References
    ----------
    Lecture row L32; Misra, "Mish: a self regularized non-monotonic activation function", BMVC 2020.

    Examples
    --------
    >>> import numpy as np
    >>> mish(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.3034,  0.    ,  0.8651])
    """
    x = _real(x, "mish")
    return array.multiply(x, array.tanh(log_one_plus_exp(x)))


def sigmoid(x: Value) -> Value:
    """1 / (1 + exp(-x)), element by element, computed as (1 + tanh(x / 2)) / 2, which cannot overflow.

    The error is a rounding of 1, not of the result: far below 0, where the result is tiny, use ``exp(-softplus(-x))``.

    Parameters
    ----------
    x : array or tensor, any shape

    Returns
    -------
    array or tensor, as x

    References
    ----------
    Lecture row L32.

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    return array.multiply(array.add(array.tanh(array.multiply(x, 0.5)), 1), 0.5)


def hardsigmoid(x: Value) -> Value:
    """clip(x + 3, 0, 6) / 6, element by element: the sigmoid in straight lines.

    Parameters
    ----------
    x : array or tensor, any shape

    Returns
    -------
    array or tensor, as x

    References
    ----------
    Lecture row L32; Howard et al., "Searching for MobileNetV3", ICCV 2019, section 5.2.

    Examples
    --------
    >>> import numpy as np
    >>> hardsigmoid(np.array([-4.0, 0.0, 1.5, 4.0]))
    array([0.  , 0.5 , 0.75, 1.  ])
    """
    return array.divide(array.clip(array.add(_real(x, "hardsigmoid"), 3), 0, 6), 6)


def hardswish(x: Value) -> Value:
    """x * clip(x + 3, 0, 6) / 6, element by element: the silu in pieces of parabola and line.

    Parameters
    ----------
    x : array or tensor, any shape

    Returns
    -------
    array or tensor, as x

    References
    ----------
    Lecture row L32; Howard et al., "Searching for MobileNetV3", ICCV 2019, section 5.2.

    Examples
    --------
    >>> import numpy as np
    >>> hardswish(np.array([-4.0, 0.0, 1.5, 4.0]))
    array([-0.   ,  0.   ,  1.125,  4.   ])
    """
    return array.multiply(x, hardsigmoid(x))


def softplus(x: Value, beta: float = 1.0, threshold: float = 20.0) -> Value:
    """log(1 + exp(beta * x)) / beta, element by element: a smooth relu.

    Parameters
    ----------
    x : array or tensor, any shape
    beta : float, default 1
        How sharply it bends at 0.
    threshold : float, default 20
        Above beta * x = threshold it is x itself.

    Returns
    -------
    array or tensor, as x

    Raises
    ------
    ValueError
        If beta is 0.

    References
    ----------
    Lecture row L32; Dugas et al., "Incorporating second-order functional knowledge for better option pricing", 2000.

    Examples
    --------
    >>> import numpy as np
    >>> softplus(np.array([-1000.0, 0.0, 100.0])).round(4)
    array([  0.    ,   0.6931, 100.    ])
    """
    if beta == 0:
        raise ValueError("softplus was given beta=0, and it divides by beta; take a number that is not 0")
    x = _real(x, "softplus")
    scaled = array.multiply(x, beta)
    return array.where(array.less(threshold, scaled), x, array.divide(log_one_plus_exp(scaled), beta))


def softmax(x: Value, dim: int = -1) -> Value:
    """exp(x) divided by its sum along the axis dim: scores turned into probabilities.

    Parameters
    ----------
    x : array or tensor, any shape of at least one axis
    dim : int, default -1
        The axis along which the results add up to 1, by default the last.

    Returns
    -------
    array or tensor, as x

    Raises
    ------
    ValueError
        If x has no such axis.

    References
    ----------
    Lecture row L32.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.array([[0.0, 0.0], [1000.0, 0.0]]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    raised = array.exp(_below_zero(x, dim, "softmax"))
    return array.divide(raised, array.sum(raised, dim, keepdims=True))


def log_softmax(x: Value, dim: int = -1) -> Value:
    """The logarithm of the softmax along the axis dim, exact where the softmax itself would round to 0.

    Parameters
    ----------
    x : array or tensor, any shape of at least one axis
    dim : int, default -1
        The axis along which the softmax adds up to 1, by default the last.

    Returns
    -------
    array or tensor, as x

    Raises
    ------
    ValueError
        If x has no such axis.

    References
    ----------
    Lecture row L32.

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax(np.array([1000.0, 0.0]))
    array([    0., -1000.])
    """
    shifted = _below_zero(x, dim, "log_softmax")
    return array.subtract(shifted, array.log(array.sum(array.exp(shifted), dim, keepdims=True)))


def log_one_plus_exp(x: Value) -> Value:
    """log(1 + exp(x)) as max(x, 0) + log(1 + exp(-|x|)), with choices in place of max and abs: their derivatives at 0
    would add up to 0, and the function's is 1/2."""
    negative = array.less(x, 0)
    tail = array.log1p(array.exp(array.where(negative, x, array.negative(x))))
    return array.add(array.where(negative, 0, x), tail)


def _below_zero(x: Value, dim: int, name: str) -> Value:
    """x less its largest element along the axis. The shift changes neither softmax nor gradient: it is a constant."""
    x = _real(x, name)
    axis = axis_of(dim, len(x.shape), name)
    return array.subtract(x, array.stop_gradient(array.max(x, axis, keepdims=True)))


def _real(x: Value, name: str) -> Value:
    """x in floating point: whole numbers as float64, before a sum or a difference can leave their range."""
    x = operand(x, name)
    return x if x.dtype.kind == "f" else array.cast(x, "float64")
