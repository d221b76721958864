"""Decisions that change how long a step takes, and no bit of its results: which of several alternatives is taken.

What tuning found to be fastest on this machine counts first, in this process or an earlier one; else the first of the
alternatives, which the model expects to be. What was found is kept beside the objects, in a file for each target and
version of the compiler: a JSON object of what is decided and, in words, how. The words are looked for among the
alternatives that planning offers, so that a file of any content does no harm.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar, cast

from wimmel.compiler.objects import cache, identity
from wimmel.compiler.steps import Choice
from wimmel.compiler.targets import Target

Option = TypeVar("Option")


def chosen(question: str, options: Sequence[Option], target: Target, lasting: bool = False) -> Choice[Option]:
    """The answer to a question.

    Parameters
    ----------
    question : str
        What is decided: the same words for the same decision, in every process.
    options : sequence
        All that can be taken, what is expected to be fastest first. Their repr tells them apart.
    target : Target
    lasting : bool, default False
        Whether the first answer stands for this process, whatever options there are later: code is compiled for each.
    """
    trial = _trial.get() or {}
    if question in trial:
        return Choice(question, tuple(options), cast("Option", trial[question]))
    taken = cast("Option | None", _answers.get((target, question)))
    if taken is None:
        words = _found(target).get(question)
        taken = next((option for option in options if repr(option) == words), options[0])
        if lasting:
            taken = cast("Option", _answers.setdefault((target, question), taken))
    return Choice(question, tuple(options), taken)


@contextmanager
def trying(answers: Mapping[str, object]) -> Iterator[None]:
    """Within this block, and in this thread alone, these answers are taken, by question."""
    token = _trial.set(answers)
    try:
        yield
    finally:
        _trial.reset(token)


def is_known(question: str, target: Target) -> bool:
    """Whether tuning has answered it, now or before."""
    return question in _found(target)


def remember(answers: Mapping[str, object], target: Target) -> None:
    """Takes these answers from now on, in this process and, where files can be kept, in later ones."""
    if not answers:
        return
    words = {question: repr(answer) for question, answer in answers.items()}
    _found(target).update(words)
    _answers.update({(target, question): answer for question, answer in answers.items()})
    if identity.unchanged():
        both = {**_read(target), **words}
        cache.write_text(_name(target), json.dumps(both, indent=0, sort_keys=True))


_trial: ContextVar[Mapping[str, object] | None] = ContextVar("wimmel_trial", default=None)

_answers: dict[tuple[Target, str], object] = {}
"""What this process has answered for good."""

_known: dict[Target, dict[str, str]] = {}
"""What tuning has found, in words, by target."""


def _found(target: Target) -> dict[str, str]:
    if target not in _known:
        _known[target] = _read(target) if identity.unchanged() else {}
    return _known[target]


def _read(target: Target) -> dict[str, str]:
    name = _name(target)
    text = cache.read_text(name)
    if text is None:
        return {}
    try:
        found = json.loads(text)
        if isinstance(found, dict) and all(isinstance(words, str) for words in found.values()):
            return found
        problem = "it holds something else"
    except (ValueError, RecursionError) as error:
        problem = str(error)
    warnings.warn(
        f"what tuning found in earlier processes is passed over, because {name} in {cache.folder()} is not one of its "
        f"files: {problem}; tuning replaces it",
        RuntimeWarning,
        stacklevel=2,
    )
    return {}


def _name(target: Target) -> str:
    return identity.of_text("alternatives", target).hex() + cache.TEXT
