"""Answers of the Gaia archive, in its published forms, from stars of our own: TAP and DataLink (XP spectra).

The forms are those of real answers: VOTable with arrays as BINARY2 (DataLink, ``DATA_STRUCTURE=RAW``, one row
per source; as kept in the tests of GaiaXPy), and what TAP services of the partner data centers send.
"""

import io
import re
import warnings
import zipfile
from dataclasses import dataclass, field

import numpy as np
from astropy.io.votable import from_table, writeto
from astropy.table import Table

GRID = np.arange(336.0, 1020.5, 2.0)


@dataclass
class Archive:
    """Stars and spectra that a server knows.

    `flux` by source (343,) [W / m2 / nm]; `continuous` by source, a mapping of columns; `stars` is a table
    with the columns of ``gaiadr3.gaia_source``.
    """

    flux: dict[int, np.ndarray] = field(default_factory=dict)
    continuous: dict[int, dict] = field(default_factory=dict)
    stars: Table | None = None
    zipped: bool = False

    def datalink(self, asked) -> bytes:
        """Answer a DataLink request: nothing at all where no source has a spectrum, as the archive does."""
        form = asked.form
        assert form["DATA_STRUCTURE"] == "RAW" and form["FORMAT"] == "votable", form
        assert form["RELEASE"] == "Gaia DR3"
        sources = [int(one) for one in form["ID"].split(",")]
        rows = self._rows(form["RETRIEVAL_TYPE"], sources)
        if rows is None:
            return b""
        content = votable(rows, "binary2")
        if not self.zipped:
            return content
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bundle:
            bundle.writestr(f"{form['RETRIEVAL_TYPE']}_RAW.xml", content)
        return packed.getvalue()

    def tap(self, asked) -> bytes:
        """Answer a TAP query: which spectra there are, spectra, or the stars of a cone (all of them)."""
        query = asked.form["QUERY"]
        ids = re.search(r"source_id IN \(([^)]*)\)", query)
        sources = [int(one) for one in ids[1].split(",")] if ids else []
        if "has_xp" in query:
            known = [one for one in sources if self.stars is None or one in set(self.stars["source_id"])]
            table = Table({"source_id": np.array(known, dtype=np.int64)})
            table["has_xp_sampled"] = [one in self.flux for one in known]
            table["has_xp_continuous"] = [one in self.flux or one in self.continuous for one in known]
            return votable(table)
        if "mean_spectrum" in query:
            kind = "XP_SAMPLED" if "xp_sampled" in query else "XP_CONTINUOUS"
            rows = self._rows(kind, sources)
            return votable(rows if rows is not None else self._empty())
        return votable(self.cone(query))

    def cone(self, query: str) -> Table:
        """Return the stars of a cone, down to the magnitude that the query names."""
        ra, dec, radius = (float(one) for one in re.search(r"CIRCLE\('ICRS', ([^)]*)\)", query)[1].split(","))
        faintest = re.search(r"phot_g_mean_mag <= ([0-9.]+)", query)
        east = ((self.stars["ra"] - ra + 180) % 360 - 180) * np.cos(np.radians(dec))
        inside = np.hypot(east, self.stars["dec"] - dec) < radius
        return self.stars[
            inside & (self.stars["phot_g_mean_mag"] <= (float(faintest[1]) if faintest else 99))
        ]

    def _empty(self) -> Table:
        zero = np.zeros((0, len(GRID)), np.float32)
        return Table({"source_id": np.zeros(0, np.int64), "flux": zero, "flux_error": zero})

    def _rows(self, kind: str, sources: list[int]) -> Table | None:
        if kind == "XP_CONTINUOUS":
            there = [one for one in sources if one in self.continuous]
            rows = [self.continuous[one] for one in there]
            names = rows[0] if rows else ()
            return Table({name: [row[name] for row in rows] for name in names}) if rows else None
        there = [one for one in sources if one in self.flux]
        if not there:
            return None
        flux = np.array([self.flux[one] for one in there], dtype=np.float32)
        return Table(
            {
                "source_id": np.array(there, dtype=np.int64),
                "solution_id": np.full(len(there), 4545469030156206081, dtype=np.int64),
                "flux": flux,
                "flux_error": np.abs(flux) / 200,
            }
        )


def serve(server, archive: Archive) -> tuple[str, str]:
    """Let a `FaultyServer` speak for an archive; return the addresses of DataLink and TAP."""
    from faulty import Fault

    base = server.url("/tap/async")
    server.say("/tap/async", Fault(b"", status=303, headers={"Location": f"{base}/j1"}))
    server.say("/tap/async/j1", Fault(b"", status=303, headers={"Location": base}))
    done = Fault(b"COMPLETED", type="text/plain")
    server.say("/tap/async/j1/phase", Fault(b"", status=303), done)
    server.say("/tap/async/j1/results/result", Fault(lambda _: archive.tap(_created(server))))
    return server.say("/data", Fault(archive.datalink)), server.say("/tap", Fault(archive.tap)).rstrip("/")


def _created(server):
    return [one for one in server.asked if one.path == "/tap/async"][-1]


def votable(table: Table, form: str = "tabledata") -> bytes:
    """Return a VOTable as an archive sends it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        document = from_table(table)
        document.resources[0].type = "results"
        out = io.BytesIO()
        writeto(document, out, tabledata_format=form)
    text = out.getvalue()
    status = b'<RESOURCE type="results">\n<INFO name="QUERY_STATUS" value="OK"/>'
    assert b'<RESOURCE type="results">' in text
    return text.replace(b'<RESOURCE type="results">', status, 1)


def gaia_stars(source, ra, dec, g, bp_rp) -> Table:
    """Return rows of ``gaiadr3.gaia_source``."""
    n = len(source)
    return Table(
        {
            "source_id": np.asarray(source, dtype=np.int64), "ra": np.asarray(ra, float),
            "dec": np.asarray(dec, float), "ref_epoch": np.full(n, 2016.0), "pmra": np.zeros(n),
            "pmdec": np.zeros(n), "parallax": np.ones(n), "phot_g_mean_mag": np.asarray(g, float),
            "phot_bp_mean_mag": np.asarray(g, float) + 0.6 * np.asarray(bp_rp, float),
            "phot_rp_mean_mag": np.asarray(g, float) - 0.4 * np.asarray(bp_rp, float),
            "ra_error": np.full(n, 0.02), "dec_error": np.full(n, 0.02), "pmra_error": np.full(n, 0.02),
            "pmdec_error": np.full(n, 0.02), "parallax_error": np.full(n, 0.02),
            "phot_g_mean_flux_over_error": np.full(n, 2000.0),
            "phot_bp_mean_flux_over_error": np.full(n, 500.0),
            "phot_rp_mean_flux_over_error": np.full(n, 500.0),
        }
    )  # fmt: skip
