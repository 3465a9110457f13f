"""The file system, read and written with care.

In: paths, and the folder that a user named. Out: bytes, signatures, locks; every failure is an OSError.

Read in this order: ``reading`` (what is at a path, and its content with a cap), ``writing`` (create, replace and append
without following a link), ``lock`` (a lock between processes).
"""

from owui_watch.files.lock import exclusive, is_locked
from owui_watch.files.reading import (
    Identity,
    Signature,
    exists,
    folder_of,
    identity,
    is_file,
    is_folder,
    is_link,
    is_open_file,
    read_regular,
    signature,
)
from owui_watch.files.writing import append, create, make_folder, path_below, replace

__all__ = [
    "Identity",
    "Signature",
    "append",
    "create",
    "exclusive",
    "exists",
    "folder_of",
    "identity",
    "is_file",
    "is_folder",
    "is_link",
    "is_locked",
    "is_open_file",
    "make_folder",
    "path_below",
    "read_regular",
    "replace",
    "signature",
]
