"""``python -m runai_emulator`` is the same command as ``runai-emulator``."""

from .cli import main

main()
