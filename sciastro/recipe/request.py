"""What the user asks of a run, and what of it can be checked before any file is read."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from sciastro.errors import OptionError
from sciastro.io.paths import new_folder, output_errors
from sciastro.io.usercatalog import read_user_catalog
from sciastro.recipe.catalogs import EMBEDDED, is_remote
from sciastro.recipe.context import parse_memory
from sciastro.recipe.deepcatalog import DeepCatalog
from sciastro.recipe.kept import keep_grown
from sciastro.recipe.plan import Recipe, load_recipe
from sciastro.recipe.setsolving import SkyHint

__all__ = ["KEEP", "LOG", "UNTIL", "RunRequest"]

UNTIL = ("ingest", "masters", "calibrate", "register", "integrate", "photometry", "render", "report")
LOG = "log.jsonl"
KEEP = ("calibrated", "registered", "xisf")
ADDRESS = re.compile(r"((tcp|tls|ws|wss|ucx)://)?[^/\s]+:\d+/?|inproc://\S+")
"""Of a scheduler: a host and its port; or one within this process."""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What the user asked for.

    Attributes
    ----------
    session, out
        Folder of raw frames; folder for every product.
    recipe
        Options of every step.
    until
        Last stage to run, one of `UNTIL`.
    resume
        Take over the pieces of a stopped run of the same recipe.
    add
        Add the frames of `session` to the stacks that an earlier run left in `out`.
    raw
        "copy" raw pixels to the store, or "link": leave them in the session's files, which must not change
        meanwhile.
    library, library_add
        Folder of finished masters that serve too; whether new masters are copied there.
    catalog, ra, dec, scale
        The user's stars (a file, or the name of a catalog that is fetched), field center [deg], pixel scale
        [arcsec / pixel].
    keep
        Intermediate frames to export: "calibrated", "registered"; "xisf": the products as XISF too.
    memory, workers
        Bound on peak memory, as text; threads (0: one per processor).
    scheduler
        Address of a dask.distributed scheduler whose workers do the work, such as "tcp://host:8786"; empty:
        threads of this process. `memory` then bounds this process and each of the workers.
    """

    session: Path
    out: Path
    recipe: Recipe = field(default_factory=lambda: load_recipe(None, []))
    until: str = "report"
    resume: bool = False
    add: bool = False
    raw: str = "copy"
    library: Path | None = None
    library_add: bool = False
    catalog: Path | str | None = None
    ra: float | None = None
    dec: float | None = None
    scale: float | None = None
    keep: tuple[str, ...] = ()
    memory: str = "2GB"
    workers: int = 0
    scheduler: str = ""

    def check(self) -> None:
        """Check what can be checked before any frame is read.

        Raises
        ------
        OptionError
            For an unknown stage, an impossible place on the sky, an unknown kind of frame to keep, a memory
            that is no size, a scheduler's address that is none, options that need another one, or an output
            folder that is the session, holds it, or holds a stack of several nights that is not added to.
        OutputError
            If the output folder cannot even be looked at.
        """
        with output_errors(self.out):
            self.out.exists()  # even looking may be forbidden
        if self.until not in UNTIL:
            raise OptionError(f"is {self.until!r}.", where="--until", remedy=f"Stages: {', '.join(UNTIL)}.")
        for name in self.keep:
            if name not in KEEP:
                raise OptionError(f"is {name!r}.", where="--keep", remedy=f"Choose from {', '.join(KEEP)}.")
        if (self.ra is None) != (self.dec is None):
            raise OptionError("is given without the other.", where="--ra or --dec", remedy="Give both.")
        if self.ra is not None and not 0 <= self.ra <= 360:
            raise OptionError(f"is {self.ra}.", where="--ra", remedy="Give degrees from 0 to 360.")
        if self.dec is not None and not -90 <= self.dec <= 90:
            raise OptionError(f"is {self.dec}.", where="--dec", remedy="Give degrees from -90 to 90.")
        if self.scale is not None and not 0 < self.scale < 3600:
            raise OptionError(f"is {self.scale}.", where="--scale", remedy="Give arcsec per pixel, above 0.")
        parse_memory(self.memory)
        if self.scheduler and not ADDRESS.fullmatch(self.scheduler):
            raise OptionError(
                f"is {self.scheduler!r}, which is no address.",
                where="--scheduler",
                remedy="Give host and port, such as tcp://host:8786.",
            )
        if self.raw not in ("copy", "link"):
            raise OptionError(f"is {self.raw!r}.", where="--raw", remedy="Choose from copy, link.")
        if self.library_add and self.library is None:
            raise OptionError("is given without --library.", where="--library-add", remedy="Name the folder.")
        if self.add and UNTIL.index(self.until) < UNTIL.index("integrate"):
            raise OptionError(
                f"ends at {self.until}.", where="--add", remedy="Add until integrate, or a later stage."
            )
        if self.out.resolve() in self.session.resolve().parents:
            raise OptionError(
                "holds the session.",
                where="--out",
                remedy="Choose a folder of its own; products must not lie among raw frames.",
            )
        if self.out.resolve() == self.session.resolve():
            raise OptionError(
                "is the session itself.",
                where="--out",
                remedy="Choose another folder; raw frames stay untouched.",
            )
        if not self.add:
            keep_grown(self.out)

    @contextlib.contextmanager
    def new_out(self) -> Iterator[Path]:
        """Yield the output folder, made if need be; one that stays empty goes again if the block fails.

        Raises
        ------
        OptionError
            If the request makes no sense, for instance writes into the session itself.
        OutputError
            If it cannot be written.
        """
        self.check()
        with new_folder(self.out) as out:
            yield out

    @property
    def sky_hint(self) -> SkyHint:
        """The user's word on the field, with the catalog read."""
        place = SkyHint(ra=self.ra, dec=self.dec, scale=self.scale)
        if self.catalog is None or str(self.catalog) == EMBEDDED:
            return place
        if is_remote(str(self.catalog)):
            return replace(place, deep=DeepCatalog(str(self.catalog)))
        return replace(place, catalog=read_user_catalog(self.catalog))
