"""A detector's sweep of a picture at all sizes, from bytes to boxes: with our network, with peers' of the same weights
over the same pyramid, and window by window. Figures are seconds to a megapixel of the picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wimmel import nn
from wimmel.bench.section import OURS, Case, Contender, Prepare, Ready, Section
from wimmel.detection import Scene, Settings, teeming_scene
from wimmel.detection.finds import OVERLAP
from wimmel.detection.learned.network import OFFSETS, STRIDE, network, window_size
from wimmel.detection.learned.pyramid import WholePicture, level_size
from wimmel.detection.learned.settings import settings_for
from wimmel.detection.learned.sweep import TILE, Network, bands, seen_by, sweep

SIDES = (1024, 2048)
PIECE = 256
"""Pixels along a side of the piece that scores are compared on, and that is swept window by window."""

BATCH = 256
WHOLE = 10**6
"""Windows along a side of a tile that no level fills."""

_THRESHOLD, _LIMIT = 0.5, 100


@dataclass(frozen=True)
class Sweep:
    """A square picture of people, and a detector of those 26 to 61 pixels high; beside peers or single windows."""

    side: int
    beside_windows: bool = False

    @cached_property
    def settings(self) -> Settings:
        sizes = Scene(np.zeros((90, 90), np.uint8), [[0, 0, 15, 26], [30, 20, 61, 81]])  # type: ignore[arg-type]
        return settings_for([sizes], 3)

    def picture(self) -> WholePicture:
        scene = teeming_scene(0).pixels()
        _, rows, columns = scene.shape
        repeated = np.tile(scene, (1, -(-self.side // rows), -(-self.side // columns)))
        return WholePicture(np.ascontiguousarray(repeated[:, : self.side, : self.side]))

    def net(self) -> nn.Sequential:
        return network(self.settings).initialize(0)


def ours(case: Sweep, threads: int) -> Ready:
    return _swept(case, threads, case.net())


def with_torch(channels_last: bool = True, frozen: bool = False, tile: int = TILE) -> Prepare:
    """PyTorch's network in our sweep: it has the threads that ours would have, of a tile or of all."""

    def prepare(case: Sweep, threads: int) -> Ready | None:
        if case.beside_windows:
            return None
        import torch

        from wimmel.bench.peers.pytorch import sequential
        from wimmel.runtime.native import get_num_threads

        layout = torch.channels_last if channels_last else torch.contiguous_format
        net = sequential(case.net()).to(memory_format=layout)
        if frozen:
            example = torch.zeros(1, 3, PIECE, PIECE).contiguous(memory_format=layout)
            net = torch.jit.freeze(torch.jit.trace(net, example))

        def answer(tile: np.ndarray) -> np.ndarray:
            torch.set_num_threads(get_num_threads())
            with torch.inference_mode():
                outputs: np.ndarray = net(torch.from_numpy(tile).contiguous(memory_format=layout)).numpy()
            return outputs

        return _swept(case, threads, answer, tile)

    return prepare


def with_onnxruntime(tile: int = TILE) -> Prepare:
    """ONNX Runtime's network in our sweep: it has the threads that ours would have, of a tile or of all."""

    def prepare(case: Sweep, threads: int) -> Ready | None:
        if case.beside_windows:
            return None
        from wimmel.bench.operations import of_network
        from wimmel.bench.peers.onnx_runtime import onnx_model, session_of
        from wimmel.runtime.native import get_num_threads

        model = onnx_model(of_network(case.net()), (1, 3, "rows", "columns"))
        sessions = {count: session_of(model, count) for count in {1, threads}}

        def answer(tile: np.ndarray) -> np.ndarray:
            outputs: np.ndarray = sessions[get_num_threads()].run(None, {"x": tile})[0]
            return outputs

        return _swept(case, threads, answer, tile)

    return prepare


def windows(case: Sweep, threads: int) -> Ready | None:
    """Every window by itself, cut from the levels of the pyramid, in batches; on our runtime."""
    if not case.beside_windows:
        return None
    from wimmel.runtime.native import set_num_threads

    set_num_threads(threads)
    net, settings, picture = case.net(), case.settings, _piece(case)

    def run() -> list[np.ndarray]:
        return [_by_window(net, settings, picture, span) for span in settings.spans]

    return Ready(_a_megapixel(run, picture), lambda: _together(run()), measures=True)


def _by_window(net: Network, settings: Settings, picture: WholePicture, span: float) -> np.ndarray:
    """The outputs for a level."""
    rows, columns = (side // STRIDE + 1 for side in level_size(picture, span))
    seen = seen_by(settings, picture, span, (0, 0), (rows, columns))
    cut = np.lib.stride_tricks.sliding_window_view(seen, window_size(settings), (1, 2))[:, ::STRIDE, ::STRIDE]
    batches = [
        net(np.moveaxis(cut[:, places // columns, places % columns], 1, 0))
        for places in np.split(np.arange(rows * columns), range(BATCH, rows * columns, BATCH))
    ]
    return np.concatenate(batches).reshape(rows, columns, len(settings.class_names) + OFFSETS).transpose(2, 0, 1)


def _swept(case: Sweep, threads: int, net: Network, tile: int = TILE) -> Ready:
    from wimmel.runtime.native import set_num_threads

    set_num_threads(threads)
    settings, picture, piece = case.settings, case.picture(), _piece(case)

    def run() -> object:
        return sweep(net, settings, picture, _THRESHOLD, OVERLAP, _LIMIT, tile)

    def outcome() -> np.ndarray:
        return _together([band.outputs for band in bands(net, settings, piece, tile)])

    return Ready(_a_megapixel(run, picture), outcome, measures=True)


def _piece(case: Sweep) -> WholePicture:
    return WholePicture(case.picture().piece(0, 0, PIECE, PIECE))


def _together(outputs: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([each.ravel() for each in outputs])


def _a_megapixel(run: Callable[[], object], picture: WholePicture) -> Callable[[], list[float]]:
    megapixels = picture.shape[1] * picture.shape[2] / 1e6

    def measured() -> list[float]:
        begun = time.perf_counter()
        run()
        return [(time.perf_counter() - begun) / megapixels]

    return measured


SECTION = Section(
    "sweep",
    "Sweeping a picture, seconds to a megapixel",
    (
        *(Case(f"{side:,} x {side:,}", "convolutions", Sweep(side), 1.5e9) for side in SIDES),
        Case(f"{SIDES[0]:,} x {SIDES[0]:,}, beside single windows", "windows", Sweep(SIDES[0], True)),
    ),
    (
        Contender(OURS, ours),
        Contender("torch", with_torch(channels_last=False), ("torch",)),
        Contender("torch, channels last", with_torch(), ("torch",)),
        Contender("torch, frozen", with_torch(frozen=True), ("torch",)),
        Contender("torch, whole levels", with_torch(frozen=True, tile=WHOLE), ("torch",)),
        Contender("onnxruntime", with_onnxruntime(), ("onnxruntime", "onnx")),
        Contender("onnxruntime, whole levels", with_onnxruntime(WHOLE), ("onnxruntime", "onnx")),
        Contender("single windows", windows),
    ),
    seconds=0,
    least=2,
    most_rounds=3,
    limit=600,
)
