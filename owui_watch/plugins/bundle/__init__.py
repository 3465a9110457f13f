"""A plugin of many files: which files it is made of, and the one readable file that is sent for them.

Which files: ``collect`` follows the local imports and the package data from the plugin's own file. ``module`` is what
the text of one file says: ``imports`` (what it imports), ``exports`` (which names it has) and ``data_files`` (what it
reads). ``local_files`` finds these files on disk. ``assemble`` names them in the bundle, and ``requirements`` joins
their requirements.

One file: ``bundle`` makes it and takes it apart again. ``string_literals`` writes each module's source so that a person can
read it, and ``loader`` is the code at the end that makes real modules of them on the server.

Back: ``source_map`` turns a place in the bundle into the author's file and line.
"""
