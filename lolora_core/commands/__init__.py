"""The commands of ``lolora``: arguments in, library calls, tables and files out.

The library is imported inside the commands: torch takes seconds to load, and ``lolora --help``
should not wait for it.
"""
