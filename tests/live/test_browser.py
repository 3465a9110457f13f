"""The starters in a real browser: sign in as printed, use one, change it, save, and see the change."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from owui_watch.openwebui.releases import version_number
from owui_watch.plugins.model import Kind
from owui_watch.plugins.starters import write_starter
from owui_watch.sandbox.packages import cache_folder
from tests.live.harness import Run, clean_environ

if TYPE_CHECKING:
    import playwright.sync_api as playwright_api

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.live,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

PATIENCE_MS = 20_000
# A model that calls the first tool that it is given, in either way in which Open WebUI offers tools.
CALLER = '''"""
title: Caller
"""
import json

ARGUMENTS = {"day": "2030-01-01"}


class Pipe:
    async def pipe(self, body, __task__=None):
        last = body["messages"][-1]
        if __task__ == "function_calling":
            yield json.dumps({"tool_calls": [{"name": "days_until", "parameters": ARGUMENTS}]})
        elif __task__:
            return
        elif body.get("tools") and last["role"] == "user":
            call = {"name": "days_until", "arguments": json.dumps(ARGUMENTS)}
            yield {"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "1", "type": "function", "function": call}]}}]}
        else:
            text = " ".join(str(message["content"]) for message in body["messages"] if message["role"] != "assistant")
            yield f"It says: {text}"
'''


class Page:
    """The page of Open WebUI, signed in."""

    def __init__(self, page: playwright_api.Page, url: str, folder: Path) -> None:
        self._page = page
        self._url = url
        self.folder = folder

    def sign_in(self, email: str, password: str) -> None:
        self._page.goto(self._url)
        self._page.fill("input[type=email]", email)
        self._page.fill("input[type=password]", password)
        self._page.click("button[type=submit]")
        self._page.wait_for_selector("#chat-input")
        news = self._page.get_by_role("dialog").get_by_role("button", name="Okay")
        news.wait_for(timeout=PATIENCE_MS)  # "What's new", at the first sign-in
        news.click()

    def new_chat(self, model: str, tool: str | None = None) -> None:
        query = f"/?models={model}" + (f"&tools={tool}" if tool else "")
        self._page.goto(self._url + query)
        self._page.wait_for_selector("#chat-input")

    def say(self, text: str) -> None:
        self._page.click("#chat-input")
        self._page.keyboard.type(text)
        self._page.keyboard.press("Enter")

    def sees(self, text: str | re.Pattern[str]) -> None:
        """Wait until the text is drawn."""
        self._again_after_reload(lambda ms: self._page.get_by_text(text).first.wait_for(timeout=ms))

    def press(self, label: str) -> None:
        self._again_after_reload(lambda ms: self._page.get_by_role("button", name=label).first.click(timeout=ms))

    def _again_after_reload(self, use: Callable[[float], object]) -> None:
        """Use something that is drawn; reload the chat if it is not there within the milliseconds that ``use`` gets.

        On a busy machine the page of Open WebUI (seen on 0.9 and 0.11) sets itself up a second time after the first message: it shows an
        empty chat, under the address of the one that goes on.
        """
        try:
            use(PATIENCE_MS / 2)
        except sync_api.TimeoutError:
            self._page.reload()
            use(PATIENCE_MS)

    def save(self, kind: Kind, old: str, new: str) -> None:
        """Change a plugin's file as an editor does."""
        path = self.folder / f"my_{kind}.py"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")


def kinds_of(version: str) -> list[Kind]:
    """Return the kinds that a release knows."""
    return [kind for kind in Kind if kind is not Kind.EVENT or version_number(version) >= version_number("0.10.0")]


