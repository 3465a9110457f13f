"""How the events of ``command_events`` read on a terminal."""

from __future__ import annotations

from owui_watch.reporting.console import Fields, Lines, Shown, renders, unbroken, versions


@renders("server")
def _server(o: Fields, _shown: Shown) -> Lines:
    yield f"{unbroken(o['url'])} ({unbroken(o['source'] or 'the default')})"


@renders("planned")
def _planned(o: Fields, _shown: Shown) -> Lines:
    change = versions(o["version"], o["previous_version"])
    yield f"{o['action']}  {o['kind']} {unbroken(o['plugin'])}  {change}".rstrip()


@renders("finished")
def _finished(o: Fields, _shown: Shown) -> Lines:
    deployed = "would deploy" if o["dry_run"] else "deployed"
    counts = f"{deployed} {o['deployed']}, unchanged {o['unchanged']}, rejected {o['rejected']}"
    yield f"{counts} in {o['ms'] / 1000:.1f} s"


@renders("handed_over")
def _handed_over(o: Fields, _shown: Shown) -> Lines:
    plugins = ", ".join(o["plugins"]) or "everything that differs from the server"
    yield f"the running watch deploys {plugins}; see its output"


@renders("sandbox")
def _sandbox(o: Fields, shown: Shown) -> Lines:
    fate = f"its data is kept in {unbroken(shown(o['kept']))}" if o["kept"] else "its data is deleted at the end"
    yield f"Open WebUI {o['version']}; {fate}"
    # Each on a line of its own: a password that is broken over two lines can't be copied.
    yield f"address  {unbroken(o['url'])}"
    yield f"e-mail   {unbroken(o['email'])}"
    if o["credentials"]:
        yield f"password is in {unbroken(shown(o['credentials']))}"
    else:
        yield f"password {unbroken(o['password'] or '')}"
    if o["log"]:
        yield f"its log is {unbroken(shown(o['log']))}"
    if o["debugger"]:
        yield f"debugger: attach to 127.0.0.1:{o['debugger']} (`owui-watch help debugging`)"
