"""Convolutions that libraries neglect: depthwise (MobileNetV2's), along one axis and three, dilated, grouped,
transposed; PyTorch and ONNX Runtime beside."""

from __future__ import annotations

from contest import OURS, contest
from faces import Layer, onnxruntime_layer, ours, torch_layer

MOBILENET = [
    (32, 112, 1), (96, 112, 2), (144, 56, 1), (144, 56, 2), (192, 28, 1), (192, 28, 2), (384, 14, 1), (576, 14, 1),
    (576, 14, 2), (960, 7, 1),
]  # fmt: skip
UNUSUAL = {
    "one axis, 3 taps, 64 at 8192": Layer(64, 64, (3,), (8192,), padding=1),
    "one axis, 9 taps, 64 at 8192": Layer(64, 64, (9,), (8192,), padding=4),
    "one axis, 16 taps, 1->16": Layer(1, 16, (16,), (65536,), padding=8),
    "three axes, 16 at 32": Layer(16, 16, (3, 3, 3), (32, 32, 32), padding=1),
    "three axes, 64 at 16": Layer(64, 64, (3, 3, 3), (16, 16, 16), padding=1),
    "dilated by 2, 128 at 28": Layer(128, 128, (3, 3), (28, 28), padding=2, dilation=2),
    "dilated by 4, 256 at 14": Layer(256, 256, (3, 3), (14, 14), padding=4, dilation=4),
    "32 groups, 128 at 56": Layer(128, 128, (3, 3), (56, 56), padding=1, groups=32),
    "32 groups, 512 at 14": Layer(512, 512, (3, 3), (14, 14), padding=1, groups=32),
    "transposed 4 /2, 64->32 at 32": Layer(64, 32, (4, 4), (32, 32), stride=2, padding=1, face="transposed"),
    "transposed 2 /2, 128->64 at 28": Layer(128, 64, (2, 2), (28, 28), stride=2, face="transposed"),
}


def named() -> dict[str, Layer]:
    found = {}
    for pictures in (1, 16):
        for width, size, stride in MOBILENET:
            layer = Layer(width, width, (3, 3), (size, size), pictures, stride, 1, groups=width)
            found[f"depthwise{f' /{stride}' if stride > 1 else ''} {width} at {size}, n={pictures}"] = layer
    return found | UNUSUAL


if __name__ == "__main__":
    contest(
        "Depthwise and unusual convolutions beside PyTorch and ONNX Runtime.",
        named(),
        {OURS: ours, "torch": torch_layer, "onnxruntime": onnxruntime_layer},
    )
