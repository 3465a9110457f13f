"""Run owui-watch as ``python -m owui_watch``."""

import sys

from owui_watch.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
