"""``python -m sciastro``: the command line."""

from sciastro.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
