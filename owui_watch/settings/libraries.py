"""The setting ``libraries``: folders that plugins import modules from, and the names that such a folder can't have."""

from __future__ import annotations

import keyword
import sys
from pathlib import Path

from owui_watch.settings.checks import Check
from owui_watch.settings.masking import shown

_OF_THE_SERVER = frozenset(
    [
        "PIL",
        "aiocache",
        "aiofiles",
        "aiohttp",
        "alembic",
        "anthropic",
        "anyio",
        "asgiref",
        "authlib",
        "azure",
        "bcrypt",
        "black",
        "boto3",
        "botocore",
        "bs4",
        "certifi",
        "chromadb",
        "colbert",
        "cryptography",
        "datasets",
        "ddgs",
        "dotenv",
        "elasticsearch",
        "fastapi",
        "faster_whisper",
        "ftfy",
        "google",
        "grpc",
        "httpx",
        "huggingface_hub",
        "jinja2",
        "jwt",
        "langchain",
        "langchain_classic",
        "langchain_community",
        "langchain_core",
        "langchain_text_splitters",
        "ldap3",
        "loguru",
        "markdown",
        "mcp",
        "mimeparse",
        "numpy",
        "open_webui",
        "openai",
        "opensearchpy",
        "opentelemetry",
        "oracledb",
        "pandas",
        "peewee",
        "pgvector",
        "pinecone",
        "playwright",
        "pycrdt",
        "pydantic",
        "pydantic_core",
        "pydub",
        "pymilvus",
        "pytz",
        "qdrant_client",
        "redis",
        "requests",
        "sentence_transformers",
        "socketio",
        "soundfile",
        "sqlalchemy",
        "sqlcipher3",
        "starlette",
        "starlette_compress",
        "starsessions",
        "tencentcloud",
        "tiktoken",
        "torch",
        "transformers",
        "typer",
        "typing_extensions",
        "uvicorn",
        "validators",
        "weaviate",
        "websockets",
        "yaml",
        "yarl",
        "youtube_transcript_api",
    ]
)
"""Packages that Open WebUI's own modules import (0.6.43 to 0.12.4), and some that come with them."""


def libraries() -> Check:
    """Accept a list of folders below the one that relative paths start at, once links are resolved.

    Plugins import a library by the name of its folder, so the names differ and are none of Python or Open WebUI.
    """

    def accept(value: object, base: Path) -> tuple[Path, ...]:
        items = value if isinstance(value, list | tuple) else ()
        if items is not value or not all(isinstance(item, str) and item.strip() for item in items):
            raise ValueError(f'must be a list of folders, like ["shared"], not {shown(value)}')
        found: dict[Path, str] = {}
        for item in items:
            found.setdefault(_folder_below(item, base), item)
        names: dict[str, str] = {}
        for folder, item in found.items():
            _check_library_name(folder.name, item)
            if (other := names.setdefault(folder.name, item)) != item:
                raise ValueError(f"{shown(other)} and {shown(item)} have the same name: rename one of the folders")
        return tuple(found)

    return Check(accept)


def _check_library_name(name: str, item: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"{shown(item)} can't be imported: {shown(name)} is no name of a Python package; rename it")
    owner = "Python" if name in sys.stdlib_module_names else "Open WebUI" if name in _OF_THE_SERVER else None
    if owner is not None:
        raise ValueError(f"{shown(item)} would hide the module {name} of {owner} from plugins: rename the folder")


def _folder_below(item: str, base: Path) -> Path:
    try:
        real, base = (base / item).resolve(), base.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links (RuntimeError up to Python 3.12), a null character
        raise ValueError(f"there is no such folder: {shown(item)}") from None
    if not real.is_relative_to(base) or real == base:
        raise ValueError(f"{shown(item)} must be a folder below {base}, also once links are resolved")
    if not real.is_dir():
        raise ValueError(f"there is no such folder: {shown(item)}")
    return real
