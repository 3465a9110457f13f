"""Results of functions of texts, remembered by the texts' digests: the texts themselves are not kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import update_wrapper
from hashlib import blake2b
from typing import Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

TextFunction = Callable[Concatenate[str, P], R]


def remembered(most: int) -> Callable[[TextFunction[P, R]], TextFunction[P, R]]:
    """Remember the ``most`` results of a function that were used last. Its other arguments must be hashable.

    A pass over more texts than that would find no earlier result, so ``most`` must be larger than any tree.
    """

    def decorate(function: TextFunction[P, R]) -> TextFunction[P, R]:
        known: dict[Hashable, R] = {}

        def remembering(text: str, /, *others: P.args, **named: P.kwargs) -> R:
            found = blake2b(text.encode(), digest_size=16).digest()
            key: Hashable = (found, *others, *named.items()) if others or named else found
            result = known.pop(key) if key in known else function(text, *others, **named)
            known[key] = result
            if len(known) > most:
                del known[next(iter(known))]
            return result

        update_wrapper(remembering, function)
        return remembering

    return decorate
