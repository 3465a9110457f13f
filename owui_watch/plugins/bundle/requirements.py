"""The ``requirements`` of several modules as the one line that the server reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

_LOWEST, _HIGHEST = Version("0"), Version("99999")


@dataclass(frozen=True, slots=True)
class Asked:
    """One requirement as ``asker``, a module's name, writes it; ``parsed`` is None if pip alone may know what it is."""

    asker: str
    text: str
    parsed: Requirement | None

    @property
    def package(self) -> str:
        """What it is a requirement of, as far as that can be told."""
        return canonicalize_name(self.parsed.name) if self.parsed else self.text


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two modules whose requirements no version of the package meets."""

    first: Asked
    second: Asked


def merge_requirements(asked: Iterable[tuple[str, str]]) -> tuple[str, tuple[Conflict, ...]]:
    """Return all requirements on one line, each once, and the conflicts between them.

    ``asked`` are the modules' names with the values of their ``requirements`` field, which the server splits at every
    comma. A requirement without a version is left out if another module names one for the same package.
    """
    items = [Asked(asker, text, _parsed(text)) for asker, line in asked for text in _split(line)]
    conflicts = tuple(
        Conflict(one, other)
        for one, other in combinations(items, 2)
        if one.package == other.package and not _compatible(one, other)
    )
    texts = [item.text for item in items if not _is_implied(item, items)]
    return ", ".join(dict.fromkeys(texts)), conflicts


def _split(line: str) -> Iterator[str]:
    return filter(None, (item.strip() for item in line.split(",")))


def _parsed(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _is_implied(item: Asked, items: Sequence[Asked]) -> bool:
    """Return whether ``item`` names just a package, and another item asks for more of that package."""
    if item.parsed is None or item.parsed.specifier or item.parsed.url:
        return False
    same = (other for other in items if other.parsed is not None and other.package == item.package)
    return any(
        (other.parsed.specifier or other.parsed.extras > item.parsed.extras)
        and other.parsed.extras >= item.parsed.extras
        and str(other.parsed.marker) == str(item.parsed.marker)
        for other in same
        if other.parsed is not None
    )


def _compatible(one: Asked, other: Asked) -> bool:
    """Return whether some version meets both; only what certainly can't be met is a conflict."""
    first, second = one.parsed, other.parsed
    if first is None or second is None or first.marker or second.marker:
        return True
    if first.url or second.url:
        return first.url == second.url
    both = first.specifier & second.specifier
    return not both or any(both.contains(version, prereleases=True) for version in _candidates(first, second))


def _candidates(*requirements: Requirement) -> Iterator[Version]:
    """Yield the versions that are named, and one right above and below each: bounds can only meet or miss there."""
    yield from (_LOWEST, _HIGHEST)
    for requirement in requirements:
        for specifier in requirement.specifier:
            try:
                version = Version(specifier.version.removesuffix(".*"))
            except InvalidVersion:
                continue
            yield version
            yield Version(f"{version.base_version}.0.0.1")
            yield Version(f"{version.base_version}.dev0")
