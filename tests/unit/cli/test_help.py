"""``owui-watch help``: the pages that the package carries."""

from __future__ import annotations

from pathlib import Path

import pytest

import owui_watch
from owui_watch.cli.arguments import COMMANDS
from owui_watch.cli.commands.help import read_topics, run
from owui_watch.cli.terminal import Terminal
from owui_watch.reporting.redaction import Secrets
from tests.unit.cli.runs import Run, refused
from tests.unit.reporting.outputs import Recorded

TOPICS = sorted(path.stem for path in (Path(owui_watch.__file__).parent / "docs").glob("*.md"))


def test_topics_are_the_pages() -> None:
    assert list(read_topics()) == TOPICS
    assert {"events", "settings", "bugs"} <= set(TOPICS)


def test_alone_lists_topics_with_their_titles(run: Run) -> None:
    code, out, err = run("help")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[1 : 1 + len(TOPICS)]] == TOPICS
    assert "  events           Events\n" in out


@pytest.mark.parametrize("topic", TOPICS)
def test_a_pipe_gets_the_page_as_it_is(run: Run, topic: str) -> None:
    code, out, err = run("help", topic)
    assert (code, err) == (0, "")
    assert out.startswith("# ")
    assert "<!--" not in out


@pytest.mark.parametrize("topic", TOPICS)
def test_a_terminal_gets_the_page_rendered(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from argparse import Namespace

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    output = Recorded(width=60)
    assert run(Namespace(topic=topic), Terminal(output, Secrets())) == 0
    text = output.text()
    assert "\x1b[" in text
    assert not text.startswith("# ")


@pytest.mark.parametrize("spelling", ["Events", "events.md", "EVENTS"])
def test_spelling_is_forgiving(run: Run, spelling: str) -> None:
    assert run("help", spelling)[1].startswith("# Events")


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in TOPICS])
def test_a_command_shows_its_flags(run: Run, command: str) -> None:
    assert run("help", command) == run(command, "--help")


def test_an_unknown_topic_is_refused(run: Run) -> None:
    assert refused(run, "help", "event") == "owui-watch: help event: there is no such topic: did you mean events?\n"
    assert "there is no such topic: the topics are bugs, " in refused(run, "help", "xyzzy")
