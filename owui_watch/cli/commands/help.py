"""``owui-watch help [TOPIC]``: the pages of the reference that the package carries."""

from __future__ import annotations

import argparse
import re
from difflib import get_close_matches
from importlib.resources import files

from owui_watch.cli.arguments import COMMANDS, help_of
from owui_watch.cli.errors import CommandError
from owui_watch.cli.terminal import Terminal

_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_HEADING = re.compile(r"^# (.+)$", re.MULTILINE)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Show a page, the help of a command, or the list of topics. Raises CommandError for an unknown topic."""
    topics = read_topics()
    if arguments.topic is None:
        terminal.output.write(_list(topics))
        return 0
    topic = arguments.topic.lower().removesuffix(".md").replace("_", "-")
    if topic in topics:
        _show(topics[topic], terminal)
    elif topic in COMMANDS:
        terminal.output.write(help_of(topic))
    else:
        close = get_close_matches(topic, [*topics, *COMMANDS], n=1)
        advice = f"did you mean {close[0]}?" if close else f"the topics are {', '.join(topics)}"
        raise CommandError(f"help {arguments.topic}: there is no such topic: {advice}")
    return 0


def read_topics() -> dict[str, str]:
    """Return the text of every page by its topic, in alphabetical order."""
    pages = [page for page in (files("owui_watch") / "docs").iterdir() if page.name.endswith(".md")]
    texts = {page.name.removesuffix(".md"): page.read_text(encoding="utf-8") for page in pages}
    return {topic: _COMMENT.sub("", texts[topic]) for topic in sorted(texts)}


def _list(topics: dict[str, str]) -> str:
    width = max(map(len, topics), default=0)
    titles = {topic: found[1] if (found := _HEADING.search(text)) else "" for topic, text in topics.items()}
    lines = [f"  {topic:<{width}}  {title}".rstrip() for topic, title in titles.items()]
    return "\n".join(["topics of `owui-watch help TOPIC`:", *lines, "", "`owui-watch COMMAND --help` shows flags.", ""])


def _show(text: str, terminal: Terminal) -> None:
    """Render a page on a terminal; write its Markdown into a pipe or a file."""
    if not terminal.interactive:
        terminal.output.write(text)
        return
    from owui_watch.reporting.tables import Drawing  # noqa: PLC0415 - only a terminal needs rich

    Drawing(terminal.output, colours=terminal.colours, clean=terminal.secrets.hide).page(text)
