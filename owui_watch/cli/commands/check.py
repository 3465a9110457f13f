"""``owui-watch check [PATH…]``: what is wrong with the plugins, found without a server, a key or running anything."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owui_watch.cli.commands.common import leading_to, settings_from
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.model import Fault, Key, Kind, NotPlugin, Plugin, Reading, Rejected, Severity
from owui_watch.plugins.source import printable
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.console import source_lines
from owui_watch.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """One plugin file, or that of the settings, and what is wrong with it.

    ``path`` is as it is shown; ``key`` is None where it has no id.
    """

    path: str
    key: Key | None
    kind: Kind | None
    title: str | None
    version: str | None
    faults: tuple[Fault, ...]

    @property
    def broken(self) -> bool:
        """Whether it can't be deployed."""
        return any(fault.severity is Severity.ERROR for fault in self.faults)


def run(arguments: argparse.Namespace) -> int:
    """Check and show; 1 where a plugin has an error. Raises SettingsError."""
    # Server and key are of no concern here.
    settings = settings_from(arguments, leading_to("http://localhost", "stand-in"))
    tree = Tree(settings.roots, Ignore(settings.ignore), settings.ids, settings.base)
    readings = list(tree.scan())
    plugins = sorted(map(_finding, _plugins(readings)), key=lambda finding: finding.path)
    findings = [*_stale_ids(settings, readings), *plugins]
    no_plugins = [each for each in readings if isinstance(each, NotPlugin) and each.path in settings.roots]
    if arguments.format == "json":
        _show([json.dumps([_object(finding) for finding in findings], indent=2)])
    elif arguments.format == "github":
        _show(printable(line) for finding in findings for line in _annotations(finding))
        _show([_summary(len(plugins), findings)])
    else:
        _show(printable(line) for finding in findings for line in _text(finding, quiet=arguments.quiet))
        _show(printable(f"{_shown(each.path)}: no plugin: {each.reason}") for each in no_plugins)
        _show([_summary(len(plugins), findings)])
    return 1 if any(finding.broken for finding in findings) else 0


def _plugins(readings: Sequence[Reading]) -> Iterator[Plugin | Rejected]:
    return (reading for reading in readings if not isinstance(reading, NotPlugin))


def _finding(reading: Plugin | Rejected) -> Finding:
    faults = reading.warnings if isinstance(reading, Plugin) else reading.faults
    title, version = reading.header.get("title") or None, reading.header.get("version") or None
    return Finding(_shown(reading.path), reading.key, reading.kind, title, version, faults)


def _stale_ids(settings: Settings, readings: Sequence[Reading]) -> Iterator[Finding]:
    """Name what ``[ids]`` assigns to no file, where all files of the project were looked at."""
    if settings.config_file is None or settings.roots not in ((settings.base,), (settings.base / "plugins",)):
        return
    places = {reading.path.relative_to(settings.base).as_posix() for reading in readings}
    for wanted in settings.ids:
        if not any(f"/{place}".endswith(f"/{wanted}") for place in places) and not (settings.base / wanted).exists():
            from difflib import get_close_matches  # noqa: PLC0415 - only where something is wrong

            close = get_close_matches(wanted, places, n=1)
            hint = f"did you mean {close[0]}?" if close else "take the line out if the file is done with"
            fault = Fault(f"[ids]: there is no file {wanted}", hint=hint, severity=Severity.WARNING)
            yield Finding(_shown(settings.config_file), None, None, None, None, (fault,))


def _shown(path: Path) -> str:
    """Give ``path`` as an editor opens it from here: relative below the current folder, else absolute."""
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.as_posix()


def _text(finding: Finding, *, quiet: bool) -> Iterator[str]:
    """Give compiler-style lines, which editors know how to jump to."""
    if not finding.faults and not quiet:
        words = (finding.kind, finding.key and finding.key.id, finding.version, finding.title and f"“{finding.title}”")
        yield f"{finding.path}: {' '.join(word for word in words if word)}"
    for fault in finding.faults:
        place = ":".join(str(part) for part in (finding.path, fault.line, fault.column) if part is not None)
        first, *rest = fault.error.splitlines() or [""]
        yield f"{place}: {fault.severity}: {first}"
        yield from (f"  {line}" for line in rest)
        yield from source_lines(fault.line, fault.column, fault.source)
        if fault.hint:
            yield f"  hint: {fault.hint}"


def _object(finding: Finding) -> dict[str, Any]:
    return {
        "path": finding.path,
        "plugin": finding.key.id if finding.key else None,
        "kind": finding.kind.value if finding.kind else None,
        "title": finding.title,
        "version": finding.version,
        "faults": [
            {
                "line": fault.line,
                "column": fault.column,
                "severity": fault.severity.value,
                "error": fault.error,
                "hint": fault.hint,
            }
            for fault in finding.faults
        ],
    }


def _annotations(finding: Finding) -> Iterator[str]:
    """Give GitHub's workflow commands, which it shows on the lines of a pull request."""
    for fault in finding.faults:
        places = {"file": finding.path, "line": fault.line, "col": fault.column}
        properties = ",".join(f"{name}={_property(str(value))}" for name, value in places.items() if value is not None)
        message = f"{fault.error}\n{fault.hint}" if fault.hint else fault.error
        yield f"::{fault.severity} {properties}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _summary(plugins: int, findings: Sequence[Finding]) -> str:
    faults = [fault for finding in findings for fault in finding.faults]
    errors = sum(fault.severity is Severity.ERROR for fault in faults)
    return ", ".join(
        _count(number, noun)
        for number, noun in ((plugins, "plugin"), (errors, "error"), (len(faults) - errors, "warning"))
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _show(lines: Iterator[str] | Sequence[str]) -> None:
    for line in lines:
        print(line)  # noqa: T201
