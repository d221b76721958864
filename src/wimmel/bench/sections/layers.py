"""Single convolutions with bias and ReLU: layers of well-known networks, large filters, and kinds that libraries
neglect.

``wimmel`` is the layer's step as it runs inside a network, ``wimmel, alone`` the same with NCHW arrays in and out, and
``wimmel, exact`` the step without the ways that round a little more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from wimmel.bench.convolutions import Layer, square
from wimmel.bench.peers import jax_xla, onnx_runtime, opencv, ours, pytorch, scipy_signal
from wimmel.bench.section import OURS, Case, Contender, Section

KNOWN = [
    square(64, 64, 3, 56), square(128, 128, 3, 28), square(256, 256, 3, 14), square(512, 512, 3, 7),
    square(3, 64, 7, 224, 2), square(128, 128, 3, 56, 2), square(64, 256, 1, 56), square(256, 64, 1, 56),
    square(512, 128, 1, 28), square(1024, 256, 1, 14), square(2048, 512, 1, 7),
]  # fmt: skip
LENET = [square(1, 6, 5, 28), Layer(6, 16, (5, 5), (14, 14))]
DEPTHWISE = [
    square(width, width, 3, size, stride, width)
    for width, size, stride in (
        (32, 112, 1), (96, 112, 2), (144, 56, 1), (144, 56, 2), (192, 28, 1), (192, 28, 2), (384, 14, 1), (576, 14, 1),
        (576, 14, 2), (960, 7, 1),
    )
]  # fmt: skip
LARGE = [
    square(1, 1, 31, 512), square(1, 1, 63, 512), square(1, 1, 15, 512), square(1, 1, 9, 512), square(8, 8, 31, 512),
    square(64, 64, 31, 56, groups=64), square(64, 64, 13, 56, groups=64), square(64, 64, 7, 56), square(64, 64, 5, 56),
    square(3, 64, 11, 224),
]  # fmt: skip
UNUSUAL = [
    Layer(64, 64, (3,), (8192,), padding=1),
    Layer(64, 64, (9,), (8192,), padding=4),
    Layer(1, 16, (16,), (65536,), padding=8),
    Layer(16, 16, (3, 3, 3), (32, 32, 32), padding=1),
    Layer(64, 64, (3, 3, 3), (16, 16, 16), padding=1),
    Layer(128, 128, (3, 3), (28, 28), padding=2, dilation=2),
    Layer(256, 256, (3, 3), (14, 14), padding=4, dilation=4),
    square(128, 128, 3, 56, groups=32),
    square(512, 512, 3, 14, groups=32),
    Layer(64, 32, (4, 4), (32, 32), stride=2, padding=1, face="transposed"),
    Layer(128, 64, (2, 2), (28, 28), stride=2, face="transposed"),
]
OBLONG = [
    Layer(128, 128, (1, 7), (17, 17)), Layer(128, 128, (7, 1), (17, 17)), Layer(64, 64, (4, 4), (28, 28)),
    Layer(48, 64, (4, 2), (128, 128), dilation=2),
]  # fmt: skip
GROUPS = {"ResNet and VGG": KNOWN, "LeNet": LENET, "depthwise": DEPTHWISE, "1-D, 3-D and others": UNUSUAL}


def cases() -> Iterator[Case]:
    for pictures in (1, 16):
        for group, layers in GROUPS.items():
            for layer in layers:
                of = replace(layer, pictures=pictures)
                yield Case(str(of), f"{group}, batch {pictures}", of)
    for layer in LARGE:
        yield Case(str(layer), "large filters", layer)
    for layer in (LARGE[0], LARGE[5]):
        yield Case(str(layer.of(pictures=16)), "large filters", layer.of(pictures=16))
    for layer in OBLONG:
        yield Case(str(layer), "oblong and even kernels", layer)


SECTION = Section(
    "layers",
    "Convolutional layers",
    tuple(cases()),
    (
        Contender(OURS, ours.layer_inside),
        Contender(f"{OURS}, alone", ours.layer_alone),
        Contender(f"{OURS}, exact", ours.layer_exact),
        Contender("torch", pytorch.layer(channels_last=False), ("torch",)),
        Contender("torch, channels last", pytorch.layer(channels_last=True), ("torch",)),
        Contender("onnxruntime", onnx_runtime.layer, ("onnxruntime", "onnx")),
        Contender("jax", jax_xla.layer, ("jax",)),
        Contender("opencv", opencv.layer, ("cv2", "onnx")),
        Contender("opencv, filter2D", opencv.filtered, ("cv2",)),
        Contender("scipy", scipy_signal.layer, ("scipy",)),
    ),
)
