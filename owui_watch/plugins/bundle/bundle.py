"""One readable file made of a plugin's many, and the many files made of that one again.

The header comes first, as the server needs it; then a line that says what the file was made from; then each module's
source as its author wrote it, in a literal; then the loader (``loader``). Sources instead of merged code: nothing
about the modules changes, so they behave on the server as they do in their own tests, and every one can be given back.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from owui_watch.plugins.bundle.loader import loader
from owui_watch.plugins.bundle.string_literals import block_literal, line_literal, literal_value
from owui_watch.plugins.frontmatter import parse_header
from owui_watch.plugins.model import Kind, PluginKey, Space
from owui_watch.plugins.source import rewritten

_MARK = "# Bundled by owui-watch"
_PREFIXES = {Space.FUNCTIONS: "owui_function_", Space.TOOLS: "owui_tool_"}
_PACKAGE_OF = re.compile(r"\b(owui_(?:function|tool)_(\w+)_[0-9a-f]{10}x*)\b")
_PACKAGE_PREFIX = re.compile(rf"{_PACKAGE_OF.pattern}\.")
_PACKAGE_STEM = "__init__.py"


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One of the files that a bundle is made from.

    ``name`` is its path with ``/`` below the folder that holds the package's or library's folder (``many/client.py``):
    the name under which tracebacks show it. ``module`` is what it is imported as; None for data.
    """

    name: str
    text: str = field(repr=False)
    module: str | None


@dataclass(frozen=True, slots=True)
class Package:
    """All that a plugin of many files is made of; the first file is the plugin's own.

    ``requirements`` are those of all modules, as one line. ``libraries`` are the names of libraries that the modules
    import, and what each is imported as within the bundle; ``server_modules`` those that mean one of Open WebUI's
    (``utils`` and its like, which the server's text replacement completes in a plugin of one file).
    ``calls_import_module``: they also import each other by calls of ``importlib.import_module``.
    """

    files: tuple[BundleFile, ...]
    requirements: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict)
    server_modules: tuple[str, ...] = ()
    calls_import_module: bool = False

    @property
    def entry(self) -> BundleFile:
        """The plugin's own file."""
        return self.files[0]


@dataclass(frozen=True, slots=True)
class Section:
    """A file inside a bundle: its name, its text, and the bundle's line on which the text begins (from 1)."""

    name: str
    text: str = field(repr=False)
    first_line: int


@dataclass(frozen=True, slots=True)
class Unbundled:
    """The files that a bundle was made from, the plugin's own first. ``libraries`` are names imported absolutely."""

    key: PluginKey
    sections: tuple[Section, ...]
    libraries: frozenset[str] = frozenset()

    def place(self, line: int) -> tuple[str, int] | None:
        """Return the file and the line in it of the bundle's ``line``; None for a line of no file."""
        for section in self.sections:
            number = line - section.first_line + 1
            if 1 <= number <= section.text.count("\n") + 1:
                return section.name, number
        return None


def bundle(package: Package, key: PluginKey, kind: Kind) -> str:
    """Return ``package`` as one file. The same files make the same text, whatever the machine and the folder.

    Open WebUI's text replacement finds nothing in it to replace.
    """
    entry, *others = package.files
    files = [entry, *sorted(others, key=lambda file: file.name)]
    parts = [
        rewritten(_header(entry.text, package.requirements)),
        f"{_MARK}: {line_literal(entry.name)[1:-1]} and {_counted(others)}. Edit those, not this file.\n",
        f'\nPLUGIN = "{_PREFIXES[key.space]}{key.id}"\n',
        *_tables(package),
        "FILES = {}\n",
        *(f"\nFILES[{line_literal(file.name)}] = {block_literal(file.text)}\n" for file in files),
        "\n# The loader: makes modules of the files above.\n",
        loader(
            kind.class_name,
            entry.module or "",
            libraries=_has_names(package),
            calls=package.calls_import_module,
            data=any(file.module is None for file in files),
        ),
    ]
    return "".join(parts)


def is_bundle(text: str) -> bool:
    """Check whether ``text`` says that it is a bundle; ``unbundle`` finds out whether it can be taken apart."""
    return f"\n{_MARK}: " in text or text.startswith(f"{_MARK}: ")


def unbundle(text: str) -> Unbundled | None:
    """Return the files that the bundle ``text`` was made from, as they stand in it now; None for any other text."""
    if not is_bundle(text):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    key = next(filter(None, map(_key, body)), None)
    sections = tuple(filter(None, map(_section, body)))
    libraries = frozenset(name for node in body for name in _libraries(node))
    return Unbundled(key, sections, libraries) if key is not None and sections else None


def plugin_of_module(name: str) -> PluginKey | None:
    """Return the plugin that a module of this name (a logger's, say) belongs to; None for a module of no bundle."""
    match = _PACKAGE_OF.match(name)
    if match is None:
        return None
    space = next(space for space, prefix in _PREFIXES.items() if name.startswith(prefix))
    return PluginKey(space, match[2])


def without_package(text: str) -> str:
    """Return ``text``, a server's message, with modules named as their author knows them: ``many.client``."""
    return _PACKAGE_PREFIX.sub("", text)


def _header(entry: str, requirements: str) -> str:
    """Return the fields of the entry's header as a docstring that the server reads; empty if there are none."""
    fields = parse_header(entry) | ({"requirements": requirements} if requirements else {})
    lines = (f"{name}: {value}\n" for name, value in fields.items())
    return "".join(('"""\n', *lines, '"""\n')) if fields else ""


def _counted(others: Sequence[BundleFile]) -> str:
    return "1 more file" if len(others) == 1 else f"{len(others)} more files"


def _has_names(package: Package) -> bool:
    """Return whether absolute names may mean other modules to the plugin than to the server."""
    return bool(package.libraries or package.server_modules) or package.calls_import_module


def _tables(package: Package) -> Iterator[str]:
    """Yield the table of modules, namespace packages included, and that of absolute names with a meaning of their own."""
    modules = {file.module: file.name for file in package.files if file.module}
    for module, path in tuple(modules.items()):
        names = accumulate(module.split("."), "{}.{}".format)
        folders = accumulate(path.split("/")[:-1], "{}/{}".format)
        for name, folder in zip(names, folders, strict=False):
            modules.setdefault(name, f"{folder}/{_PACKAGE_STEM}")
    yield f'MODULES = {{\n    "": "{_PACKAGE_STEM}",\n'
    yield from (f'    "{name}": {line_literal(path)},\n' for name, path in sorted(modules.items()))
    yield "}\n"
    meanings = {name: f"{{PACKAGE}}.{module}" for name, module in package.libraries.items()}
    meanings |= {name: f"open_webui.{name}" for name in package.server_modules}
    if _has_names(package):
        rows = ", ".join(f'"{name}": "{meaning}"' for name, meaning in sorted(meanings.items()))
        yield f"LIBRARIES = {{{rows}}}\n"


def _key(node: ast.stmt) -> PluginKey | None:
    match node:
        case ast.Assign(targets=[ast.Name(id="PLUGIN")], value=ast.Constant(value=str(name))):
            for space, prefix in _PREFIXES.items():
                if name.startswith(prefix):
                    return PluginKey(space, name.removeprefix(prefix))
    return None


def _section(node: ast.stmt) -> Section | None:
    match node:
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id="FILES"), slice=key)], value=value):
            name, text = literal_value(key), literal_value(value)
            if name is not None and text is not None:
                return Section(name, text, value.lineno + 1)
    return None


def _libraries(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.Assign(targets=[ast.Name(id="LIBRARIES")], value=ast.Dict(keys=keys)):
            yield from (key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
