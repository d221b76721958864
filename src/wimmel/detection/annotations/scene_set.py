"""A set of scenes that share their classes, as one frozen value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wimmel.data.draws import Purpose, random_order
from wimmel.detection.annotations.listing import Problem
from wimmel.detection.finds import Scene


@dataclass(frozen=True, repr=False)
class SceneSet(Sequence[Scene]):
    """Scenes, the names of their classes, and what a reader could not use.

    Examples
    --------
    >>> scenes = SceneSet(tuple(Scene(np.zeros((9, 9), np.uint8), [[0, 0, 5, 5]]) for _ in range(4)), ("object",))
    >>> scenes
    SceneSet(4 scenes, 4 objects, 1 class: object)
    >>> [len(part) for part in scenes.split(0.25)]
    [3, 1]
    """

    scenes: tuple[Scene, ...]
    class_names: tuple[str, ...]
    problems: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, place):  # type: ignore[no-untyped-def]
        if isinstance(place, slice):
            return SceneSet(self.scenes[place], self.class_names)
        return self.scenes[place]

    def __iter__(self) -> Iterator[Scene]:
        return iter(self.scenes)

    @property
    def class_counts(self) -> np.ndarray:
        """How many objects each class has, int64 (classes,)."""
        labels = np.concatenate([scene.classes for scene in self.scenes] or [np.zeros(0, np.int64)])
        return np.bincount(labels, minlength=len(self.class_names)).astype(np.int64, copy=False)

    def split(self, fraction: float, seed: int = 0) -> tuple[SceneSet, SceneSet]:
        """The scenes in two, the second part with round(fraction * n) of them, at least one; both keep the order.

        Raises
        ------
        ValueError
            If the fraction is not between 0 and 1, or there are fewer than two scenes.
        """
        if not 0 < fraction < 1 or len(self) < 2:
            raise ValueError(f"{fraction} of {len(self)} scenes cannot be split off; there must be two, and some left.")
        wanted = min(max(round(fraction * len(self)), 1), len(self) - 1)
        chosen = set(random_order(len(self), seed, Purpose.SPLIT)[:wanted].tolist())
        parts = ([], [])  # type: tuple[list[Scene], list[Scene]]
        for place, scene in enumerate(self.scenes):
            parts[place in chosen].append(scene)
        rest, part = (SceneSet(tuple(scenes), self.class_names) for scenes in parts)
        return rest, part

    def __repr__(self) -> str:
        objects = int(self.class_counts.sum())
        many = ", ".join(self.class_names[:10]) + (", ..." if len(self.class_names) > 10 else "")
        faults = f", {len(self.problems)} left out as faulty" if self.problems else ""
        return (
            f"SceneSet({len(self)} {'scene' if len(self) == 1 else 'scenes'}, {objects} "
            f"{'object' if objects == 1 else 'objects'}, {len(self.class_names)} "
            f"{'class' if len(self.class_names) == 1 else 'classes'}: {many}{faults})"
        )
