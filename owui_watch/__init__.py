"""owui-watch: save an Open WebUI plugin, see it live."""

__version__ = "0.1.0"
