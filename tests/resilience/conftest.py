"""A project whose way to the real server leads through a proxy that can be made to fail."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.live.conftest import Project, _server, bare_project, server
from tests.live.server import Server
from tests.resilience.tcp_proxy import TcpProxy

__all__ = ["_server", "bare_project", "server"]

FULL = os.environ.get("RESILIENCE") == "full"
"""Whether the long tests run at their full length: real server kills, a thousand saves."""


@pytest.fixture
def proxy(server: Server) -> Iterator[TcpProxy]:
    """The way to the server."""
    with TcpProxy(server.url) as way:
        yield way


@pytest.fixture
def project(bare_project: Project, server: Server, proxy: TcpProxy) -> Project:
    """A project that knows the server by the proxy's address."""
    bare_project.use(proxy.url, server.key)
    return bare_project
