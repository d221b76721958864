"""Losses: what training makes small. Given scores or predictions and targets, one number, or one per element.

Names and meanings are PyTorch's, and so is the order of the first arguments; settings are given by name. The class axis
is axis 1, or the only axis of a single example.
"""

from __future__ import annotations

import numpy as np

from wimmel.functional.activation import log_one_plus_exp, log_softmax
from wimmel.functional.arguments import floating, operand, per_channel, reduced
from wimmel.graph import array
from wimmel.graph.tensor import Value


def cross_entropy(
    x: Value,
    target: Value,
    weight: Value | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Value:
    """The cross-entropy of classes under the probabilities softmax(x): -log of the right class's probability.

    Parameters
    ----------
    x : float32 or float64 array or tensor (n, classes), (n, classes, *sizes) or (classes,)
        Scores, before any softmax.
    target : integer array or tensor (n,), (n, *sizes) or (); or floats of x's shape
        The right class of each place, or the probability of every class there.
    weight : array or tensor (classes,), optional
        Factor of each class's loss.
    ignore_index : int, default -100
        Places whose class is this number do not count.
    reduction : {"mean", "sum", "none"}, default "mean"
        For classes the mean is weighted: the sum divided by the sum of the weights of the right classes. For
        probabilities it is the sum divided by the number of places.
    label_smoothing : float, default 0
        0 to 1: so much of the target probability is taken and spread evenly over all classes.

    Returns
    -------
    array or tensor of shape (), or with "none" of the shape of x without the class axis
        NaN if nothing counts. In a recorded function a class that does not exist makes the loss NaN.

    Raises
    ------
    ValueError
        If shapes do not match, a setting is out of range, or an array of targets holds a class that does not exist.
    TypeError
        If x is not floating point, or the target's dtype does not go with its shape.

    References
    ----------
    Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016, section 7 (smoothing).

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.array([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    >>> cross_entropy(scores, np.array([0, 2]), reduction="none").round(4)
    array([0.2395, 1.0986])
    >>> float(cross_entropy(scores, np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])).round(4))
    0.6691
    """
    name = "cross_entropy"
    x, target = floating(x, name), operand(target, name)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{name} was given label_smoothing={label_smoothing}; it lies between 0 and 1")
    axis = _class_axis(x, name)
    classes = x.shape[axis]
    factors = None if weight is None else per_channel(weight, name, "a weight", classes, len(x.shape) - 1 - axis)
    scores = log_softmax(x, axis)
    if target.dtype.kind == "f":
        if target.shape != x.shape:
            raise ValueError(
                f"{name} was given an input of shape {x.shape} and floating-point targets of shape {target.shape}; "
                "probabilities must have the input's shape, and classes be integers"
            )
        if label_smoothing:
            target = array.add(array.multiply(target, 1 - label_smoothing), label_smoothing / classes)
        scores = scores if factors is None else array.multiply(scores, factors)
        loss = array.negative(array.sum(array.multiply(scores, target), axis))
        if reduction == "mean":
            return array.divide(reduced(loss, "sum", name), int(np.prod(loss.shape)))
        return reduced(loss, reduction, name)
    loss, weights = _of_right_class(scores, target, weight, ignore_index, name)
    if label_smoothing:
        counted = array.not_equal(array.cast(target, np.int64), ignore_index)
        even = array.negative(array.sum(scores if factors is None else array.multiply(scores, factors), axis))
        even = array.multiply(array.where(counted, even, 0), label_smoothing / classes)
        loss = array.add(array.multiply(loss, 1 - label_smoothing), even)
    return _weighted(loss, weights, reduction, name)


def nll_loss(
    x: Value, target: Value, weight: Value | None = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> Value:
    """The negative log-likelihood of classes: -x at the right class, x being logarithms of probabilities.

    ``nll_loss(log_softmax(x, 1), target)`` is ``cross_entropy(x, target)``.

    Parameters
    ----------
    x : float32 or float64 array or tensor (n, classes), (n, classes, *sizes) or (classes,)
    target : integer array or tensor (n,), (n, *sizes) or ()
    weight, ignore_index, reduction
        As for `cross_entropy`.

    Returns
    -------
    array or tensor of shape (), or with "none" of the target's shape

    Raises
    ------
    ValueError, TypeError
        As `cross_entropy`.

    Examples
    --------
    >>> import numpy as np
    >>> float(nll_loss(np.log(np.array([[0.5, 0.25, 0.25]])), np.array([1])).round(4))
    1.3863
    """
    x, target = floating(x, "nll_loss"), operand(target, "nll_loss")
    loss, weights = _of_right_class(x, target, weight, ignore_index, "nll_loss")
    return _weighted(loss, weights, reduction, "nll_loss")


def mse_loss(x: Value, target: Value, *, reduction: str = "mean") -> Value:
    """The squared distance of x from its target, (x - target)^2.

    Parameters
    ----------
    x, target : float32 or float64 array or tensor, one shape
    reduction : {"mean", "sum", "none"}, default "mean"

    Returns
    -------
    array or tensor of shape (), or with "none" of x's shape

    Raises
    ------
    ValueError
        If the shapes differ: nothing is broadcast here, since it is hardly ever meant.
    TypeError
        If x is not floating point.

    Examples
    --------
    >>> import numpy as np
    >>> float(mse_loss(np.array([1.0, 4.0]), np.array([0.0, 2.0])))
    2.5
    """
    return reduced(array.square(_distance(x, target, "mse_loss")), reduction, "mse_loss")


def l1_loss(x: Value, target: Value, *, reduction: str = "mean") -> Value:
    """The distance of x from its target, |x - target|; its gradient at 0 is 0.

    Parameters
    ----------
    x, target : float32 or float64 array or tensor, one shape
    reduction : {"mean", "sum", "none"}, default "mean"

    Returns
    -------
    array or tensor of shape (), or with "none" of x's shape

    Raises
    ------
    ValueError, TypeError
        As `mse_loss`.

    Examples
    --------
    >>> import numpy as np
    >>> float(l1_loss(np.array([1.0, 4.0]), np.array([0.0, 2.0])))
    1.5
    """
    return reduced(array.abs(_distance(x, target, "l1_loss")), reduction, "l1_loss")


def smooth_l1_loss(x: Value, target: Value, *, reduction: str = "mean", beta: float = 1.0) -> Value:
    """The distance |d| of x from its target less beta / 2, and d^2 / (2 beta) where it is below beta.

    Parameters
    ----------
    x, target : float32 or float64 array or tensor, one shape
    reduction : {"mean", "sum", "none"}, default "mean"
    beta : float, default 1
        Where the parabola becomes a line; 0 makes it the `l1_loss`.

    Returns
    -------
    array or tensor of shape (), or with "none" of x's shape

    Raises
    ------
    ValueError
        If the shapes differ or beta is negative.
    TypeError
        If x is not floating point.

    References
    ----------
    Girshick, "Fast R-CNN", ICCV 2015, equation 3.

    Examples
    --------
    >>> import numpy as np
    >>> smooth_l1_loss(np.array([0.5, 3.0]), np.zeros(2), reduction="none")
    array([0.125, 2.5  ])
    """
    if beta < 0:
        raise ValueError(f"smooth_l1_loss was given beta={beta}; it must be 0 or more")
    if beta == 0:
        return reduced(array.abs(_distance(x, target, "smooth_l1_loss")), reduction, "smooth_l1_loss")
    return array.divide(huber_loss(x, target, reduction=reduction, delta=beta), beta)


def huber_loss(x: Value, target: Value, *, reduction: str = "mean", delta: float = 1.0) -> Value:
    """d^2 / 2 for a distance d = x - target up to delta, and delta * (|d| - delta / 2) beyond.

    Parameters
    ----------
    x, target : float32 or float64 array or tensor, one shape
    reduction : {"mean", "sum", "none"}, default "mean"
    delta : float, default 1
        Where the parabola becomes a line.

    Returns
    -------
    array or tensor of shape (), or with "none" of x's shape

    Raises
    ------
    ValueError
        If the shapes differ or delta is not positive.
    TypeError
        If x is not floating point.

    References
    ----------
    Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35 (1964).

    Examples
    --------
    >>> import numpy as np
    >>> huber_loss(np.array([0.5, 3.0]), np.zeros(2), reduction="none", delta=2.0)
    array([0.125, 4.   ])
    """
    if delta <= 0:
        raise ValueError(f"huber_loss was given delta={delta}; it must be positive")
    distance = _distance(x, target, "huber_loss")
    length = array.abs(distance)
    near = array.multiply(array.square(distance), 0.5)
    far = array.multiply(array.subtract(length, delta / 2), delta)
    return reduced(array.where(array.less(delta, length), far, near), reduction, "huber_loss")


def binary_cross_entropy_with_logits(
    x: Value,
    target: Value,
    weight: Value | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Value | None = None,
) -> Value:
    """-t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)), from the scores themselves, so that nothing rounds to log(0).

    Parameters
    ----------
    x : float32 or float64 array or tensor
        Scores, before any sigmoid.
    target : array or tensor, shape as x
        Probabilities, or 0 and 1.
    weight : array or tensor that broadcasts to x's shape, optional
        Factor of each element's loss.
    reduction : {"mean", "sum", "none"}, default "mean"
    pos_weight : array or tensor that broadcasts to x's shape, optional
        Factor of the first term.

    Returns
    -------
    array or tensor of shape (), or with "none" of x's shape

    Raises
    ------
    ValueError
        If the shapes do not match.
    TypeError
        If x is not floating point.

    Examples
    --------
    >>> import numpy as np
    >>> binary_cross_entropy_with_logits(np.array([0.0, 100.0]), np.array([1.0, 0.0]), reduction="none").round(4)
    array([  0.6931, 100.    ])
    """
    name = "binary_cross_entropy_with_logits"
    x, target = _matching(x, target, name)
    # -log(sigmoid(x)) is softplus(-x), and -log(1 - sigmoid(x)) is softplus(-x) + x
    failing = log_one_plus_exp(array.negative(x))
    if pos_weight is not None:
        more = array.multiply(array.subtract(_stretching(pos_weight, x, name), 1), target)
        failing = array.multiply(failing, array.add(more, 1))
    loss = array.add(array.multiply(array.subtract(1, target), x), failing)
    if weight is not None:
        loss = array.multiply(loss, _stretching(weight, x, name))
    return reduced(loss, reduction, name)


def _of_right_class(
    scores: Value, target: Value, weight: Value | None, ignore_index: int, name: str
) -> tuple[Value, Value]:
    """-weight * score at the right class of each place, and that weight; both 0 where the class is to be ignored.

    A class that does not exist is refused in an array. In a recording it cannot be seen, and 0 / 0 makes it NaN.
    """
    axis = _class_axis(scores, name)
    classes = scores.shape[axis]
    places = (*scores.shape[:axis], *scores.shape[axis + 1 :])
    if target.dtype.kind not in "iu":
        raise TypeError(f"{name} was given targets of dtype {target.dtype}; classes are integers: x.astype(np.int64)")
    if target.shape != places:
        raise ValueError(
            f"{name} was given an input of shape {scores.shape} and classes of shape {target.shape}; "
            f"they must have shape {places}, the input's without its axis of {classes} classes"
        )
    target = array.cast(target, np.int64)
    counted = array.not_equal(target, ignore_index)
    if isinstance(target, np.ndarray):
        _check_classes(target[np.asarray(counted)], classes, name)
    numbers = np.arange(classes).reshape(classes, *(1,) * (len(places) - axis))
    right = array.equal(array.expand_dims(target, axis), numbers)
    found = array.cast(array.sum(right, axis), scores.dtype)
    score = array.divide(array.sum(array.where(right, scores, 0), axis), array.where(counted, found, 1))
    loss = array.where(counted, array.negative(score), 0)
    if weight is None:
        return loss, array.cast(counted, scores.dtype)
    factors = per_channel(weight, name, "a weight", classes, len(places) - axis)
    weights = array.where(counted, array.sum(array.where(right, factors, 0), axis), 0)
    return array.multiply(loss, weights), weights


def _weighted(loss: Value, weights: Value, reduction: str, name: str) -> Value:
    if reduction == "mean":
        return array.divide(array.sum(loss), array.sum(weights))
    return reduced(loss, reduction, name)


def _check_classes(target: np.ndarray, classes: int, name: str) -> None:
    if target.size and (target.min() < 0 or target.max() >= classes):
        raise ValueError(
            f"{name} was given classes from {target.min()} to {target.max()}; with scores for {classes} classes they "
            f"are 0 to {classes - 1}"
        )


def _class_axis(x: Value, name: str) -> int:
    if not x.shape or x.shape[min(1, len(x.shape) - 1)] == 0:
        raise ValueError(f"{name} was given an input of shape {x.shape}; it takes (n, classes, ...) or (classes,)")
    return min(1, len(x.shape) - 1)


def _matching(x: Value, target: Value, name: str) -> tuple[Value, Value]:
    x, target = floating(x, name), operand(target, name)
    if x.shape != target.shape:
        raise ValueError(
            f"{name} was given an input of shape {x.shape} and a target of shape {target.shape}; they must be the "
            "same: reshape one"
        )
    return x, target if target.dtype.kind == "f" else array.cast(target, x.dtype)


def _distance(x: Value, target: Value, name: str) -> Value:
    return array.subtract(*_matching(x, target, name))


def _stretching(value: Value, x: Value, name: str) -> Value:
    value = floating(value, name, "a weight")
    try:
        fits = np.broadcast_shapes(value.shape, x.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{name} was given a weight of shape {value.shape}, which does not stretch to {x.shape}")
    return value
