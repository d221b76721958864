"""`wimmel teach`: from pictures in which things are marked to a detector that finds such things in others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wimmel.cli.screen import Screen
    from wimmel.detection import SceneSet

_SUFFIX = ".safetensors"
_STEPS = 4000


def teach(
    boxes: Annotated[
        Path,
        typer.Argument(
            help="Boxes: COCO, LabelMe or wimmel's JSON, Pascal VOC XML, YOLO text, CSV, or a folder of them; or a "
            "folder of crops.",
            show_default=False,
        ),
    ],
    scenes: Annotated[
        Path | None,
        typer.Argument(help="The folder of the pictures; by default where the boxes are.", show_default=False),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The detector's file to write.")] = Path(
        "detector.safetensors"
    ),
    steps: Annotated[int, typer.Option(min=1, help="How long to learn; 1,000 take about half a minute.")] = _STEPS,
    mirror: Annotated[bool, typer.Option("--mirror", help="Mirrored things are such things too.")] = False,
    validation: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=0.9,
            help="Part of the scenes kept back to see how well it finds, and to calibrate how probable it is that a "
            "picture shows one. As a rule 0.1 of 20 or more; if some show none, half of these and 0.2 of the others.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same detector.")] = 0,
    skip_faults: Annotated[
        bool, typer.Option("--skip-faults", help="Leave out faulty boxes and pictures, listed, instead of stopping.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Write JSON to the standard output, and nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Write nothing but warnings and errors.")] = False,
) -> None:
    """Teach a detector from pictures in which things are marked by boxes.

    Tens of boxes do. Everything of the kind that is in these pictures should be marked: what is not is taken for
    background. Sizes to look for are those of the boxes. With pictures that show none among them, what is found in
    others comes with a calibrated probability that a picture shows one at all.

    Boxes are where things are in a picture as it is seen, turned upright as its camera says. Ctrl-C leaves no detector.

    \b
    [bold]Examples[/bold]
      wimmel teach boxes.json scenes/ -o waldo.safetensors
      wimmel teach cells.csv micrographs/ -o cells.safetensors --mirror --validation 0.2
      wimmel teach crops/ -o logo.safetensors --steps 1000
    """
    from wimmel.cli.failures import if_stopped
    from wimmel.cli.outputs import checked_file
    from wimmel.cli.screen import Screen, warn, write_json
    from wimmel.detection import Detector, read_annotations

    checked_file(output, _SUFFIX)
    screen = Screen(quiet or json)
    with if_stopped(f"{output} was not written"):
        examples = read_annotations(boxes, scenes, skip_faults=skip_faults)
        for problem in examples.problems:
            warn(f"Left out: {problem}")
        _show_plan(screen, boxes, examples, steps, mirror, seed)
        detector = Detector(steps=steps, mirror=mirror, seed=seed)
        with screen.bar("Teaching", steps) as bar:
            detector.fit(
                examples,
                validation=validation,
                progress=lambda done: bar.move(done.step, f"step {done.step:,}, loss {done.loss:.3f}"),
            )
            detector.save(output)
    if json:
        write_json({"detector": str(output), **detector.to_json()})
    screen.say(str(detector.report))
    screen.say(f"Saved {output}. Now try: wimmel find {output} PICTURES -o found")


def _show_plan(screen: Screen, boxes: Path, examples: SceneSet, steps: int, mirror: bool, seed: int) -> None:
    """What will be learned from what, a line for each thing, and how to have it otherwise."""
    from wimmel.cli.screen import listed
    from wimmel.report.canvas import counted

    counts = examples.class_counts
    found = f"{counted(int(counts.sum()), 'box', 'boxes')} in {counted(len(examples), 'scene')}"
    screen.say(f"{boxes}: {found}", "bold")
    named = [f"{name} ({count:,})" for name, count in zip(examples.class_names, counts, strict=True)]
    screen.say(f"Classes: {listed(named)}")
    screen.say()
    screen.pairs(
        [
            ("steps", f"{steps:,}", "--steps"),
            ("mirrored", "yes" if mirror else "no", "--mirror"),
            ("seed", str(seed), "--seed"),
        ]
    )
    screen.say()
