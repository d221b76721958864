"""Gradients of convolutional layers by input and weights: those of the layers in layers.py, of LeNet's and ResNet-20's
in batches that people train with, and of depthwise ones; PyTorch's autograd beside."""

from __future__ import annotations

from contest import OURS, contest
from faces import Layer, ours, torch_layer
from layers import SINGLE

LENET = [Layer(1, 6, (5, 5), (28, 28), padding=2), Layer(6, 16, (5, 5), (14, 14))]
RESNET = [Layer(width, width, (3, 3), (size, size), 128, padding=1) for width, size in ((16, 32), (32, 16), (64, 8))]
DEPTHWISE = [
    Layer(width, width, (3, 3), (size, size), 16, stride, 1, groups=width)
    for width, size, stride in ((32, 112, 1), (96, 112, 2), (384, 14, 1))
]


def named() -> dict[str, Layer]:
    several = [
        Layer(x.channels, x.outputs, (x.kernel,) * 2, (x.size,) * 2, pictures, x.stride, x.padding)
        for pictures in (1, 16)
        for x in SINGLE
    ]
    several += [layer.of("forward", pictures) for layer in LENET for pictures in (64, 256)]
    several += RESNET + DEPTHWISE
    found = {}
    for layer in several:
        stride = f" /{layer.stride}" if layer.stride > 1 else ""
        depthwise = " dw" if layer.groups > 1 else ""
        name = f"{layer.kernel[0]}{stride} {layer.channels}->{layer.outputs} at {layer.size[0]}{depthwise}"
        for face in ("weight", "input"):
            found[f"{face} {name}, n={layer.pictures}"] = layer.of(face)
    return found


if __name__ == "__main__":
    contest("Gradients of convolutions beside PyTorch.", named(), {OURS: ours, "torch": torch_layer})
