"""Which files a plugin is made of, and what is refused before anything is sent."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from owui_watch.plugins.ignore import Ignore
from owui_watch.plugins.model import BrokenPlugin, Diagnostic, ParsedFile, Plugin
from owui_watch.plugins.reader import may_reach_others
from owui_watch.plugins.tree import Tree

PIPE = "class Pipe:\n    def pipe(self, body):\n        return ''\n"
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, text: str) -> Path:
        path = tmp_path / "plugins" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, newline="")
        return path

    return write


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., ParsedFile]:
    def read(
        name: str = "pipes/many/main.py", *, libraries: tuple[str, ...] = (), ignore: tuple[str, ...] = ()
    ) -> ParsedFile:
        root = tmp_path / "plugins"
        folders = [(tmp_path / each).resolve() for each in libraries]
        parsed = Tree([root], Ignore(ignore), {}, tmp_path, libraries=folders).refresh(root / name)
        assert parsed is not None
        return parsed

    return read


Read = Callable[..., ParsedFile]


def names(parsed: ParsedFile) -> set[str]:
    assert isinstance(parsed, Plugin), parsed
    return set(parsed.files)


def only(parsed: ParsedFile) -> Diagnostic:
    assert isinstance(parsed, BrokenPlugin), parsed
    assert parsed.key is not None
    [diagnostic] = parsed.diagnostics
    return diagnostic


class TestLocalImports:
    def test_relative_names_are_followed_within_the_tree(self, write: Write, read: Read) -> None:
        write(
            "pipes/many/main.py",
            f"from .client import Client\nfrom . import prompts\nfrom ...shared.text import clip\n{PIPE}",
        )
        write("pipes/many/client.py", "from .deep.http import get\nclass Client: ...\n")
        write("pipes/many/deep/http.py", "def get(): ...\n")
        write("pipes/many/prompts.py", "")
        write("shared/text.py", "def clip(): ...\n")
        write("pipes/many/unused.py", "")
        parsed = read()
        assert names(parsed) == {
            "plugins/pipes/many/main.py",
            "plugins/pipes/many/client.py",
            "plugins/pipes/many/deep/http.py",
            "plugins/pipes/many/prompts.py",
            "plugins/shared/text.py",
        }
        assert isinstance(parsed, Plugin)
        assert parsed.id == "many"

    def test_absolute_names_are_followed_into_libraries(self, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"import shared.text\nfrom shared import more\nimport json, requests\n{PIPE}")
        write("../shared/__init__.py", "")
        write("../shared/text.py", "from .more import x\n")
        write("../shared/more.py", "x = 1\n")
        assert names(read(libraries=("shared",))) == {
            "many/main.py",
            "shared/__init__.py",
            "shared/text.py",
            "shared/more.py",
        }

    def test_a_library_in_the_tree_has_one_identity(self, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"import shared.text\nfrom ...shared.text import clip\n{PIPE}")
        write("shared/text.py", "def clip(): ...\n")
        parsed = read(libraries=("plugins/shared",))
        assert names(parsed) == {"plugins/pipes/many/main.py", "plugins/shared/text.py"}
        assert isinstance(parsed, Plugin)
        namespace: dict[str, object] = {}
        exec(parsed.content, namespace)
        entry = sys.modules[f"{namespace['PACKAGE']}.plugins.pipes.many.main"]
        assert entry.shared.text.clip is entry.clip

    @pytest.mark.parametrize(
        "code",
        [
            "import importlib\ntext = importlib.import_module('shared.text')",
            "import importlib.util\ntext = importlib.import_module(name='shared.text')",
            "import importlib.util as util, importlib as i\ntext = i.import_module('shared.text')",
            "from importlib import import_module\ntext = import_module('shared.text')",
            "from importlib import import_module as load\ntext = load('shared.text')",
            "import importlib\ntext = importlib.import_module('.text', 'shared')",
            "import importlib\ntext = importlib.import_module('..text', package='shared.word')",
            "text = __import__('shared.text').text",
            "text = __import__('shared', fromlist=['text']).text",
            "def late():\n    import importlib\n    return importlib.import_module('shared.text')\ntext = late()",
        ],
    )
    def test_calls_with_literal_names_import_like_statements(self, code: str, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"{code}\nassert text.WORD\n{PIPE}")
        write("../shared/text.py", "import importlib\nWORD = importlib.import_module('.word', __package__).WORD\n")
        write("../shared/word.py", "WORD = 'word'\n")
        parsed = read(libraries=("shared",))
        assert names(parsed) == {"many/main.py", "shared/text.py", "shared/word.py"}
        assert isinstance(parsed, Plugin)
        exec(parsed.content, {})
        assert "shared" not in sys.modules
        assert importlib.import_module is import_module

    def test_a_call_reaches_modules_no_statement_can_name(self, write: Write, read: Read) -> None:
        code = "import importlib\nWORD = importlib.import_module('.a-b', 'shared').WORD\n"
        write("pipes/deep-dive/main.py", f"from .helper import X\n{code}assert WORD == 'word'\n{PIPE}")
        write("pipes/deep-dive/helper.py", "X = 1\n")
        write("../shared/a-b.py", "WORD = 'word'\n")
        parsed = read("pipes/deep-dive/main.py", libraries=("shared",))
        assert names(parsed) == {"deep-dive/main.py", "deep-dive/helper.py", "shared/a-b.py"}
        assert isinstance(parsed, Plugin)
        exec(parsed.content, {})

    def test_call_with_a_servers_package_is_allowed(self, write: Write, read: Read) -> None:
        write(
            "pipes/many/main.py", f"import importlib\nfrom . import a\nx = importlib.import_module('.x', 'y')\n{PIPE}"
        )
        write("pipes/many/a.py", "")
        assert names(read()) == {"many/main.py", "many/a.py"}

    def test_a_call_through_builtins_is_refused(self, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"from . import a\nimport builtins\nbuiltins.__import__('shared.text')\n{PIPE}")
        write("pipes/many/a.py", "")
        write("../shared/text.py", "")
        assert "looks for shared.text among the server's modules" in only(read(libraries=("shared",))).error

    def test_other_absolute_names_are_the_servers_business(self, write: Write, read: Read) -> None:
        path = write("pipes/many/main.py", f"import client\nfrom shared.text import clip\n{PIPE}")
        write("pipes/many/client.py", "")
        write("shared/text.py", "")
        parsed = read()
        assert isinstance(parsed, Plugin)
        assert parsed.content == path.read_text()

    @pytest.mark.parametrize(
        "code",
        [
            "def late():\n    from . import helper\n",
            "try:\n    from . import helper\nexcept ImportError:\n    helper = None\n",
            "import sys\nif sys.platform == 'linux':\n    from . import helper\n",
            "class A:\n    async def f(self):\n        from .helper import x\n",
            "import importlib\nhelper = importlib.import_module('.helper', __package__)\n",
            "from importlib import import_module as load\nhelper = load('.helper', package=__package__)\n",
            "helper = __import__('helper', globals(), locals(), [], 1)\n",
            "__import__('', globals(), fromlist=('helper',), level=1)\n",
            "import importlib\nimportlib.import_module(package=__package__, name='.helper')\n",
            "with open('x') as f:\n    from .helper import x\n",
            "match 1:\n    case 1:\n        from .helper import x\n",
        ],
    )
    def test_imports_anywhere_count(self, code: str, write: Write, read: Read) -> None:
        write("pipes/many/main.py", code + PIPE)
        write("pipes/many/helper.py", "x = 1\n")
        assert names(read()) == {"many/main.py", "many/helper.py"}

    @pytest.mark.parametrize("test", ["TYPE_CHECKING", "typing.TYPE_CHECKING", '__name__ == "__main__"', "False", "0"])
    def test_imports_that_never_run_are_not_carried(self, test: str, write: Write, read: Read) -> None:
        text = f"import typing\nfrom typing import TYPE_CHECKING\nif {test}:\n    from . import helper, missing\n{PIPE}"
        write("pipes/many/main.py", text)
        write("pipes/many/helper.py", "")
        parsed = read()
        assert isinstance(parsed, Plugin)
        assert parsed.content == text

    def test_packages_on_the_way_are_carried(self, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"from .a.b import c\n{PIPE}")
        for name in ("__init__.py", "a/__init__.py", "a/b/__init__.py", "a/b/c.py"):
            write(f"pipes/many/{name}", "")
        write("pipes/__init__.py", "raise SystemExit\n")
        assert names(read()) == {
            f"many/{name}" for name in ("main.py", "__init__.py", "a/__init__.py", "a/b/__init__.py", "a/b/c.py")
        }

    def test_cycles_end(self, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"from . import a\n{PIPE}")
        write("pipes/many/a.py", "from . import b\n")
        write("pipes/many/b.py", "from . import a, main\n")
        assert names(read()) == {"many/main.py", "many/a.py", "many/b.py"}

    def test_a_package_comes_before_a_module(self, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"from .client import x\n{PIPE}")
        write("pipes/many/client.py", "")
        write("pipes/many/client/__init__.py", "x = 1\n")
        assert names(read()) == {"many/main.py", "many/client/__init__.py"}

    def test_requirements_of_all_modules_are_merged(self, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f'"""\ntitle: Many\nrequirements: httpx, orjson\n"""\nfrom . import a\n{PIPE}')
        write("pipes/many/a.py", '"""\nrequirements: httpx>=0.27, rich\n"""\n')
        parsed = read()
        assert isinstance(parsed, Plugin)
        assert parsed.header == {"title": "Many", "requirements": "orjson, httpx>=0.27, rich"}
        assert parsed.content.startswith('"""\ntitle: Many\nrequirements: orjson, httpx>=0.27, rich\n"""\n')


class TestRefused:
    def test_a_missing_module(self, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"from .a import x\n{PIPE}")
        path = write("pipes/many/a.py", "\n  \nfrom .client import Client\nx = 1\n")
        assert only(read()) == Diagnostic(
            "no local module .client: pipes/many has no client.py",
            3,
            1,
            "from .client import Client",
            "create it, or correct the name",
            rule="local-import",
            path=path,
        )

    def test_a_name_that_is_not_defined(self, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"from .a import Clinet\n{PIPE}")
        write("pipes/many/a.py", "class Client: ...\n")
        diagnostic = only(read())
        assert diagnostic.error == "pipes/many/a.py defines no Clinet"
        assert (diagnostic.path, diagnostic.line) == (None, 1)

    @pytest.mark.parametrize(
        "code",
        [
            "globals()['x'] = 1",
            "locals().update(x=1)",
            "def __getattr__(name): ...",
            "from os import *",
            "for x in []: ...",
            "from .b import *",
        ],
    )
    def test_names_that_may_be_there_are_fine(self, code: str, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"from .a import x\n{PIPE}")
        write("pipes/many/a.py", code + "\n")
        write("pipes/many/b.py", "x = 1\n")
        assert isinstance(read(), Plugin)

    def test_a_syntax_error_in_a_helper(self, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"from . import a\n{PIPE}")
        path = write("pipes/many/a.py", "x = 1\ny = (\n")
        diagnostic = only(read())
        assert diagnostic.error == "'(' was never closed"
        assert (diagnostic.path, diagnostic.line, diagnostic.column) == (path, 2, 5)

    def test_a_helper_that_is_no_text(self, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"from . import a\n{PIPE}")
        path = write("pipes/many/a.py", "")
        path.write_bytes(b"x = '\xff'\n")
        diagnostic = only(read())
        assert diagnostic.error.startswith("not readable as text")
        assert (diagnostic.path, diagnostic.line) == (path, 1)

    def test_a_helper_that_ends_the_interpreter(self, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"from . import a\n{PIPE}")
        path = write("pipes/many/a.py", "import sys\nsys.exit(1)\n")
        assert (only(read()).path, only(read()).line) == (path, 2)

    def test_an_import_that_leaves_the_tree(self, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"from ....secret import key\n{PIPE}")
        write("../secret.py", "key = 1\n")
        diagnostic = only(read())
        assert diagnostic.error == "....secret leads out of the watched folder"
        assert diagnostic.hint == "watch the folder above as well"

    def test_an_import_that_leaves_a_library(self, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"import shared.a\n{PIPE}")
        path = write("../shared/a.py", "from ..plugins.pipes.many import main\n").resolve()
        diagnostic = only(read(libraries=("shared",)))
        assert diagnostic.error == "..plugins.pipes.many leads out of the library shared"
        assert diagnostic.path == path

    @pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
    def test_a_link_that_leads_out(self, write: Write, read: Read, tmp_path: Path) -> None:
        write("pipes/many/main.py", f"from . import a\n{PIPE}")
        (tmp_path / "secret.py").write_text("key = 1\n")
        (tmp_path / "plugins/pipes/many/a.py").symlink_to(tmp_path / "secret.py")
        diagnostic = only(read())
        assert diagnostic.error == "pipes/many/a.py is a symlink that leads out of the watched folder"

    @pytest.mark.parametrize("suffix", [".so", ".cpython-311-x86_64-linux-gnu.so", ".pyd"])
    def test_a_compiled_extension(self, suffix: str, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"from . import fast\n{PIPE}")
        write(f"pipes/many/fast{suffix}", "")
        assert "is a compiled extension" in only(read()).error

    @pytest.mark.parametrize(
        "listing",
        [
            "__all__ = [name for name in dir()]",
            "import os\n__all__ = os.__all__",
            "from os import *",
            "globals().update(a=1)",
        ],
    )
    def test_a_star_whose_names_cannot_be_told(self, listing: str, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"from .a import *\n{PIPE}")
        write("pipes/many/a.py", listing + "\n")
        assert only(read()).error == "`import *` can't be resolved: pipes/many/a.py creates its names at run time"

    @pytest.mark.parametrize(
        "listing",
        [
            "__all__ = ['x']",
            "__all__ = ['x']\n__all__ += ('y',)",
            "x = 1",
            "from .b import *",
            "def f(thing):\n    setattr(thing, 'x', 1)\n    return vars(thing), thing.__dict__",
        ],
    )
    def test_a_star_whose_names_can_be_told(self, listing: str, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"from .a import *\n{PIPE}")
        write("pipes/many/a.py", listing + "\nx = y = 1\n")
        write("pipes/many/b.py", "z = 1\n")
        assert isinstance(read(), Plugin)

    @pytest.mark.parametrize("listing", ["['deep', 'other']", "['deep']\n__all__ += ('other',)"])
    def test_a_star_takes_the_modules_its_package_lists(self, listing: str, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"from .sub import *\n{PIPE}")
        write("pipes/many/sub/__init__.py", f"__all__ = {listing}\n")
        write("pipes/many/sub/deep.py", "x = 1\n")
        write("pipes/many/sub/other.py", "x = 1\n")
        write("pipes/many/sub/unlisted.py", "x = 1\n")
        assert {"many/sub/deep.py", "many/sub/other.py"} < names(read())
        assert "many/sub/unlisted.py" not in names(read())

    def test_names_behind_a_librarys_star_are_known(self, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"from shared import *\n{PIPE}")
        write("../shared/__init__.py", "from shared.text import *\n")
        write("../shared/text.py", "x = 1\n")
        assert "shared/text.py" in names(read(libraries=("shared",)))

    @pytest.mark.parametrize(
        "code",
        [
            "import importlib\nimportlib.import_module(f'.{name}', __package__)",
            "import importlib\nimportlib.import_module(f'{__package__}.{name}')",
            "from importlib import import_module\nimport_module('.' + name, package='many')",
            "__import__(__name__ + '.x')",
            "__import__(name, globals(), level=1)",
            "import importlib\nimportlib.import_module('.a', package)",
        ],
    )
    def test_local_names_made_at_run_time(self, code: str, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"from . import a\nname = 'x'\n{code}\n{PIPE}")
        write("pipes/many/a.py", "")
        assert "only known at run time" in only(read()).error

    @pytest.mark.parametrize(
        "name",
        ["f'shared.{x}'", "'shared.' + x", "'shared.%s' % x", "'shared.{}'.format(x)", "'.'.join(['shared', x])"],
    )
    def test_library_module_named_at_run_time(self, name: str, write: Write, read: Read) -> None:
        write("../shared/text.py", "")
        write("pipes/many/main.py", f"import importlib\nx = 'text'\nimportlib.import_module({name})\n{PIPE}")
        diagnostic = only(read(libraries=("shared",)))
        assert "only known at run time" in diagnostic.error
        assert diagnostic.line == 3

    @pytest.mark.parametrize("name", ["f'{x}.shared'", "x + '.shared'", "x", "'other.' + x", "f'sharedx.{x}'"])
    def test_other_names_made_at_run_time_pass(self, name: str, write: Write, read: Read) -> None:
        write("../shared/text.py", "")
        write("pipes/many/a.py", "")
        code = f"import importlib\nx = 'text'\nimportlib.import_module({name})\n{PIPE}"
        for imports in ("", "from . import a\n"):
            write("pipes/many/main.py", imports + code)
            assert isinstance(read(libraries=("shared",)), Plugin)

    def test_an_ignored_helper(self, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"from . import a\n{PIPE}")
        write("pipes/many/a.py", "")
        assert only(read(ignore=("a.py",))).error == "pipes/many/a.py is ignored, so its saves would not be seen"

    def test_conflicting_requirements(self, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f'"""\nrequirements: httpx>=0.28\n"""\nfrom . import a\n{PIPE}')
        path = write("pipes/many/a.py", '"""\ntitle: x\nrequirements: httpx<0.27\n"""\n')
        diagnostic = only(read())
        assert diagnostic.error == "httpx<0.27 conflicts with httpx>=0.28 in many/main.py"
        assert (diagnostic.path, diagnostic.line) == (path, 3)


class TestOptionalImports:
    @pytest.mark.parametrize(
        "caught", ["ImportError", "ModuleNotFoundError", "Exception", "(ValueError, ImportError)", ""]
    )
    def test_a_missing_module_is_handled_by_its_author(self, caught: str, write: Write, read: Read) -> None:
        write(
            "pipes/many/main.py",
            f"try:\n    from ._fast import x\nexcept {caught}:\n    x = None\n{PIPE}".replace(" :", ":"),
        )
        assert isinstance(read(), Plugin)

    def test_another_error_is_not(self, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"try:\n    from ._fast import x\nexcept ValueError:\n    x = None\n{PIPE}")
        assert only(read()).error == "no local module ._fast: pipes/many has no _fast.py"


class TestPackageData:
    HEAD = "import os\nimport importlib.resources as res\nfrom importlib.resources import files\nfrom pathlib import Path\nfrom . import a\n"

    @pytest.mark.parametrize(
        "code",
        [
            "Path(__file__).parent / 'data' / 'x.json'",
            "Path(__file__).resolve().parent.joinpath('data', 'x.json')",
            "Path(__file__).with_name('data') / 'x.json'",
            "os.path.join(os.path.dirname(os.path.abspath(__file__)), 'data', 'x.json')",
            "os.path.dirname(__file__) + '/data/x.json'",
            "f'{os.path.dirname(__file__)}/data/x.json'",
            "files(__package__) / 'data' / 'x.json'",
            "res.files(__package__).joinpath('data/x.json')",
            "res.read_text(__package__, 'data/x.json')",
            "HERE / 'x.json'\nHERE = Path(__file__).parent / 'data'",
            "[f, g]\ndef f():\n    p = Path(__file__).parent / 'data'\n    return p / 'x.json'\ndef g():\n    p = Path(__file__).parent / 'data'",
        ],
    )
    def test_files_named_by_literals_are_carried(self, code: str, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"{self.HEAD}x = {code}\n{PIPE}")
        write("pipes/many/a.py", "")
        write("pipes/many/data/x.json", '{"a": 1}\r\n')
        parsed = read()
        assert names(parsed) == {"many/main.py", "many/a.py", "many/data/x.json"}

    @pytest.mark.parametrize(
        ("name", "error"),
        [
            (".env", ".env is hidden or holds settings: such files are never sent"),
            ("owui-watch.toml", "owui-watch.toml is hidden or holds settings: such files are never sent"),
            (".secret/x.json", "x.json is hidden or holds settings: such files are never sent"),
            ("../x.json", "x.json lies outside the plugin's folder, so it isn't sent along"),
            ("big.txt", "big.txt is larger than 256 kB"),
            ("blob.bin", "blob.bin is no text in UTF-8"),
        ],
    )
    def test_others_are_refused(self, name: str, error: str, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"{self.HEAD}x = Path(__file__).parent / {name!r}\n{PIPE}")
        write("pipes/many/a.py", "")
        path = write(f"pipes/many/{name}", "x" * (262145 if name == "big.txt" else 1))
        if name == "blob.bin":
            path.write_bytes(b"\xff\x00")
        assert only(read()).error == error

    @pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
    def test_a_link_to_a_secret_is_refused(self, write: Write, read: Read, tmp_path: Path) -> None:
        write("pipes/many/main.py", f"{self.HEAD}x = Path(__file__).parent / 'x.json'\n{PIPE}")
        write("pipes/many/a.py", "")
        (tmp_path / ".env").write_text("KEY=1")
        (tmp_path / "plugins/pipes/many/x.json").symlink_to(tmp_path / ".env")
        assert only(read()).error == "x.json is a symlink that leads out of the plugin's folder"

    @pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
    @pytest.mark.parametrize("secret", [".env", "Prod.ENV", "owui-watch.toml", ".secret/x.json"])
    def test_link_to_a_secret_beside_it_is_refused(self, secret: str, write: Write, read: Read, tmp_path: Path) -> None:
        write("pipes/many/main.py", f"{self.HEAD}x = Path(__file__).parent / 'x.json'\n{PIPE}")
        write("pipes/many/a.py", "")
        write(f"pipes/many/{secret}", "KEY='sk-1'")
        (tmp_path / "plugins/pipes/many/x.json").symlink_to(secret)
        assert only(read()).error == "x.json is hidden or holds settings: such files are never sent"

    @pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
    @pytest.mark.parametrize("secret", [".env", "prod.env", ".secret/a.py"])
    def test_module_linked_to_a_secret_is_refused(self, secret: str, write: Write, read: Read, tmp_path: Path) -> None:
        write("pipes/many/main.py", f"from . import a\n{PIPE}")
        write(secret, "KEY='sk-1'")
        (tmp_path / "plugins/pipes/many/a.py").symlink_to(tmp_path / "plugins" / secret)
        assert only(read()).error == "pipes/many/a.py is hidden or holds settings: such files are never sent"

    @pytest.mark.parametrize(
        "code",
        [
            "Path(__file__).parent / name",
            "os.path.join(os.path.dirname(__file__), f'{name}.json')",
            "list(Path(__file__).parent.glob('*'))",
            "Path(__file__).with_name(name)",
            "Path(__file__).with_suffix('.json')",
            "os.path.dirname(__file__) + '/' + name",
            "f'{os.path.dirname(__file__)}/{name}.json'",
        ],
    )
    def test_names_made_at_run_time_are_refused(self, code: str, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"{self.HEAD}def f(name):\n    return {code}\n{PIPE}")
        write("pipes/many/a.py", "")
        assert "only known at run time" in only(read()).error

    def test_plugin_of_one_file_may_read_anything(self, write: Write, read: Read) -> None:
        text = (
            f"from pathlib import Path\nx = Path(__file__).parent / '.env'\ny = Path(__file__).parent / str(x)\n{PIPE}"
        )
        write("pipes/many/main.py", text)
        write("pipes/many/.env", "KEY=1")
        parsed = read()
        assert isinstance(parsed, Plugin)
        assert parsed.content == text

    def test_file_that_is_certainly_read_must_exist(self, write: Write, read: Read) -> None:
        write("pipes/many/main.py", f"{self.HEAD}x = res.read_text(__package__, 'x.json')\n{PIPE}")
        write("pipes/many/a.py", "")
        assert only(read()).error == "x.json is not there, so it can't be sent along"


class TestMayReachOthers:
    @pytest.mark.parametrize(
        "text",
        [
            "from . import a",
            "if b:\n\tfrom .a import b",
            "x = 1; from .a import b",
            "try: from .a import b\nexcept ImportError: pass",
            f"if b:\n{' ' * 500}from .a import b",
            "x = 1; \\\nfrom .a import b",
            "\rfrom .a import b",
            "import importlib\nimportlib.import_module('.a', __package__)",
            "__import__('a', level=1)",
            "HERE = __file__",
            "from importlib import resources",
            "import pkgutil as p\np.get_data(__name__, 'x')",
            "import shared",
        ],
    )
    def test_is_true_of_each_way(self, text: str) -> None:
        assert may_reach_others(text, {"shared"})

    @pytest.mark.parametrize(
        "text",
        [
            "# imported from .env",
            "x = 'from . to .'",
            "async def f():\n    yield from .5",
            "resources = get_data()",
            "def import_module(): ...",
        ],
    )
    def test_is_false_of_mere_words(self, text: str) -> None:
        assert not may_reach_others(text, {"shared"})
