"""Dropout: the layer that forgets at random while training."""

from __future__ import annotations

from typing import Any

from wimmel import functional
from wimmel.nn.module import Module, current_call


class Dropout(Module):
    """In training each element is zeroed with probability p and the others grow by 1 / (1 - p); else nothing happens.

    What is zeroed depends on the call's seed and step, the layer's place in the network and the element's index alone.

    Parameters
    ----------
    p : float, default 0.5

    Raises
    ------
    ValueError
        If p is not between 0 and 1; in training, if the call was given no seed.

    References
    ----------
    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (2014), section 4.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.ones(8, np.float32)
    >>> Dropout(0.5)(x)
    array([1., 1., 1., 1., 1., 1., 1., 1.], dtype=float32)
    >>> sorted(set(Dropout(0.5)(x, training=True, seed=1).tolist()))
    [0.0, 2.0]
    """

    def __init__(self, p: float = 0.5) -> None:
        if not isinstance(p, (int, float)) or not 0 <= p <= 1:
            raise ValueError(f"Dropout was given p={p!r}; it is a probability, between 0 and 1")
        self.p = p

    def forward(self, x: Any) -> Any:
        call = current_call()
        if not call.training:
            return x
        if call.key is None:
            raise ValueError("dropout draws at random in training and needs a seed: net(x, training=True, seed=0)")
        return functional.dropout(x, self.p, True, call.key, call.stream(self))

    def extra_repr(self) -> str:
        return f"{self.p}"
