"""Networks made of layers: one after another, and the layer that does nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wimmel.graph import active_recording
from wimmel.nn.module import Module


class Sequential(Module):
    """Layers applied one after another.

    Parameters
    ----------
    *layers : Module

    Examples
    --------
    >>> import numpy as np
    >>> from wimmel import nn
    >>> net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> net(np.zeros((5, 3), np.float32)).shape
    (5, 2)
    >>> list(net.state_dict())
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    def __init__(self, *layers: Module) -> None:
        for place, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise TypeError(
                    f"Sequential was given {layer!r} at place {place}; it takes layers, as single arguments"
                )
        self.layers = tuple(layers)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Module]:
        self._watched()
        return iter(self.layers)

    def __getitem__(self, place: int | slice) -> Module:
        self._watched()
        if isinstance(place, slice):
            return Sequential(*self.layers[place])
        return self.layers[place]

    def children(self) -> dict[str, Module]:
        others = {name: child for name, child in super().children().items() if not name.startswith("layers.")}
        return {str(place): layer for place, layer in enumerate(self.layers)} | others

    def _watched(self) -> None:
        """A function being recorded that takes layers out depends on which there are."""
        recording = active_recording()
        if recording is not None:
            recording.depend_on(self)


class Identity(Module):
    """The layer that gives back what it is given."""

    def forward(self, x: Any) -> Any:
        return x
