"""The settings of a run: which folders, which server with which key, and how to behave.

In: the flags of a command line, the environment, ``.env`` and ``owui-watch.toml``. Out: one frozen ``Settings``, or a
SettingsError whose text is the message for the user.

Read in this order: ``loading`` (the order of the layers), ``options`` (every setting), ``layers`` and ``files`` (what
a layer says), ``checks`` and ``libraries`` (the values of a setting), ``credentials`` and ``urls`` (which key goes to
which server), ``folders`` (what is watched), ``masking`` (what an error may show).
"""

from owui_watch.settings.credentials import Layer, SandboxServer, Source
from owui_watch.settings.files import CONFIG_NAME
from owui_watch.settings.layers import Option, refuse_unknown_flags
from owui_watch.settings.loading import load, reread_key
from owui_watch.settings.masking import (
    LOOKS_LIKE_KEY,
    Secret,
    SettingsError,
    looks_like_key,
    masked,
    printable,
    shown,
    shown_name,
    without_keys,
)
from owui_watch.settings.options import OPTIONS, LogFormat, OnDelete, OnForeign, Settings
from owui_watch.settings.urls import is_loopback

__all__ = [
    "CONFIG_NAME",
    "LOOKS_LIKE_KEY",
    "OPTIONS",
    "Layer",
    "LogFormat",
    "OnDelete",
    "OnForeign",
    "Option",
    "SandboxServer",
    "Secret",
    "Settings",
    "SettingsError",
    "Source",
    "is_loopback",
    "load",
    "looks_like_key",
    "masked",
    "printable",
    "refuse_unknown_flags",
    "reread_key",
    "shown",
    "shown_name",
    "without_keys",
]
