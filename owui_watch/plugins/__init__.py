"""A file's bytes go in; a plugin that can be sent comes out, or diagnostics, or why the file is no plugin.

No plugin is ever imported or run: everything is found in its text.

Read in this order: ``model`` (the data), ``source`` (bytes to text), ``syntax`` (text to a syntax tree, in bounded
time), ``frontmatter`` (the header), ``kinds`` (what makes a file a plugin), ``checks`` (what is wrong with it, once per
content), ``ids`` (path and header to id), ``parsing`` (bytes to plugin). Then the files: ``ignore``
and ``copies`` (which are passed over), ``layout`` (where they are), ``reading`` (path to plugin), ``tree`` (which
plugins there are), ``changes`` (what a save changed).

``bundle`` is for plugins of many files; ``dependencies`` finds the plugins that a file is part of. ``starters`` holds
the first plugins that ``owui-watch new`` writes.
"""
