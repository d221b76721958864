"""The networks of `wimmel.models` in PyTorch, as peers, and what carries our parameters into them. Parameters are named
as torchvision's, so the tables of names hold for its files too; it need not be installed. Importing this imports
PyTorch, and nothing of wimmel.

    ours, theirs = pair("resnet50", classes=10, seed=0)     # equal weights, both for inference
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

if TYPE_CHECKING:
    import wimmel as wm

Renaming = tuple[tuple[str, str], ...]
"""Patterns of our names' beginnings and what each becomes; the first that matches is taken."""


def pair(name: str, **arguments: Any) -> tuple[wm.nn.Module, nn.Module]:
    """A network of `wimmel.models` built with these arguments, and its twin with equal weights, set to inference."""
    import wimmel as wm

    ours = getattr(wm.models, name)(**arguments)
    arguments.pop("seed", None)
    theirs = TWINS[name](**arguments)
    carry(ours, theirs)
    return ours, theirs.eval()


def carry(ours: wm.nn.Module, theirs: Twin) -> None:
    """Copies all parameters and buffers of ours; raises if theirs has others."""
    state = ours.state_dict().items()
    theirs.load_state_dict({their_name(name, theirs): torch.tensor(value) for name, value in state})


def their_name(name: str, theirs: Twin) -> str:
    """What the parameter or buffer that we call by this name is called there."""
    for pattern, replacement in theirs.names:
        renamed, count = re.subn(f"^{pattern}", replacement, name)
        if count:
            return renamed
    raise KeyError(f"{type(theirs).__name__} has no counterpart of {name}")


class Twin(nn.Module):
    """A network that knows what its parameters are called in wimmel's."""

    names: ClassVar[Renaming]


