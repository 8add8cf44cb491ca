"""The commands of ``python -m lolora_core``: arguments in, library calls, tables and files out."""
