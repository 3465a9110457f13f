"""Open WebUI's HTTP API. A plugin and a key come in, the meaning of each response goes out, never an exception.

Read ``client`` first: one method per endpoint. It sends each request through ``connection`` (limits on bytes and
seconds; ``tls_and_proxies``), reads JSON with ``json_stream`` (bounded, and lists row by row), asks ``responses`` what the
response means (``database_errors``: whether a refusal is the database's trouble), ``remote`` for the plugin in it, every
field's type checked, and ``listing`` for many. ``payloads`` builds the forms that are sent, ``valves`` compares stored
values with new code, ``chat`` asks models and reads their answers, ``releases`` holds what differs from one Open WebUI to
the next. ``session`` is a client for the server and the key that the settings name; it reads the key again when its file
changes.

A response is one of::

    Remote, ListedPlugin, Listing   the plugins that were asked for
    Accepted                        another JSON
    Absent                          no such plugin
    Refused                         the content is not taken; ``database``: for now
    Denied, Forbidden               the key is refused; its user lacks a right
    Unusable                        status 200 with a body that does not fit
    Unavailable                     none, or not from Open WebUI; ``delivery``: what became of the request
"""

from owui_watch.openwebui.client import OpenWebUI
from owui_watch.openwebui.listing import Listing
from owui_watch.openwebui.releases import Release
from owui_watch.openwebui.remote import ListedPlugin, Remote
from owui_watch.openwebui.responses import Response
from owui_watch.openwebui.session import Session

__all__ = ["ListedPlugin", "Listing", "OpenWebUI", "Release", "Remote", "Response", "Session"]