class LeNet(Twin):
    """Two convolutions and three dense layers."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes),
        )  # fmt: skip

    names: ClassVar[Renaming] = ((r"", "layers."),)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; with `projected` false that is option A of He et al. (2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int, projected: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = _downsample(inputs, outputs, stride) if projected else None
        self.missing, self.stride = outputs - inputs, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.downsample is not None:
            return torch.relu(y + self.downsample(x))
        if self.missing:
            x = nn.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))
        return torch.relu(y + x)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        inner = outputs // 4
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _downsample(inputs, outputs, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(y)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(Twin):
    """A stem, stages `layer1`, `layer2`, ... of blocks, means and a dense layer."""

    def __init__(
        self, block: Callable[..., nn.Module], depths: tuple[int, ...], widths: tuple[int, ...],
        classes: int = 1000, channels: int = 3, small: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        width = 16 if small else 64
        self.conv1 = nn.Conv2d(channels, width, 3 if small else 7, 1 if small else 2, 1 if small else 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        self.stages = len(depths)
        for stage, (depth, outputs) in enumerate(zip(depths, widths, strict=True), start=1):
            blocks = [block(width, outputs, 1 if stage == 1 else 2)]
            blocks += [block(outputs, outputs, 1) for _ in range(depth - 1)]
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
            width = outputs
        self.fc = nn.Linear(width, classes)

    names: ClassVar[Renaming] = (
        (r"0\.0\.", r"conv1."),
        (r"0\.1\.", r"bn1."),
        (r"(\d)\.(\d+)\.main\.0\.", r"layer\1.\2.conv1."),
        (r"(\d)\.(\d+)\.main\.1\.", r"layer\1.\2.bn1."),
        (r"(\d)\.(\d+)\.main\.3\.", r"layer\1.\2.conv2."),
        (r"(\d)\.(\d+)\.main\.4\.", r"layer\1.\2.bn2."),
        (r"(\d)\.(\d+)\.main\.6\.", r"layer\1.\2.conv3."),
        (r"(\d)\.(\d+)\.main\.7\.", r"layer\1.\2.bn3."),
        (r"(\d)\.(\d+)\.shortcut\.", r"layer\1.\2.downsample."),
        (r"\d\.(weight|bias)", r"fc.\1"),
    )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


class VGG16(Twin):
    """Convolutions and pooling as `features`, dense layers as `classifier`."""

    def __init__(
        self, classes: int = 1000, channels: int = 3, size: tuple[int, int] = (224, 224), batch_norm: bool = False
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for stage, outputs in enumerate((64, 128, 256, 512, 512)):
            for _ in range(2 if stage < 2 else 3):
                layers.append(nn.Conv2d(channels, outputs, 3, padding=1))
                layers += [nn.BatchNorm2d(outputs), nn.ReLU()] if batch_norm else [nn.ReLU()]
                channels = outputs
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(512 * (size[0] // 32) * (size[1] // 32), 4096), nn.ReLU(), nn.Dropout(),
            nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(),
            nn.Linear(4096, classes),
        )  # fmt: skip

    names: ClassVar[Renaming] = ((r"0\.", "features."), (r"2\.", "classifier."))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).flatten(1))


class InvertedResidual(nn.Module):
    """A block of MobileNetV2."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * inputs
        self.conv = nn.Sequential(
            *([_relu6_unit(inputs, inner, 1)] if expansion > 1 else []),
            _relu6_unit(inner, inner, 3, stride, groups=inner),
            nn.Conv2d(inner, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.passes = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.passes else self.conv(x)


class MobileNetV2(Twin):
    """Blocks as `features`, dropout and the dense layer as `classifier`."""

    def __init__(self, classes: int = 1000, channels: int = 3, width: float = 1.0) -> None:
        super().__init__()

        def scaled(count: int) -> int:
            rounded = max(8, int(count * width + 4) // 8 * 8)
            return rounded + 8 if rounded < 0.9 * count * width else rounded

        inputs = scaled(32)
        layers: list[nn.Module] = [_relu6_unit(channels, inputs, 3, 2)]
        depths = {16: (1, 1, 1), 24: (6, 2, 2), 32: (6, 3, 2), 64: (6, 4, 2), 96: (6, 3, 1), 160: (6, 3, 2),
                  320: (6, 1, 1)}  # fmt: skip
        for outputs, (expansion, count, stride) in depths.items():
            for place in range(count):
                layers.append(InvertedResidual(inputs, scaled(outputs), 1 if place else stride, expansion))
                inputs = scaled(outputs)
        last = scaled(1280) if width > 1 else 1280
        self.features = nn.Sequential(*layers, _relu6_unit(inputs, last, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    names: ClassVar[Renaming] = (
        (r"(\d+)\.main\.", r"features.\1.conv."),
        (r"(0|18)\.", r"features.\1."),
        (r"21\.", "classifier.1."),
    )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


def _downsample(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


def _relu6_unit(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU6())


def _option_a(inputs: int, outputs: int, stride: int) -> nn.Module:
    return BasicBlock(inputs, outputs, stride, projected=False)


def _resnet(block: Callable[..., nn.Module], depths: tuple[int, ...], widths: tuple[int, ...]) -> Callable[..., Twin]:
    return lambda **arguments: ResNet(block, depths, widths, **arguments)


TWINS: dict[str, Callable[..., Twin]] = {
    "lenet": LeNet,
    "resnet18": _resnet(BasicBlock, (2, 2, 2, 2), (64, 128, 256, 512)),
    "resnet34": _resnet(BasicBlock, (3, 4, 6, 3), (64, 128, 256, 512)),
    "resnet50": _resnet(Bottleneck, (3, 4, 6, 3), (256, 512, 1024, 2048)),
    "resnet20": lambda classes=10, channels=3: ResNet(
        _option_a, (3, 3, 3), (16, 32, 64), classes, channels, small=True
    ),
    "vgg16": VGG16,
    "mobilenet_v2": MobileNetV2,
}
"""By the name of our function, with its arguments but the seed."""
