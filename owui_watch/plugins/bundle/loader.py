"""The loader at the end of a bundle, as text: it makes real modules of the files that stand above it.

It runs inside Open WebUI (0.6.5 and newer, Python 3.11 and newer) and is written to be read there: only the standard
library, no types.

- ``PACKAGE`` holds the plugin's id and a digest of its files, computed there: an edit in the browser counts. So the
  modules of two plugins, or of two versions of one plugin, never meet. A content that is loaded again while it is still
  in use gets an ``x`` behind the digest, and modules of its own.
- One ``OwuiWatchFinder`` serves all bundles of a process. It holds the versions weakly: a version that a request still
  runs can import its modules late, and is freed afterwards.
- A module is compiled under its author's path, and ``linecache`` gets its lines, so tracebacks name both.
- The plugin's class is imported last. After that the other versions leave ``sys.modules``; if loading fails, this one
  leaves. What another thread is loading or importing stays: importlib expects it there.
"""

from __future__ import annotations

_IMPORTS = {"hashlib", "importlib.machinery", "io", "linecache", "sys", "weakref"}
_IMPORTS_FOR_LIBRARIES = {"builtins"}
_IMPORTS_FOR_DATA = {"importlib.readers", "os", "pathlib", "shutil", "tempfile", "types"}

_PACKAGE = """
PACKAGE = f"{PLUGIN}_{hashlib.sha256(repr(FILES).encode()).hexdigest()[:10]}"
"""

_LIBRARIES = '''

def import_(name, globals=None, locals=None, fromlist=(), level=0):
    """Import for the modules above: to them a name in LIBRARIES means another module than to the server."""
    top, dot, rest = name.partition(".")
    if level or top not in LIBRARIES:
        return __import__(name, globals, locals, fromlist, level)
    library = LIBRARIES[top].format(PACKAGE=PACKAGE)
    module = __import__(library + dot + rest, globals, locals, fromlist)
    return module if fromlist else sys.modules[library]
'''

_FINDER = '''

class OwuiWatchFinder:
    """Finds the modules of every plugin that ends with this loader, for as long as a version of it is in use."""

    versions = weakref.WeakValueDictionary()

    def find_spec(self, name, path=None, target=None):
        version = self.versions.get(name.partition(".")[0])
        return version and version.find(name)


class Version:
    """Loads the modules of this plugin, each of them once."""

    loaded = {}
    ready = False
'''

_DATA_FILES = """
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix=f"{PACKAGE}_")
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        for path, text in FILES.items():
            place = pathlib.Path(self.folder, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text.encode())

    def get_resource_reader(self, name):
        path = MODULES[name.partition(".")[2]]
        return importlib.readers.FileReader(types.SimpleNamespace(path=os.path.join(self.folder, path)))

    def get_data(self, path):
        return pathlib.Path(path).read_bytes()
"""

_FIND = """
    def find(self, name):
        path = MODULES.get(name.partition(".")[2])
        if path is not None:
            spec = importlib.machinery.ModuleSpec(name, self, origin=path, is_package=path.endswith("__init__.py"))
            spec.has_location = path in FILES
            return spec
"""

_FIND_WITH_DATA = """
    def find(self, name):
        path = MODULES.get(name.partition(".")[2])
        if path is not None:
            place = os.path.join(self.folder, path)
            spec = importlib.machinery.ModuleSpec(name, self, origin=place, is_package=path.endswith("__init__.py"))
            spec.has_location = path in FILES
            return spec
"""

_LOAD = """
    def create_module(self, spec):
        return self.loaded.get(spec.name)

    def exec_module(self, module):
        path = MODULES.get(module.__name__.partition(".")[2])
        if path in FILES and module.__name__ not in self.loaded:
            linecache.cache[path] = 0, None, io.StringIO(FILES[path], newline=None).readlines(), path
"""

_BUILTINS = """\
            module.__builtins__ = {**vars(builtins), "__import__": import_}
"""

_RUN = """\
            exec(compile(FILES[path], path, "exec", dont_inherit=True), module.__dict__)
        self.loaded[module.__name__] = module


finder = next((each for each in sys.meta_path if type(each).__name__ == "OwuiWatchFinder"), None)
if finder is None:
    sys.meta_path.append(finder := OwuiWatchFinder())
version = Version()
while finder.versions.setdefault(PACKAGE, version) is not version:
    PACKAGE += "x"
try:
    CLASS = importlib.import_module(f"{PACKAGE}.ENTRY").CLASS
finally:
    version.ready = True
    for name, module in sys.modules.copy().items():
        package = name.partition(".")[0]
        outdated = package.rpartition("_")[0] == PLUGIN and (package == PACKAGE) != ("CLASS" in globals())
        ready = getattr(finder.versions.get(package), "ready", True)
        if outdated and ready and not getattr(getattr(module, "__spec__", None), "_initializing", False):
            sys.modules.pop(name, None)
"""


def loader(class_name: str, entry: str, *, libraries: bool, data: bool) -> str:
    """Return the loader of a bundle whose plugin is class ``class_name`` of module ``entry``.

    ``libraries``: the bundle has a ``LIBRARIES`` table; ``data``: it carries files that its modules read, which the
    loader then writes to a temporary folder.
    """
    imports = _IMPORTS | (_IMPORTS_FOR_LIBRARIES if libraries else set()) | (_IMPORTS_FOR_DATA if data else set())
    parts = [
        f"import {', '.join(sorted(imports))}\n",
        _PACKAGE,
        _LIBRARIES if libraries else "",
        _FINDER,
        _DATA_FILES if data else "",
        _FIND_WITH_DATA if data else _FIND,
        _LOAD,
        _BUILTINS if libraries else "",
        _RUN.replace("CLASS", class_name).replace("ENTRY", entry),
    ]
    return "".join(parts)
