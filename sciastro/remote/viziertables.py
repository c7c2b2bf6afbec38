"""The catalogs of VizieR that sciastro knows, as data: tables, columns, units, cuts, terms, whom to cite.

Reads nothing; writes `TABLES`. Column names, units and meanings are those of the ReadMe of each catalog at
the CDS (https://cdsarc.cds.unistra.fr/viz-bin/cat/<catalog>); the unit of every column is checked again
against what each answer says. APASS DR10 is in `remote.apass`: VizieR has none after DR9 (II/336).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["TABLES", "VizierTable"]

CDS = "VizieR (CDS, Strasbourg): free for research, with the catalog and VizieR cited"
VIZIER = "Ochsenbein, Bauer & Marcout 2000, A&AS 143, 23 (VizieR)"


@dataclass(frozen=True, slots=True, kw_only=True)
class VizierTable:
    """One catalog of VizieR.

    Attributes
    ----------
    name, title, license, citation, band, system, order
        As in `columns.Source`.
    table
        VizieR's name of the table.
    position
        Columns of right ascension and declination [deg].
    prefix, number
        A star's name is `prefix` and the values of these columns, joined by hyphens; without any, its place.
    columns
        Our column -> VizieR's, of those that need no arithmetic.
    units
        Unit that each VizieR column must convert to ("*": anything). All of these must be in the answer, but
        for errors (``e_...``) and dates, whose absence makes values unknown and no others wrong.
    magnitudes
        Band -> VizieR's columns of magnitude and error (None: there is none).
    cuts
        Rows that are asked for: VizieR's column -> its condition. Said in the documentation of each.
    faint
        VizieR's column that `Depth.faintest` counts in.
    like
        Gaia magnitude down to which the sky has about as many stars as this catalog has.
    epoch
        Julian year of the positions; None where each has its own, or none is known.
    """

    name: str
    title: str
    table: str
    band: str
    system: str
    order: int
    citation: str
    position: tuple[str, str]
    units: Mapping[str, str]
    faint: str
    like: float
    magnitudes: Mapping[str, tuple[str, str | None]]
    license: str = CDS
    epoch: float | None = None
    prefix: str = ""
    number: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    cuts: Mapping[str, str] = field(default_factory=dict)
    version: int = 1

    @property
    def needed(self) -> dict[str, str]:
        """The columns without which an answer is none."""
        return {name: unit for name, unit in self.units.items() if not _can_lack(name)}

    @property
    def welcome(self) -> dict[str, str]:
        """The columns that may be missing."""
        return {name: unit for name, unit in self.units.items() if _can_lack(name)}


def _can_lack(name: str) -> bool:
    return name.startswith("e_") or name in {"EpRAm", "EpDEm", "Epoch", "ObsDate"}


def _mags(*pairs: tuple[str, str | None]) -> dict[str, str]:
    return {name: "mag" for pair in pairs for name in pair if name}


_DEG = "deg"
_TYCHO = {"BT": ("BTmag", "e_BTmag"), "VT": ("VTmag", "e_VTmag")}
_APASS = {
    "B": ("Bmag", "e_Bmag"), "V": ("Vmag", "e_Vmag"),
    "g": ("g'mag", "e_g'mag"), "r": ("r'mag", "e_r'mag"), "i": ("i'mag", "e_i'mag"),
}  # fmt: skip
_REFCAT = {
    "g": ("gmag", "e_gmag"), "r": ("rmag", "e_rmag"), "i": ("imag", "e_imag"), "z": ("zmag", "e_zmag"),
    "G": ("Gmag", "e_Gmag"), "BP": ("BPmag", "e_BPmag"), "RP": ("RPmag", "e_RPmag"),
    "J": ("Jmag", "e_Jmag"), "H": ("Hmag", "e_Hmag"), "K": ("Kmag", "e_Kmag"),
}  # fmt: skip
_PS1 = {band: (f"{band}mag", f"e_{band}mag") for band in "grizy"}
_SDSS = {band: (f"{band}pmag", f"e_{band}pmag") for band in "ugriz"}  # PSF magnitudes
_STETSON = {band: (f"{band}mag", f"e_{band}mag") for band in "UBVRI"}

_COLORS = ("B-V", "U-B", "V-R", "R-I", "V-I")


def _landolt(name: str, title: str, table: str, citation: str, star: str, form: str = "{}") -> VizierTable:
    """Return a table of Landolt's: V and colors, from which the other bands are worked out."""
    names = [form.format(one) for one in ("Vmag", *_COLORS)]
    return VizierTable(
        name=name,
        title=title,
        table=table,
        band="V",
        system="Johnson V (Johnson-Kron-Cousins UBVRI)",
        order=3,
        citation=citation,
        position=("_RAJ2000", "_DEJ2000"),
        units={
            "_RAJ2000": _DEG, "_DEJ2000": _DEG, star: "*",
            **_mags(*((one, f"e_{one}") for one in names)),
        },
        number=(star,),
        prefix="Landolt ",
        faint=names[0],
        like=9.0,
        magnitudes={"V": (names[0], f"e_{names[0]}")},
    )  # fmt: skip


