"""``python -m runai_perms``: the same as the command ``runai-perms``."""

from runai_perms.cli import main

if __name__ == "__main__":
    main()
