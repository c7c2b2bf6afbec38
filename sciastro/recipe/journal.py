"""What a killed run leaves for `--resume`: one small file per finished piece, renamed into place.

A piece is valid only for the inputs and options it was made from; a fingerprint in ``state.json``
says which. A changed fingerprint empties the journal, so that `--resume` can never mix two recipes.
"""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Journal", "fingerprint"]


def fingerprint(*parts: object) -> str:
    """Return a digest of JSON-able `parts`."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


class Journal:
    """Finished pieces of one run, by name.

    Parameters
    ----------
    folder
        Where the pieces lie.
    mark
        Fingerprint of inputs and options.
    resume
        Keep the pieces of an earlier run with the same fingerprint.
    """

    def __init__(self, folder: Path, mark: str, *, resume: bool) -> None:
        self.folder = folder
        self.resumed = resume and self._mark_on_disk() == mark
        if not self.resumed:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        self._replace(folder / "state.json", json.dumps({"mark": mark}).encode())

    def _mark_on_disk(self) -> str | None:
        try:
            return str(json.loads((self.folder / "state.json").read_text())["mark"])
        except (OSError, ValueError, KeyError):
            return None

    def has(self, name: str) -> bool:
        """Return whether the piece `name` is finished."""
        return (self.folder / f"{name}.npz").exists()

    def load(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Return arrays and facts of a finished piece, None where there is none that can be read."""
        try:
            with np.load(self.folder / f"{name}.npz", allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files if key != "facts"}
                return arrays, json.loads(str(file["facts"]))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None

    def save(self, name: str, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Keep a piece; a crash meanwhile leaves nothing or all of it."""
        path = self.folder / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        with temporary.open("wb") as out:
            np.savez(out, allow_pickle=False, facts=np.array(json.dumps(dict(facts))), **dict(arrays))
        temporary.replace(path)

    def close(self) -> None:
        """Forget everything: the run has ended well."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _replace(path: Path, content: bytes) -> None:
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_bytes(content)
        temporary.replace(path)
