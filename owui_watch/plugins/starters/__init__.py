"""A first plugin of each kind, for ``owui-watch new``: small, complete, and working as soon as it is deployed."""

from __future__ import annotations

import keyword
import re
from importlib import resources
from os.path import realpath
from pathlib import Path, PurePath

from owui_watch.plugins.ids import normalise, plugin_id
from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.model import Diagnostic, Kind

_BETWEEN_WORDS = re.compile(r"[-_.\s]+")
_NOT_IN_IDS = re.compile(r"[\W_]+")
_OF_A_TEST = re.compile(r"^(test_)+|(_test)+$")


class StarterError(Exception):
    """No plugin was written. The text says why, and what to do."""


def write_starter(kind: Kind, path: Path) -> Path:
    """Write a small, working plugin of ``kind`` and return the path of the new file.

    ``path`` is the file (``.py`` is added if it has no suffix) or an existing folder, which gets a ``my_<kind>.py``.
    Folders above the file are created. An existing file is never overwritten. Raises StarterError.
    """
    try:
        file = _file(kind, path)
        _refuse_ignored(kind, file)
        content = starter(kind, _title(kind, file))
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(content)
    except FileExistsError as error:
        if file.parent.is_dir():
            raise StarterError(f"{file} exists already and was not changed: choose another name") from error
        raise StarterError(f"{file} can't be written: {file.parent} is not a folder; choose another path") from error
    except OSError as error:
        raise StarterError(f"{path} can't be written: {error.strerror or error}; choose another path") from error
    return file


def write_package(kind: Kind, folder: Path) -> list[Path]:
    """Write a small plugin of several files with a test of it, and return the paths of the new files.

    ``folder`` becomes a Python package, so its name must be a Python name. A file that is there already is never
    overwritten. There is a package for a pipe only.
    """
    if kind is not Kind.PIPE:
        raise StarterError(f"there is a package to start from for a pipe only, not for a {kind}: leave --package out")
    if not folder.name.isidentifier() or keyword.iskeyword(folder.name):
        name = _suggestion(kind, folder).removesuffix(".py")
        raise StarterError(f"{folder}: a package's name is a Python name; name it {folder.parent / name}, for example")
    _refuse_ignored(kind, folder / "main.py")
    contents = _package(folder.name, _title(kind, folder / "main.py"))
    if there := next((name for name in contents if (folder / name).exists()), None):
        raise StarterError(f"{folder / there} exists already and was not changed: choose another folder")
    try:
        for name, content in contents.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content, encoding="utf-8", newline="\n")
    except OSError as error:
        raise StarterError(f"{folder} can't be written: {error.strerror or error}; choose another path") from error
    return [folder / name for name in contents]


def _package(name: str, title: str) -> dict[str, str]:
    """Return the files of a pipe's package: the starter of one file, with a module of its own for the last function."""
    plugin, function = starter(Kind.PIPE, title).split("\n\n\ndef last_question", 1)
    imported = "from pydantic import BaseModel, Field\n"
    return {
        "main.py": plugin.replace(imported, f"{imported}\nfrom .messages import last_question\n") + "\n",
        "messages.py": f'"""What is in the messages of a chat."""\n\nfrom typing import Any\n\n\ndef last_question{function}',
        "__init__.py": "",
        "tests/__init__.py": "",
        f"tests/test_{name}.py": _read("package_test.py.txt"),
    }


def _read(template: str) -> str:
    return (resources.files("owui_watch.plugins") / "starters" / template).read_text(encoding="utf-8")


def starter(kind: Kind, title: str) -> str:
    """Return the text of a plugin of ``kind`` with this title."""
    return _read(f"{kind.value}.py.txt").replace("$title", title, 1)


def _file(kind: Kind, path: Path) -> Path:
    if path.is_dir():
        return path / f"my_{kind.value}.py"
    if not path.suffix:
        return path.with_name(f"{path.name}.py")
    if path.suffix != ".py":
        raise StarterError(f"{path}: a plugin's name ends in .py; name it {_suggestion(kind, path)}, for example")
    return path


def _refuse_ignored(kind: Kind, file: Path) -> None:
    """Refuse a path that a watch ignores. Folders count from the current one down: any of them may be watched."""
    ignore, place = Ignore(), _below_here(file)
    if ignore.passes_over(PurePath(file.name)):
        example = _suggestion(kind, file)
        raise StarterError(
            f"{file}: owui-watch ignores files of this name (hidden files, tests, copies); name it {example}, for example"
        )
    folders = () if place.is_absolute() else place.parent.parts
    if (folder := next((each for each in folders if ignore.folder(PurePath(each))), None)) is not None:
        raise StarterError(
            f"{file}: owui-watch ignores the folder {folder} (hidden folders, tests and virtual environments); "
            f"write it to plugins/{file.name}, for example"
        )


def _below_here(file: Path) -> Path:
    whole = Path(realpath(file))  # unlike resolve(), accepts a link that leads to itself
    return whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole


def _title(kind: Kind, file: Path) -> str:
    """Return a title made of the words that make the id: the file's name, or its folder's for a ``main.py``."""
    found = plugin_id(_below_here(file), {})
    if isinstance(found, Diagnostic):
        raise StarterError(f"{file}: {found.error}; name it {_suggestion(kind, file)}, for example")
    name = file.stem if normalise(file.stem) == found.id else found.id
    words = [word for word in _BETWEEN_WORDS.split(name) if word]
    return " ".join(word[0].upper() + word[1:] for word in words) or found.id


def _suggestion(kind: Kind, file: Path) -> str:
    """Return a file name that makes an id, as close to ``file`` as possible."""
    name = _NOT_IN_IDS.sub("_", normalise(file.stem)).strip("_")
    name = _OF_A_TEST.sub("", name) or kind.value
    if Ignore().passes_over(PurePath(f"{name}.py")):
        name = f"my_{name}"
    return f"my_{name}.py" if isinstance(plugin_id(Path(name), {}), Diagnostic) else f"{name}.py"
