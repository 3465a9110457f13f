"""Copies of plugin files that merge tools, sync clients and people leave beside them, by their names and their lines."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePath

from owui_watch.plugins.source import lines_of

_COPY_NAME = re.compile(
    r"""(?x)
      [._](?:LOCAL|REMOTE|BASE|BACKUP)[._]\d+             # git mergetool
    | \.sync-conflict-\d{8}-\d{6}(?:-\w+)?                # Syncthing
    | [ _]?\([^()]*(?i:conflict)[^()]*\)                  # Dropbox, Nextcloud, Seafile
    | _conflict-\d{8}-\d{6}                               # ownCloud
    | \.Conflict(?:\.\d+)?                                # Resilio Sync
    | [ ]-[ ](?i:copy|kopie|copie|copia|cópia|kopia)(?:[ ]\(\d+\))?   # Windows
    | [ ](?:copy|copie|Kopie|copia|cópia|kopia)(?:[ ]\d+)?   # macOS
    | [ ]\((?:copy|another[ ]copy|\d+(?:st|nd|rd|th)[ ]copy)(?:[ ]\d+)?\)   # GNOME
    | \.(?:backup|bak|orig)
    """
)
_COPY_PREFIX = re.compile(r"(?:Copy of|Kopie von|Copie de|Copia de|Cópia de) ")
"""Google Drive, and older releases of Windows."""
_ALIKE = 0.9
_FOLDERS_OF_COPIES = frozenset(
    {"build", "dist", "out", "archive", "archives", "backup", "backups", "old", "copy", "copies", "export", "exports"}
    | {"worktree", "worktrees"}
)


def is_copy_name(name: str) -> bool:
    """Return whether ``name``, of a ``.py`` file, is one that programs give to copies."""
    stem = name.removesuffix(".py")
    return bool(_COPY_PREFIX.match(stem)) or any(
        match.start() > 0 and match.end() == len(stem) for match in _COPY_NAME.finditer(stem)
    )


def are_alike(text: str, other: str) -> bool:
    """Return whether ``text`` has nine tenths of the lines of ``other``, blank ones and white space at ends left out."""
    lines, wanted = _lines(text), _lines(other)
    return sum((lines & wanted).values()) >= _ALIKE * sum(wanted.values())


def copy_reason(original: str) -> str:
    """Say of a file why it is not created: it looks like a copy of the file at ``original``."""
    return f"looks like a copy of {original}: give it a title or an `id:` of its own"


def _lines(text: str) -> Counter[str]:
    return Counter(filter(None, map(str.rstrip, lines_of(text))))


def likelier_copy(one: PurePath, other: PurePath) -> str:
    """Return a glob for the likelier copy of two files: the one in a folder that is named so, else the deeper one."""
    copied = [path for path in (one, other) if any(part.lower() in _FOLDERS_OF_COPIES for part in path.parts[:-1])]
    path = copied[0] if len(copied) == 1 else max(one, other, key=lambda path: (len(path.parts), path))
    around = (other if path is one else one).parts[:-1]
    folders = path.parts[:-1]
    named = [end for end, part in enumerate(folders, 1) if part.lower() in _FOLDERS_OF_COPIES]
    differing = [end for end, part in enumerate(folders, 1) if part not in around]
    ends = named or differing
    return f"{'/'.join(folders[: ends[0]])}/" if ends else path.as_posix()
