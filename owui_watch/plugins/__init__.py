"""A file goes in; a plugin that can be sent comes out, or diagnostics, or why the file is no plugin.

No plugin is ever imported or run: everything is found in its text.

One file, in this order: ``model`` (the data that the modules pass on), ``source`` (bytes to text), ``syntax`` (text to
a syntax tree, in bounded time: ``complexity`` has the limits), ``frontmatter`` (the header), ``kinds`` (what makes a file
a plugin), ``checks`` (what is wrong with it), ``not_a_plugin`` (why a file is none), ``content_cache`` (one
parse per content), ``ids`` (path and header to id), ``reader`` (all of that: a file to a plugin).

All files: ``ignore`` (which are never looked at), ``paths`` (the watched folders and files, links), ``index`` (which
file holds which plugin, and is part of which), ``duplicate_files`` (two files that hold one plugin), ``local_modules``
(files that are modules of plugins, and no plugins of their own), ``tree`` (which plugins there are), ``changes`` (what a
save changed).

``bundle`` makes one file of a plugin of many. ``starters`` holds the first plugins that ``owui-watch new`` writes.
"""