@pytest.fixture(scope="module")
def watch(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("browser")
    version = request.config.getoption("--openwebui")
    for kind in kinds_of(version):
        write_starter(kind, folder / "plugins" / f"my_{kind}.py")
    (folder / "plugins" / "caller.py").write_text(CALLER, encoding="utf-8")
    environ = clean_environ(folder) | {"XDG_CACHE_HOME": str(cache_folder().parent)}
    environ |= {name: os.environ[name] for name in os.environ if name.startswith(("UV_", "PIP_", "SSL_"))}
    with Run(("plugins", f"--sandbox={version}", "--log-format", "json"), folder=folder, environ=environ) as run:
        for kind in kinds_of(version):
            run.wait_for("created", 120, plugin=f"my_{kind}")
        yield run
        run.interrupt()
        run.fails(0)


@pytest.fixture(scope="module")
def page(watch: Run) -> Iterator[Page]:
    sandbox = watch.of("sandbox")[0]
    credentials = json.loads((watch.folder / sandbox["credentials"]).read_text(encoding="utf-8"))
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page()
        tab.set_default_timeout(PATIENCE_MS)
        signed_in = Page(tab, sandbox["url"], watch.folder / "plugins")
        signed_in.sign_in(sandbox["email"], credentials["password"])
        yield signed_in
        browser.close()


def test_pipe_answers_and_answers_anew_after_a_save(page: Page, watch: Run) -> None:
    page.new_chat("my_pipe")
    page.say("first")
    page.sees("Hello! You said: first")
    page.save(Kind.PIPE, "You said:", "You wrote:")
    watch.wait_for("updated", plugin="my_pipe")
    page.new_chat("my_pipe")
    page.say("second")
    page.sees("You wrote: second")


def test_filter_counts_the_words_of_an_answer(page: Page, watch: Run) -> None:
    page.new_chat("my_pipe")
    page.say("third")
    page.sees(re.compile(r"\d+ words"))
    page.save(Kind.FILTER, "{words} words", "{words} words in all")
    watch.wait_for("updated", plugin="my_filter")
    page.new_chat("my_pipe")
    page.say("fourth")
    page.sees(re.compile(r"\d+ words in all"))


def test_action_tells_how_long_an_answer_takes(page: Page, watch: Run) -> None:
    page.new_chat("my_pipe")
    page.say("fifth")
    page.sees("You wrote: fifth")
    page.press("My Action")
    page.sees("min to read")
    page.save(Kind.ACTION, "min to read", "minutes to read")
    watch.wait_for("updated", plugin="my_action")
    page.press("My Action")
    page.sees("minutes to read")


def test_tool_is_called_by_a_model(page: Page, watch: Run) -> None:
    page.new_chat("caller", "my_tool")
    page.say("sixth")
    page.sees(re.compile("From today until 2030-01-01"))
    page.save(Kind.TOOL, "From today until", "Days until")
    watch.wait_for("updated", plugin="my_tool")
    page.new_chat("caller", "my_tool")
    page.say("seventh")
    page.sees(re.compile("Days until 2030-01-01"))


def test_event_is_logged_in_the_terminal(page: Page, watch: Run) -> None:
    if not watch.of("created", plugin="my_event"):
        pytest.skip("this release has no event functions")
    page.save(Kind.EVENT, '"%s by %s on %s"', '"seen: %s by %s on %s"')
    watch.wait_for("updated", plugin="my_event")
    page.new_chat("my_pipe")
    page.say("eighth")
    page.sees("You wrote: eighth")
    assert watch.of("printed", plugin="my_event")
    watch.wait_for_text("seen: chat.created by Sandbox")


def test_pipes_error_is_on_page_and_terminal(page: Page, watch: Run) -> None:
    page.save(
        Kind.PIPE, "        # Your code goes here", "        raise ValueError('no such thing')\n        # Your code"
    )
    watch.wait_for("updated", plugin="my_pipe")
    page.new_chat("my_pipe")
    page.say("ninth")
    raised = watch.wait_for("raised", plugin="my_pipe")
    assert raised["error"] == "ValueError: no such thing"
    page.sees(re.compile("no such thing|Chat completion stream failed"))
