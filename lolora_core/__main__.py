"""``python -m lolora_core`` is the program ``lolora``."""

from lolora_core.commands.main import main

if __name__ == "__main__":
    main()
