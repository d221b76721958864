"""The lecture's road from a fully connected layer to a convolutional one: dense weights, the same weights by offset,
one set of them for every place, and only the near ones; each step a function, with its number of parameters.

Pictures are X[i, j], n rows and m columns, and 0 outside. W[i, j, k, l] is the weight from pixel (k, l) to hidden unit
(i, j). V[i, j, a, b] is the same weight by the offset (a, b) = (k - i, l - j) between the two. Offsets are negative
too: a runs from -(n - 1) to n - 1 and stands at index a + n - 1, and b likewise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from wimmel import functional
from wimmel.functional.arguments import operand
from wimmel.graph.tensor import Value


def dense_image_layer(X: Value, W: Value, U: Value) -> Value:
    """The fully connected layer on pictures: H[i, j] = U[i, j] + sum over k, l of W[i, j, k, l] X[k, l].

    Parameters
    ----------
    X : array or tensor (..., n, m)
    W : array or tensor (p, q, n, m)
        The weights; the hidden picture is usually of the input's size, (p, q) = (n, m).
    U : array or tensor (p, q)
        The biases.

    Returns
    -------
    array or tensor (..., p, q)

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    References
    ----------
    Lecture row L3.

    Examples
    --------
    >>> X = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> dense_image_layer(X, np.ones((2, 2, 2, 2)), np.zeros((2, 2)))
    array([[10., 10.],
           [10., 10.]])
    """
    X, W = operand(X, "dense_image_layer"), operand(W, "dense_image_layer")
    if len(W.shape) != 4 or len(X.shape) < 2 or X.shape[-2:] != W.shape[2:]:
        raise ValueError(
            f"a picture of shape {X.shape} does not fit weights of shape {W.shape}; "
            "they are W[i, j, k, l], whose last two axes are the picture's rows and columns"
        )
    hidden, pixels = W.shape[:2], W.shape[2] * W.shape[3]
    rows = functional.reshape(X, (*X.shape[:-2], 1, pixels))
    H = functional.matmul(rows, functional.transpose(functional.reshape(W, (hidden[0] * hidden[1], pixels))))
    return functional.add(functional.reshape(H, (*X.shape[:-2], *hidden)), U)


def offset_image_layer(X: Value, V: Value, U: Value) -> Value:
    """The same layer by offsets: H[i, j] = U[i, j] + sum over a, b of V[i, j, a, b] X[i + a, j + b].

    Parameters
    ----------
    X : array or tensor (..., n, m)
    V : array or tensor (n, m, 2n - 1, 2m - 1)
        As `to_offsets` gives it. What it holds for places outside the picture meets zeros.
    U : array or tensor (n, m)

    Returns
    -------
    array or tensor (..., n, m)

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    References
    ----------
    Lecture row L3.

    Examples
    --------
    >>> X = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> V = np.zeros((2, 2, 3, 3))
    >>> V[:, :, 1, 2] = 1  # every unit sees the pixel at offset (0, 1), to its right
    >>> offset_image_layer(X, V, np.zeros((2, 2)))
    array([[2., 0.],
           [4., 0.]])
    """
    X, V = operand(X, "offset_image_layer"), operand(V, "offset_image_layer")
    n, m = _size_of_offsets(V)
    if X.shape[-2:] != (n, m):
        raise ValueError(f"a picture of shape {X.shape} does not fit V of shape {V.shape}, made for {n} x {m} pixels")
    extended = functional.pad(X, ((0, 0),) * (len(X.shape) - 2) + ((n - 1, n - 1), (m - 1, m - 1)))
    i, j, a, b = _ranges(n, m, 2 * n - 1, 2 * m - 1)
    seen = functional.take(functional.reshape(extended, (*X.shape[:-2], -1)), (i + a) * (3 * m - 2) + (j + b), axis=-1)
    return functional.add(functional.sum(functional.multiply(V, seen), axis=(-2, -1)), U)


def shared_image_layer(X: Value, V: Value, u: Value) -> Value:
    """The translation invariant layer: H[i, j] = u + sum over a, b of V[a, b] X[i + a, j + b].

    Parameters
    ----------
    X : array or tensor (..., n, m)
    V : array or tensor (2p + 1, 2q + 1)
        The weights of the offsets from (-p, -q) to (p, q), all others being 0; with (p, q) = (n - 1, m - 1) none are.
    u : float, or array or tensor of shape ()

    Returns
    -------
    array or tensor (..., n, m)

    Raises
    ------
    ValueError
        If V has an even number of rows or columns, and so no middle.

    References
    ----------
    Lecture rows L4 and L5.

    Examples
    --------
    >>> X = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> shared_image_layer(X, np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]), 0.5)
    array([[2.5, 0.5],
           [4.5, 0.5]])
    """
    X, V = operand(X, "shared_image_layer"), operand(V, "shared_image_layer")
    reach = _reach(V.shape[:2] if len(V.shape) == 2 else ())
    return functional.add(functional.correlate(X, V, padding=reach), u)


def windowed_image_layer(X: Value, V: Value, u: Value, delta: int | None = None) -> Value:
    """The local layer, equation (1): H[i, j] = u + sum over a, b from -delta to delta of V[a, b] X[i + a, j + b].

    Parameters
    ----------
    X : array or tensor (..., n, m)
    V : array or tensor (2p + 1, 2q + 1)
        The weights by offset, as for `shared_image_layer`.
    u : float, or array or tensor of shape ()
    delta : int, optional
        How far a unit looks; by default as far as V reaches. Weights further off do not count.

    Returns
    -------
    array or tensor (..., n, m)

    Raises
    ------
    ValueError
        If V has an even number of rows or columns, or delta is negative.

    References
    ----------
    Lecture row L5, equation (1).

    Examples
    --------
    >>> X = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> windowed_image_layer(X, np.ones((3, 3)), 0.0)
    array([[10., 10.],
           [10., 10.]])
    >>> windowed_image_layer(X, np.ones((3, 3)), 0.0, delta=0)
    array([[1., 2.],
           [3., 4.]])
    """
    return shared_image_layer(X, V if delta is None else localise(V, delta), u)


def image_convolution(X: Value, V: Value, u: Value) -> Value:
    """The layer with channels, equation (3): H[i, j, d] = u[d] + sum over a, b, c of V[a, b, c, d] X[i + a, j + b, c].

    a and b run from -delta to delta; X is 0 outside the picture. Channels stand last here, as the lecture has them.

    Parameters
    ----------
    X : array or tensor (..., h, w, c)
    V : array or tensor (2 delta + 1, 2 delta + 1, c, d)
    u : array or tensor (d,), or a number for all

    Returns
    -------
    array or tensor (..., h, w, d)

    Raises
    ------
    ValueError
        If the channels do not match, V has an even number of rows or columns, or u is no bias for the channels d.

    References
    ----------
    Lecture row L8, equation (3).

    Examples
    --------
    >>> X = np.array([[[1.0, 10.0], [2.0, 20.0]]])
    >>> V = np.zeros((1, 1, 2, 3))
    >>> V[0, 0] = [[1, 0, 1], [0, 1, 1]]
    >>> image_convolution(X, V, np.array([0.0, 0.0, 100.0]))
    array([[[  1.,  10., 111.],
            [  2.,  20., 122.]]])
    """
    X, V = operand(X, "image_convolution"), operand(V, "image_convolution")
    if len(V.shape) != 4 or len(X.shape) < 3 or X.shape[-1] != V.shape[2]:
        raise ValueError(
            f"a picture of shape {X.shape}, channels last, does not fit V of shape {V.shape}; "
            "that is V[a, b, c, d], where c counts the picture's channels"
        )
    biases = operand(u, "image_convolution").shape
    if biases not in ((), (1,), (V.shape[3],)):
        raise ValueError(
            f"u has shape {biases}; for V of shape {V.shape} it must be ({V.shape[3]},), a bias for each of the "
            "channels d, or one number for all"
        )
    *batch, h, w, c = X.shape
    pictures = functional.transpose(functional.reshape(_real(X), (math.prod(batch), h, w, c)), (0, 3, 1, 2))
    H = functional.conv2d(pictures, functional.transpose(_real(V), (3, 2, 0, 1)), padding=_reach(V.shape[:2]))
    return functional.add(functional.reshape(functional.transpose(H, (0, 2, 3, 1)), (*batch, h, w, V.shape[3])), u)


# from one form of the weights to the next


def to_offsets(W: Value) -> Value:
    """The weights by offset, V[i, j, a, b] = W[i, j, i + a, j + b], and 0 where (i + a, j + b) is outside the picture.

    Nothing is lost: `to_pixels` gives W back.

    Parameters
    ----------
    W : array or tensor (n, m, n, m)

    Returns
    -------
    array or tensor (n, m, 2n - 1, 2m - 1)
        Offset (a, b) stands at index (a + n - 1, b + m - 1).

    Raises
    ------
    ValueError
        If W does not have that form.

    References
    ----------
    Lecture row L3.

    Examples
    --------
    >>> to_offsets(np.array([[[[1.0, 2.0]], [[3.0, 4.0]]]]))[0]
    array([[[0., 1., 2.]],
    <BLANKLINE>
           [[3., 4., 0.]]])
    """
    W = operand(W, "to_offsets")
    if len(W.shape) != 4 or W.shape[:2] != W.shape[2:]:
        raise ValueError(f"W must be W[i, j, k, l] with shape (n, m, n, m); it has shape {W.shape}")
    n, m = W.shape[:2]
    i, j, a, b = _ranges(n, m, 2 * n - 1, 2 * m - 1)
    k, l = i + a - (n - 1), j + b - (m - 1)  # noqa: E741
    places = ((i * m + j) * n + k) * m + l
    inside = _inside(n, m)
    return functional.where(inside, functional.take(W, np.where(inside, places, 0)), 0)


def to_pixels(V: Value) -> Value:
    """The weights by pixel, W[i, j, k, l] = V[i, j, k - i, l - j]; entries of V outside the picture have no place.

    Parameters
    ----------
    V : array or tensor (n, m, 2n - 1, 2m - 1)

    Returns
    -------
    array or tensor (n, m, n, m)

    Raises
    ------
    ValueError
        If V does not have that form.

    References
    ----------
    Lecture row L3.

    Examples
    --------
    >>> W = np.arange(16.0).reshape(2, 2, 2, 2)
    >>> bool((to_pixels(to_offsets(W)) == W).all())
    True
    """
    V = operand(V, "to_pixels")
    n, m = _size_of_offsets(V)
    i, j, k, l = _ranges(n, m, n, m)  # noqa: E741
    places = ((i * m + j) * (2 * n - 1) + (k - i + n - 1)) * (2 * m - 1) + (l - j + m - 1)
    return functional.take(V, places)


def tie(V: Value) -> Value:
    """One weight for each offset: V[a, b], the mean of V[i, j, a, b] over the (i, j) whose (i + a, j + b) exists.

    This projects V onto the translation invariant weights: among them it is the one with the least sum of squared
    differences from V, taken over the entries inside the picture.

    Parameters
    ----------
    V : array or tensor (n, m, 2n - 1, 2m - 1)

    Returns
    -------
    array or tensor (2n - 1, 2m - 1)

    Raises
    ------
    ValueError
        If V does not have that form.

    References
    ----------
    Lecture row L4: translation invariance. The bias is tied likewise, u = U.mean().

    Examples
    --------
    >>> tie(to_offsets(np.array([[[[1.0, 2.0]], [[3.0, 4.0]]]])))
    array([[3. , 2.5, 2. ]])
    """
    V = operand(V, "tie")
    inside = _inside(*_size_of_offsets(V))
    total = functional.sum(functional.where(inside, _real(V), 0), axis=(0, 1))
    return functional.divide(total, inside.sum(axis=(0, 1)).astype(total.dtype))


def untie(V: Value) -> Value:
    """The weights V[a, b] written out for every place, V[i, j, a, b] = V[a, b], and 0 outside the picture.

    Parameters
    ----------
    V : array or tensor (2n - 1, 2m - 1)

    Returns
    -------
    array or tensor (n, m, 2n - 1, 2m - 1)

    Raises
    ------
    ValueError
        If V has an even number of rows or columns.

    References
    ----------
    Lecture row L4.

    Examples
    --------
    >>> untie(np.array([[3.0, 2.5, 2.0]]))[0]
    array([[[0. , 2.5, 2. ]],
    <BLANKLINE>
           [[3. , 2.5, 0. ]]])
    """
    V = operand(V, "untie")
    p, q = _reach(V.shape if len(V.shape) == 2 else ())
    return functional.where(_inside(p + 1, q + 1), V, 0)


def localise(V: Value, delta: int | Sequence[int]) -> Value:
    """The weights of the offsets with |a| <= delta and |b| <= delta; those further off are dropped, as if they were 0.

    Parameters
    ----------
    V : array or tensor (..., 2p + 1, 2q + 1)
        Weights by offset, the same everywhere or not.
    delta : int or (int, int)
        How many rows and columns away from a unit a weight may lie.

    Returns
    -------
    array or tensor (..., 2 delta + 1, 2 delta + 1)
        Zeros where delta reaches further than V.

    Raises
    ------
    ValueError
        If V has an even number of rows or columns, or delta is negative.

    References
    ----------
    Lecture row L5: locality.

    Examples
    --------
    >>> localise(np.arange(25.0).reshape(5, 5), 1)
    array([[ 6.,  7.,  8.],
           [11., 12., 13.],
           [16., 17., 18.]])
    """
    V = operand(V, "localise")
    reach = _reach(V.shape[-2:])
    deltas = (delta, delta) if isinstance(delta, (int, np.integer)) else tuple(delta)
    if len(deltas) != 2 or min(deltas) < 0:
        raise ValueError(f"delta was {delta!r}; it is a whole number from 0, or two of them, for rows and columns")
    for axis, (p, d) in enumerate(zip(reach, deltas, strict=True), start=len(V.shape) - 2):
        if d < p:
            V = functional.take(V, np.arange(p - d, p + d + 1), axis=axis)
        else:
            V = functional.pad(V, [(d - p, d - p) if here == axis else (0, 0) for here in range(len(V.shape))])
    return V


# counting parameters


def fully_connected_weights(inputs: int, units: int) -> int:
    """The number of weights of a fully connected layer, without its biases.

    Parameters
    ----------
    inputs, units : int

    Returns
    -------
    int
        inputs * units

    References
    ----------
    Lecture row L2.

    Examples
    --------
    >>> fully_connected_weights(10**6, 10**3)
    1000000000
    >>> fully_connected_weights(10**5, 10**3)
    100000000
    """
    return _count(inputs, "inputs") * _count(units, "units")


def convolution_parameters(kernel_size: int | Sequence[int], in_channels: int = 1, out_channels: int = 1) -> int:
    """The number of parameters of a convolutional layer: a kernel per pair of channels, a bias per channel out.

    Parameters
    ----------
    kernel_size : int or sequence of int
        One number means a square.
    in_channels, out_channels : int, default 1

    Returns
    -------
    int
        out_channels * in_channels * (elements of a kernel) + out_channels, whatever the size of the picture.

    References
    ----------
    Lecture rows L2, L28 and L29.

    Examples
    --------
    >>> convolution_parameters(5, in_channels=1, out_channels=6)
    156
    """
    sides = (kernel_size, kernel_size) if isinstance(kernel_size, (int, np.integer)) else tuple(kernel_size)
    elements = math.prod(_count(side, "kernel_size") for side in sides)
    return _count(out_channels, "out_channels") * (_count(in_channels, "in_channels") * elements + 1)


def dense_parameters(n: int, m: int) -> int:
    """The parameters of the fully connected layer from an n x m picture to a hidden one: (nm)^2 weights and nm biases.

    References
    ----------
    Lecture row L5.

    Examples
    --------
    >>> dense_parameters(28, 28)
    615440
    """
    pixels = _count(n, "n") * _count(m, "m")
    return pixels**2 + pixels


def shared_parameters(n: int, m: int) -> int:
    """The parameters of the translation invariant layer on an n x m picture: (2n - 1)(2m - 1) weights and one bias.

    References
    ----------
    Lecture row L5.

    Examples
    --------
    >>> shared_parameters(28, 28)
    3026
    """
    return (2 * _count(n, "n") - 1) * (2 * _count(m, "m") - 1) + 1


def windowed_parameters(delta: int) -> int:
    """The parameters of the local layer, equation (1): (2 delta + 1)^2 weights and one bias, for a picture of any size.

    References
    ----------
    Lecture row L5.

    Examples
    --------
    >>> windowed_parameters(2)
    26
    """
    return (2 * _count(delta, "delta", 0) + 1) ** 2 + 1


def _ranges(*sizes: int) -> tuple[np.ndarray, ...]:
    """One index for each axis, shaped to combine with the others."""
    return np.ogrid[tuple(slice(size) for size in sizes)]


def _inside(n: int, m: int) -> np.ndarray:
    """Whether (i + a, j + b) lies in the picture, for every i, j, a, b."""
    i, j, a, b = _ranges(n, m, 2 * n - 1, 2 * m - 1)
    k, l = i + a - (n - 1), j + b - (m - 1)  # noqa: E741
    return (k >= 0) & (k < n) & (l >= 0) & (l < m)


def _size_of_offsets(V: Value) -> tuple[int, int]:
    if len(V.shape) != 4 or V.shape[2:] != (2 * V.shape[0] - 1, 2 * V.shape[1] - 1):
        raise ValueError(f"V must be V[i, j, a, b] with shape (n, m, 2n - 1, 2m - 1); it has shape {V.shape}")
    return V.shape[0], V.shape[1]


def _reach(shape: Sequence[int]) -> tuple[int, int]:
    """How many rows and columns the offsets reach from 0."""
    if len(shape) != 2 or any(size % 2 == 0 for size in shape):
        raise ValueError(
            f"V has offsets of shape {tuple(shape)}; it needs rows and columns of odd number, 2 delta + 1, so that "
            "offset 0 stands in the middle"
        )
    return shape[0] // 2, shape[1] // 2


def _real(V: Value) -> Value:
    return V if V.dtype.kind == "f" else functional.cast(V, np.float64)


def _count(number: int, name: str, least: int = 1) -> int:
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < least:
        raise ValueError(f"{name} was {number!r}; it is a whole number, {least} or more")
    return int(number)
