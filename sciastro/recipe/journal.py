"""What a killed run leaves for `--resume`: one small file per finished piece, renamed into place.

A piece is valid only for the inputs and options it was made from; a fingerprint in ``state.json``
says which. A changed fingerprint empties the journal, so that `--resume` can never mix two recipes.
"""

import contextlib
import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sciastro.io.paths import output_errors

__all__ = ["Journal", "fingerprint", "state_of"]


def fingerprint(*parts: object) -> str:
    """Return a digest of JSON-able `parts`."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def state_of(folder: Path) -> dict[str, Any]:
    """Return what the run before has noted of itself in the journal at `folder`; empty where nothing is."""
    try:
        state = json.loads((folder / "state.json").read_text())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) and "mark" in state else {}


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
    stale
        How the names of pieces begin that are dropped all the same.
    noted
        What else of this run `state_of` shall tell the next one; JSON-able.
    """

    def __init__(
        self,
        folder: Path,
        mark: str,
        *,
        resume: bool,
        stale: str = "",
        noted: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.resumed = resume and state_of(folder).get("mark") == mark
        if not self.resumed:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            for path in folder.glob(".*.new"):  # half-written when the run before was killed
                path.unlink()
            for path in folder.glob(f"{stale}*.npz") if stale else ():
                path.unlink()
        with _replacing(folder / "state.json") as temporary:
            temporary.write_text(json.dumps({**(noted or {}), "mark": mark}, default=str))

    def has(self, name: str) -> bool:
        """Return whether the piece `name` is finished."""
        return (self.folder / f"{name}.npz").exists()

    def load(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Return arrays and facts of a finished piece, None where there is none that can be read."""
        try:
            with np.load(self.folder / f"{name}.npz", allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files if key != "facts"}
                return arrays, json.loads(str(file["facts"]))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):  # it is made again
            return None

    def save(self, name: str, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Keep a piece; a crash meanwhile leaves nothing or all of it.

        Raises
        ------
        OutputError
            If the disk is full or cannot be written to.
        """
        path = self.folder / f"{name}.npz"
        with _replacing(path) as temporary, temporary.open("wb") as out:
            np.savez(out, allow_pickle=False, facts=np.array(json.dumps(dict(facts))), **dict(arrays))

    def close(self) -> None:
        """Forget everything: the run has ended well."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` and rename it when the block ends well.

    Unlike `io.paths.atomic_path` it does not wait for the disk: a piece lost to a power cut is made again.
    """
    temporary = path.with_name(f".{path.name}.new")
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
