"""`wimmel demo find`: Wim is taught and found in scenes that teem, by the commands that people type themselves."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wimmel.cli.screen import Screen
    from wimmel.detection import Scene

STEPS = 3000
SCENES, WIMS, WITHOUT = 12, 3, 8
"""Scenes to learn from, how many Wims are in each, and how many more scenes there are without him."""

NEW_SCENES = 6
"""With one Wim each, but for the last."""

SIZE, FIGURES, HIDDEN = (512, 768), 200, 0.1

_PORTRAIT, _IN_TERMINAL = 320, 32


def show_find(folder: Path, seed: int) -> None:
    """Draws scenes, teaches a detector who Wim is, finds him in other scenes, and leaves all of it in the folder."""
    from wimmel.cli.find import find
    from wimmel.cli.inspect import inspect
    from wimmel.cli.screen import Screen
    from wimmel.cli.teach import teach

    screen = Screen()
    _introduce(screen)
    new = save_scenes(screen, folder, seed)
    detector, scenes, found = folder / "wim.safetensors", folder / "new-scenes", folder / "found"
    _say_command(
        screen, "teach", folder / "boxes.json", folder / "scenes", "-o", detector, "--steps", STEPS, "--mirror"
    )
    teach(folder / "boxes.json", folder / "scenes", output=detector, steps=STEPS, mirror=True, seed=seed)
    screen.say()
    _say_command(screen, "find", detector, scenes, "-o", found)
    find(detector, [str(scenes)], output=found)
    screen.say()
    scene, channels = _judge(screen, folder, new), folder / "channels"
    _say_command(screen, "inspect", detector, "--picture", scene, "-o", channels)
    inspect(detector, picture=scene, output=channels)
    screen.say()
    _show_files(screen, folder)


def drawn_scenes(seed: int, follow: Callable[[int], object] | None = None) -> tuple[dict[str, Scene], dict[str, Scene]]:
    """The demo's scenes by their file's names: those to learn from, and new ones.

    Parameters
    ----------
    seed : int
        Another seed, other scenes.
    follow : callable, optional
        Called with the number of scenes that are drawn.
    """
    from wimmel.detection import teeming_scene

    wims = [WIMS] * SCENES + [0] * WITHOUT + [1] * (NEW_SCENES - 1) + [0]
    scenes = []
    for number, count in enumerate(wims):
        scenes.append(teeming_scene(seed * len(wims) + number, FIGURES, count, HIDDEN, SIZE))
        if follow is not None:
            follow(number + 1)
    known, new = scenes[: SCENES + WITHOUT], scenes[SCENES + WITHOUT :]
    named = [
        {f"{name}-{number:02}.png": scene for number, scene in enumerate(part, start=1)}
        for name, part in (("scene", known), ("new", new))
    ]
    return named[0], named[1]


def save_scenes(screen: Screen, folder: Path, seed: int) -> dict[str, Scene]:
    """Draws all scenes and saves them, with boxes as other tools write them; gives the new ones."""
    from wimmel.cli.outputs import made_folder
    from wimmel.detection import write_boxes
    from wimmel.detection.teeming import portrait
    from wimmel.files import write_image

    with screen.bar("Drawing", SCENES + WITHOUT + NEW_SCENES) as bar:
        known, new = drawn_scenes(seed, lambda done: bar.move(done, "scenes"))
    for scenes, name in ((known, "scenes"), (new, "new-scenes")):
        for file, scene in scenes.items():
            write_image(made_folder(folder / name) / file, scene.pixels())
    write_boxes(folder / "boxes.json", known, "coco")
    write_boxes(folder / "where-he-is.csv", new, "csv")
    write_image(folder / "wim.png", portrait(_PORTRAIT))
    return new


def _introduce(screen: Screen) -> None:
    from rich.text import Text

    from wimmel.cli.screen import half_blocks
    from wimmel.detection.teeming import portrait

    if screen.shows_pictures:
        screen.say()
        screen.tiles([half_blocks(portrait(_IN_TERMINAL))], [Text()])
    screen.say("This is Wim: a teal coat with white stripes, an orange bobble hat, brown trousers.", "bold")
    screen.say(f"He is about somewhere among {FIGURES} people, many of whom wear all of that but for one thing.")
    screen.say()


def _judge(screen: Screen, folder: Path, new: dict[str, Scene]) -> Path:
    """Says in how many scenes the best find is Wim; gives such a scene, if there is one, after drawing its overview.

    Of several it is the one with the fewest wrong finds.
    """
    from wimmel.detection import Detector, iou, overview, read_annotations
    from wimmel.files import write_image

    found = read_annotations(folder / "found" / "found.json", folder / "new-scenes")
    there = {name: (truth, scene) for (name, truth), scene in zip(new.items(), found, strict=True) if len(truth)}
    right = {
        name: len(scene)
        for name, (truth, scene) in there.items()
        if len(scene) and iou(scene.boxes[:1], truth.boxes)[0, 0] >= 0.5
    }
    screen.say(
        f"In {len(right)} of {len(there)} scenes with him that it had never seen the best find is Wim; "
        f"in {list(new)[-1]} he is not.",
        "bold",
    )
    screen.say()
    shown = folder / "new-scenes" / min(right or list(there), key=lambda name: right.get(name, 0))
    swept = Detector.load(folder / "wim.safetensors").look(shown)
    write_image(folder / "overview.png", overview(shown, swept.finds, swept.heat))
    return shown


def _show_files(screen: Screen, folder: Path) -> None:
    def path(name: str) -> str:
        return str(folder / name)

    screen.pairs(
        [
            (path("scenes"), f"scenes to learn from: {SCENES} with {WIMS} Wims each, {WITHOUT} without him"),
            (path("boxes.json"), "where they are, as COCO's JSON, which most tools for marking boxes write"),
            (path("wim.safetensors"), "the detector"),
            (path("new-scenes"), f"{NEW_SCENES} scenes that it has not seen"),
            (path("where-he-is.csv"), "where Wim is in them, as a table; in the last he is not"),
            (path("found"), "for each of them the finds framed and a heat map; a page of all finds; their boxes"),
            (path("overview.png"), "one of them at a glance"),
            (path("channels"), "what every channel of the network answers to what is around its best find"),
            (path("wim.png"), "Wim"),
        ]
    )
    screen.say()
    screen.say("Try next:", "bold")
    detector, longer, scenes = folder / "wim.safetensors", folder / "longer.safetensors", folder / "new-scenes"
    _say_command(screen, "find", detector, scenes, "--threshold", 0.9, "--json", indent="  ")
    _say_command(screen, "teach", folder / "boxes.json", folder / "scenes", "-o", longer, "--mirror", indent="  ")
    screen.say("and with things marked in pictures of your own:")
    screen.say("  wimmel teach YOUR-BOXES YOUR-PICTURES -o mine.safetensors")
    screen.say("  wimmel find mine.safetensors OTHER-PICTURES -o found")


def _say_command(screen: Screen, *words: object, indent: str = "$ ") -> None:
    screen.say(indent + shlex.join(("wimmel", *map(str, words))))
