"""Execute every notebook in a scratch folder; fail if any cell fails.

    python notebooks/execute.py [NAME ...] [--write]

With --write the executed notebooks (outputs included) replace the sources.
"""

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent


def main() -> int:
    names = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    paths = [HERE / name for name in names] or sorted(HERE.glob("*.ipynb"))
    if not paths:
        print("no notebooks found", file=sys.stderr)
        return 1
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as scratch:
            NotebookClient(notebook, timeout=600, resources={"metadata": {"path": scratch}}).execute()
        print(f"{path.name}: {sum(cell.cell_type == 'code' for cell in notebook.cells)} cells ran")
        if "--write" in sys.argv:
            nbformat.write(notebook, path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
