"""The loader at the end of a bundle, as text: it makes real modules of the files that stand above it.

It runs inside Open WebUI (0.6.5 and newer, Python 3.11 and newer) and is written to be read there: only the standard
library, no types.

- ``PACKAGE`` holds the plugin's id and a digest of its files, computed there: an edit in the browser counts. So the
  modules of two plugins, or of two versions of one plugin, never meet. A content that is loaded again while it is still
  in use gets an ``x`` behind the digest, and modules of its own.
- One ``OwuiWatchModules`` serves all bundles of a process. It holds the versions weakly: a version that a request still
  runs can import its modules late, and is freed afterwards.
- A module is compiled under its author's path, and ``linecache`` gets its lines, so tracebacks name both.
- The plugin's class is imported last. After that the other versions leave ``sys.modules``; if loading fails, this one
  leaves. A version that imports something at that moment stays until the next load: importlib looks a module's packages
  up in ``sys.modules`` before and after it runs the module, and raises KeyError if one is gone (CPython 3.11 to 3.14).
  So the modules' own ``__import__`` keeps account of the imports that are under way.
"""

from __future__ import annotations

_IMPORTS = {"builtins", "hashlib", "importlib.machinery", "io", "linecache", "sys", "threading", "weakref"}
_IMPORTS_FOR_CALLS = {"functools", "importlib", "types"}
_IMPORTS_FOR_DATA = {"importlib.readers", "os", "pathlib", "shutil", "tempfile", "types"}

_PACKAGE = """
PACKAGE = f"{PLUGIN}_{hashlib.sha256(repr(FILES).encode()).hexdigest()[:10]}"
"""

_FINDER = '''

class OwuiWatchModules:
    """Finds the modules of every plugin that ends with this loader, for as long as a version of it is in use."""

    versions, lock = weakref.WeakValueDictionary(), threading.RLock()

    def find_spec(self, name, path=None, target=None):
        return (version := self.versions.get(name.partition(".")[0])) and version.find(name)


class Version:
    """Loads the modules of this plugin, each of them once."""

    plugin, loaded, imports = PLUGIN, {}, []

    def __enter__(self):
        """Begin an import: until it ends, this version stays in sys.modules."""
        with finder.lock:
            self.imports.append(1)

    def __exit__(self, *error):
        self.imports.pop()
'''

_DATA_FILES = """
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix=f"{PACKAGE}_")
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        for path, text in FILES.items():
            place = pathlib.Path(self.folder, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text.encode())

    def place(self, path):
        return os.path.join(self.folder, path)

    def get_resource_reader(self, name):
        path = self.place(MODULES[name.partition(".")[2]])
        return importlib.readers.FileReader(types.SimpleNamespace(path=path))

    def get_data(self, path):
        return pathlib.Path(path).read_bytes()
"""

_FIND = """
    def find(self, name):
        if (path := MODULES.get(name.partition(".")[2])) is not None:
            return importlib.machinery.ModuleSpec(name, self, origin=PLACE, is_package=path.endswith("__init__.py"))
"""

_LOAD = """
    def create_module(self, spec):
        return self.loaded.get(spec.name)

    def exec_module(self, module):
        if (path := MODULES.get(module.__name__.partition(".")[2])) in FILES and module.__name__ not in self.loaded:
            linecache.cache[path] = 0, None, io.StringIO(FILES[path], newline=None).readlines(), path
            vars(module).update(__file__=PLACE, __builtins__=vars(builtins) | {"__import__": import_})
            exec(compile(FILES[path], path, "exec", dont_inherit=True), module.__dict__)
        self.loaded[module.__name__] = module
"""

_MEANING = '''

def meaning(name):
    """Return the module that an absolute name stands for in the modules above."""
    top, dot, rest = name.partition(".")
    return LIBRARIES[top].format(PACKAGE=PACKAGE) + dot + rest if top in LIBRARIES else name
'''

_IMPORT = '''

def import_(name, globals=None, locals=None, fromlist=(), level=0):
    """Import for the modules above."""
    with version:
        return __import__(name, globals, locals, fromlist, level)
'''

_IMPORT_FROM_LIBRARIES = '''

def import_(name, globals=None, locals=None, fromlist=(), level=0):
    """Import for the modules above: to them a name in LIBRARIES means another module than to the server."""
    with version:
        if level or meaning(name) == name:
            OTHERS
        module = __import__(meaning(name), globals, locals, fromlist)
        return module if fromlist else sys.modules[meaning(name.partition(".")[0])]
'''

_OTHERS = "return __import__(name, globals, locals, fromlist, level)"
_OTHERS_BY_CALL = """module = __import__(name, globals, locals, fromlist, level)
            return IMPORTLIB if module is importlib else module"""

_IMPORT_BY_CALL = '''

def import_module(name, package=None):
    """Do what importlib.import_module does, for the modules above: their importlib has this function."""
    with version:
        return importlib.import_module(meaning(name), package and meaning(package))


IMPORTLIB = types.ModuleType("importlib")
IMPORTLIB.import_module = import_module
IMPORTLIB.__getattr__ = functools.partial(getattr, importlib)
'''

_RUN = """

finder = next((each for each in sys.meta_path if type(each).__name__ == "OwuiWatchModules"), None)
if finder is None:
    sys.meta_path.append(finder := OwuiWatchModules())
with finder.lock:
    while finder.versions.setdefault(PACKAGE, version := Version()) is not version:
        PACKAGE += "x"
try:
    CLASS = import_(f"{PACKAGE}.ENTRY", fromlist=["CLASS"]).CLASS
finally:
    with finder.lock:
        outdated = lambda each: each.plugin == PLUGIN and (each is version) != ("CLASS" in globals()) and not each.imports
        for name in [name for each in finder.versions.values() if outdated(each) for name in list(each.loaded)]:
            sys.modules.pop(name, None)
"""


def loader(class_name: str, entry: str, *, libraries: bool, calls: bool, data: bool) -> str:
    """Return the loader of a bundle whose plugin is class ``class_name`` of module ``entry``.

    ``libraries``: the bundle has a ``LIBRARIES`` table, and ``calls``: its modules also import by a call of
    ``importlib.import_module``. ``data``: it carries files that its modules read, which the loader then writes to a
    temporary folder.
    """
    imports = _IMPORTS | (_IMPORTS_FOR_CALLS if calls else set()) | (_IMPORTS_FOR_DATA if data else set())
    parts = [
        f"import {', '.join(sorted(imports))}\n",
        _PACKAGE,
        _FINDER,
        _DATA_FILES if data else "",
        _FIND,
        _LOAD,
        _MEANING if libraries else "",
        (_IMPORT_FROM_LIBRARIES if libraries else _IMPORT).replace("OTHERS", _OTHERS_BY_CALL if calls else _OTHERS),
        _IMPORT_BY_CALL if calls else "",
        _RUN.replace("CLASS", class_name).replace("ENTRY", entry),
    ]
    return "".join(parts).replace("PLACE", "self.place(path)" if data else "path")