TABLES: dict[str, VizierTable] = {
    table.name: table
    for table in (
        VizierTable(
            name="tycho2",
            title="Tycho-2 (I/259/tyc2)",
            table="I/259/tyc2",
            band="VT",
            system="Johnson V",
            order=3,
            citation="Hog et al. 2000, A&A 355, L27",
            position=("RAmdeg", "DEmdeg"),
            prefix="TYC ",
            number=("TYC1", "TYC2", "TYC3"),
            columns={"pm_ra_cosdec": "pmRA", "pm_dec": "pmDE", "pm_ra_err": "e_pmRA", "pm_dec_err": "e_pmDE"},
            units={
                "TYC1": "", "TYC2": "", "TYC3": "", "RAmdeg": _DEG, "DEmdeg": _DEG,
                "e_RAmdeg": "mas", "e_DEmdeg": "mas", "EpRAm": "yr", "EpDEm": "yr",
                "pmRA": "mas / yr", "pmDE": "mas / yr", "e_pmRA": "mas / yr", "e_pmDE": "mas / yr",
                **_mags(*_TYCHO.values()),
            },
            faint="VTmag",
            like=12.0,
            magnitudes=_TYCHO,
            epoch=2000.0,
        ),
        VizierTable(
            name="apass-dr9",
            title="APASS DR9 (II/336/apass9)",
            table="II/336/apass9",
            band="V",
            system="Johnson V",
            order=5,
            license=f"{CDS}; funded by the Robert Martin Ayers Sciences Fund and NSF AST-1412587",
            citation="Henden et al. 2016, AAVSO Photometric All-Sky Survey DR9, VizieR II/336",
            position=("RAJ2000", "DEJ2000"),
            prefix="APASS DR9 ",
            number=("recno",),
            columns={"ra_err": "e_RAJ2000", "dec_err": "e_DEJ2000"},
            units={
                "recno": "", "RAJ2000": _DEG, "DEJ2000": _DEG, "e_RAJ2000": "arcsec", "e_DEJ2000": "arcsec",
                **_mags(*_APASS.values()),
            },
            faint="Vmag",
            like=17.0,
            magnitudes=_APASS,
        ),
        VizierTable(
            name="refcat2",
            title="ATLAS-REFCAT2 (J/ApJ/867/105/refcat2)",
            table="J/ApJ/867/105/refcat2",
            band="r",
            system="Johnson V, from g and r (Tonry et al. 2012, table 6)",
            order=7,
            citation="Tonry et al. 2018, ApJ 867, 105",
            position=("RA_ICRS", "DE_ICRS"),
            prefix="REFCAT2 ",
            columns={
                "pm_ra_cosdec": "pmRA", "pm_dec": "pmDE", "pm_ra_err": "e_pmRA", "pm_dec_err": "e_pmDE",
                "parallax": "Plx", "parallax_err": "e_Plx", "g_mag": "Gmag",
            },
            units={
                "RA_ICRS": _DEG, "DE_ICRS": _DEG, "Plx": "mas", "e_Plx": "mas",
                "pmRA": "mas / yr", "e_pmRA": "mas / yr", "pmDE": "mas / yr", "e_pmDE": "mas / yr",
                "dupvar": "", **_mags(*_REFCAT.values()),
            },
            faint="rmag",
            like=19.5,
            magnitudes=_REFCAT,
            cuts={"dupvar": "<4"},  # not a duplicate in Gaia DR2
            epoch=2015.5,
        ),
        VizierTable(
            name="ps1",
            title="Pan-STARRS DR1 (II/349/ps1)",
            table="II/349/ps1",
            band="r",
            system="Johnson V, from g and r (Tonry et al. 2012, table 6)",
            order=7,
            citation="Chambers et al. 2016, arXiv:1612.05560",
            position=("RAJ2000", "DEJ2000"),
            prefix="PS1 ",
            number=("objID",),
            columns={"ra_err": "e_RAJ2000", "dec_err": "e_DEJ2000"},
            units={
                "objID": "*", "RAJ2000": _DEG, "DEJ2000": _DEG, "e_RAJ2000": "arcsec", "e_DEJ2000": "arcsec",
                "Qual": "", "Epoch": "d", **_mags(*_PS1.values()),
            },
            faint="rmag",
            like=21.0,
            magnitudes=_PS1,
            cuts={"Nd": ">2"},  # seen more than twice
        ),
        VizierTable(
            name="sdss16",
            title="SDSS DR16 (V/154/sdss16)",
            table="V/154/sdss16",
            band="r",
            system="Johnson V, from g and r (Lupton 2005)",
            order=7,
            citation="Ahumada et al. 2020, ApJS 249, 3",
            position=("RA_ICRS", "DE_ICRS"),
            prefix="SDSS ",
            number=("objID",),
            columns={"ra_err": "e_RA_ICRS", "dec_err": "e_DE_ICRS"},
            units={
                "objID": "*", "RA_ICRS": _DEG, "DE_ICRS": _DEG, "e_RA_ICRS": "arcsec", "e_DE_ICRS": "arcsec",
                "ObsDate": "yr", **_mags(*_SDSS.values()),
            },
            faint="rpmag",
            like=20.5,
            magnitudes=_SDSS,
            cuts={"mode": "=1", "class": "=6", "clean": "=1"},  # primary, a star, good photometry
        ),
        VizierTable(
            name="stetson",
            title="Stetson's globular clusters (J/MNRAS/485/3042/table4)",
            table="J/MNRAS/485/3042/table4",
            band="V",
            system="Johnson V (Johnson-Kron-Cousins UBVRI)",
            order=6,
            citation="Stetson et al. 2019, MNRAS 485, 3042",
            position=("_RAJ2000", "_DEJ2000"),
            prefix="Stetson ",
            number=("Cluster", "Star"),
            units={
                "_RAJ2000": _DEG, "_DEJ2000": _DEG, "Cluster": "*", "Star": "*", **_mags(*_STETSON.values())
            },
            faint="Vmag",
            like=21.0,
            magnitudes=_STETSON,
            cuts={"e_Vmag": "<0.05"},
        ),
        VizierTable(
            name="vsx",
            title="Variable stars, VSX (B/vsx/vsx)",
            table="B/vsx/vsx",
            band="max",
            system="brightest magnitude, in the passband that VSX has it in",
            order=5,
            license="AAVSO and VizieR (CDS, Strasbourg): free for research, with VSX and VizieR cited",
            citation="Watson, Henden & Price 2006, SASS 25, 47 (VSX)",
            position=("RAJ2000", "DEJ2000"),
            number=("Name",),
            units={"Name": "*", "V": "", "RAJ2000": _DEG, "DEJ2000": _DEG, "max": "mag"},
            faint="max",
            like=13.0,
            magnitudes={"max": ("max", None)},
            cuts={"V": "<2"},  # variable, or suspected to be
        ),
        _landolt(
            "landolt1992", "Landolt's standards 1992 (II/183A/table2)", "II/183A/table2",
            "Landolt 1992, AJ 104, 340", "Star",
        ),
        _landolt(
            "landolt2009", "Landolt's standards 2009 (J/AJ/137/4186/table2)", "J/AJ/137/4186/table2",
            "Landolt 2009, AJ 137, 4186", "Name",
        ),
        _landolt(
            "landolt2013", "Landolt's standards 2013 (J/AJ/146/131/standards)", "J/AJ/146/131/standards",
            "Landolt 2013, AJ 146, 131", "Name", "<{}>",
        ),
    )
}  # fmt: skip
