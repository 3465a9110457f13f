"""``owui-watch check [PATH…]``: find problems in plugins, without a server or a key, and without running them."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owui_watch.cli.selected_plugins import answered, passed_over
from owui_watch.cli.settings_from_flags import NO_SERVER, current_folder, settings_from
from owui_watch.cli.terminal import Terminal
from owui_watch.plugins.model import BrokenPlugin, Diagnostic, Kind, NotPlugin, ParsedFile, Plugin, PluginKey, Severity
from owui_watch.plugins.tree import Tree
from owui_watch.reporting.console import Excerpt, shown_path
from owui_watch.reporting.layout import source_lines
from owui_watch.reporting.redaction import in_all_texts
from owui_watch.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """A plugin file, or the settings file, with its diagnostics.

    ``path`` is as it is shown; ``key`` is None if the file has no id.
    """

    path: str
    key: PluginKey | None
    kind: Kind | None
    title: str | None
    version: str | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def broken(self) -> bool:
        """Whether it can't be deployed."""
        return any(diagnostic.severity is Severity.ERROR for diagnostic in self.diagnostics)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Check and show; return 1 if a plugin has an error. Raises SettingsError."""
    # Neither the server nor the key of the settings matters here.
    settings = settings_from(arguments, os.environ, sandbox=NO_SERVER)
    tree = Tree.of(settings)
    files = list(tree.scan())
    plugins = sorted(map(_finding, answered(files, settings)), key=lambda finding: finding.path)
    findings = [*_stale_ids(settings, files), *plugins, *map(_passed_over, passed_over(files, settings.roots))]
    if arguments.format == "json":
        objects = in_all_texts([_object(finding) for finding in findings], terminal.secrets.hide)
        terminal.output.write(json.dumps(objects, indent=2) + "\n")
        return _exit_code(findings)
    for finding in findings:
        lines = _annotations(finding) if arguments.format == "github" else _text(finding, terminal, arguments.quiet)
        for line in lines:
            terminal.print(line)
    count = sum(not isinstance(each, NotPlugin) for each in files)
    terminal.print(_summary(count, findings))
    return _exit_code(findings)


def _exit_code(findings: Sequence[Finding]) -> int:
    return 1 if any(finding.broken for finding in findings) else 0


def _finding(file: Plugin | BrokenPlugin) -> Finding:
    diagnostics = file.warnings if isinstance(file, Plugin) else file.diagnostics
    title, version = file.header.get("title") or None, file.header.get("version") or None
    return Finding(_shown(file.path), file.key, file.kind, title, version, diagnostics)


def _passed_over(file: NotPlugin) -> Finding:
    warning = Diagnostic(f"not deployed: {file.reason}", hint=file.hint, severity=Severity.WARNING, rule="passed-over")
    return Finding(_shown(file.path), None, None, None, None, (warning,))


def _stale_ids(settings: Settings, files: Sequence[ParsedFile]) -> Iterator[Finding]:
    """Find entries of ``[ids]`` without a file, if all files of the project were read."""
    if settings.config_file is None or settings.roots not in ((settings.base,), (settings.base / "plugins",)):
        return
    places = {file.path.relative_to(settings.base).as_posix() for file in files}
    for wanted in settings.ids:
        if not any(f"/{place}".endswith(f"/{wanted}") for place in places) and not (settings.base / wanted).exists():
            from difflib import get_close_matches  # noqa: PLC0415 - only if something is wrong

            close = get_close_matches(wanted, places, n=1)
            hint = f"did you mean {close[0]}?" if close else "remove the line if the file is gone for good"
            diagnostic = Diagnostic(f"[ids]: there is no file {wanted}", hint=hint, severity=Severity.WARNING)
            yield Finding(_shown(settings.config_file), None, None, None, None, (diagnostic,))


def _shown(path: Path) -> str:
    """Return ``path`` as an editor opens it from here: relative below the current folder, else absolute."""
    return shown_path(path, current_folder())


def _place(finding: Finding, diagnostic: Diagnostic) -> str:
    """Return the file that a diagnostic is about: the plugin's own, or one that the plugin imports."""
    return _shown(diagnostic.path) if diagnostic.path is not None else finding.path


def _text(finding: Finding, terminal: Terminal, quiet: bool) -> Iterator[str]:
    """Yield lines in the form of compilers, which editors can jump to."""
    if not finding.diagnostics and not quiet:
        words = (finding.kind, finding.key and finding.key.id, finding.version, finding.title and f"“{finding.title}”")
        yield f"{finding.path}: {' '.join(word for word in words if word)}"
    for diagnostic in finding.diagnostics:
        path = _place(finding, diagnostic)
        place = ":".join(str(part) for part in (path, diagnostic.line, diagnostic.column) if part is not None)
        first, *rest = diagnostic.error.splitlines() or [""]
        yield f"{place}: {diagnostic.severity}: {first}"
        yield from (f"  {line}" for line in rest)
        if diagnostic.line is not None and diagnostic.source is not None:
            # Hide secrets before a long line is cut: half a key is not recognised any more.
            source = terminal.secrets.hide(diagnostic.source)
            column = diagnostic.column if source == diagnostic.source else None
            yield from source_lines(Excerpt(diagnostic.line, column, source), terminal.output.width())
        if diagnostic.hint:
            yield f"  hint: {diagnostic.hint}"


def _object(finding: Finding) -> dict[str, Any]:
    return {
        "path": finding.path,
        "plugin": finding.key.id if finding.key else None,
        "kind": finding.kind.value if finding.kind else None,
        "title": finding.title,
        "version": finding.version,
        "faults": [
            {
                "path": _place(finding, diagnostic),
                "line": diagnostic.line,
                "column": diagnostic.column,
                "severity": diagnostic.severity.value,
                "error": diagnostic.error,
                "hint": diagnostic.hint,
            }
            for diagnostic in finding.diagnostics
        ],
    }


def _annotations(finding: Finding) -> Iterator[str]:
    """Return GitHub's workflow commands, which it shows on the lines of a pull request."""
    for diagnostic in finding.diagnostics:
        places = {"file": _place(finding, diagnostic), "line": diagnostic.line, "col": diagnostic.column}
        properties = ",".join(f"{name}={_property(str(value))}" for name, value in places.items() if value is not None)
        message = f"{diagnostic.error}\n{diagnostic.hint}" if diagnostic.hint else diagnostic.error
        yield f"::{diagnostic.severity} {properties}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _summary(plugins: int, findings: Sequence[Finding]) -> str:
    diagnostics = [diagnostic for finding in findings for diagnostic in finding.diagnostics]
    errors = sum(diagnostic.severity is Severity.ERROR for diagnostic in diagnostics)
    return ", ".join(
        _count(number, noun)
        for number, noun in ((plugins, "plugin"), (errors, "error"), (len(diagnostics) - errors, "warning"))
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
