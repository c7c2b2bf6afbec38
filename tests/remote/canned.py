"""Answers as VizieR writes them: the columns, types and units of each catalog's ReadMe, with made-up stars.

The frame is that of real answers (VOTable 1.4 of VizieR 7); an empty result has a table without DATA.
"""

from collections.abc import Sequence
from html import escape

Cell = float | int | str | None

# name -> (datatype, unit); "*" is text. As in the byte-by-byte descriptions at the CDS.
FIELDS: dict[str, dict[str, tuple[str, str]]] = {
    "I/259/tyc2": {
        "TYC1": ("short", ""), "TYC2": ("short", ""), "TYC3": ("unsignedByte", ""),
        "RAmdeg": ("double", "deg"), "DEmdeg": ("double", "deg"),
        "e_RAmdeg": ("short", "mas"), "e_DEmdeg": ("short", "mas"),
        "EpRAm": ("float", "yr"), "EpDEm": ("float", "yr"),
        "pmRA": ("float", "mas/yr"), "pmDE": ("float", "mas/yr"),
        "e_pmRA": ("float", "mas/yr"), "e_pmDE": ("float", "mas/yr"),
        "BTmag": ("float", "mag"), "e_BTmag": ("float", "mag"),
        "VTmag": ("float", "mag"), "e_VTmag": ("float", "mag"),
    },
    "II/336/apass9": {
        "recno": ("int", ""), "RAJ2000": ("double", "deg"), "DEJ2000": ("double", "deg"),
        "e_RAJ2000": ("float", "arcsec"), "e_DEJ2000": ("float", "arcsec"),
        "Bmag": ("float", "mag"), "e_Bmag": ("float", "mag"),
        "Vmag": ("float", "mag"), "e_Vmag": ("float", "mag"),
        "g'mag": ("float", "mag"), "e_g'mag": ("float", "mag"), "r'mag": ("float", "mag"),
        "e_r'mag": ("float", "mag"), "i'mag": ("float", "mag"), "e_i'mag": ("float", "mag"),
    },
    "J/ApJ/867/105/refcat2": {
        "RA_ICRS": ("double", "deg"), "DE_ICRS": ("double", "deg"), "Plx": ("double", "mas"),
        "e_Plx": ("double", "mas"), "pmRA": ("double", "mas/yr"), "e_pmRA": ("double", "mas/yr"),
        "pmDE": ("double", "mas/yr"), "e_pmDE": ("double", "mas/yr"), "dupvar": ("short", ""),
        **{name: ("float", "mag") for band in ("g", "r", "i", "z", "G", "BP", "RP", "J", "H", "K")
           for name in (f"{band}mag", f"e_{band}mag")},
    },
    "II/349/ps1": {
        "objID": ("long", ""), "RAJ2000": ("double", "deg"), "DEJ2000": ("double", "deg"),
        "e_RAJ2000": ("float", "arcsec"), "e_DEJ2000": ("float", "arcsec"), "Qual": ("unsignedByte", ""),
        "Epoch": ("double", "d"),
        **{name: ("float", "mag") for band in "grizy" for name in (f"{band}mag", f"e_{band}mag")},
    },
    "V/154/sdss16": {
        "objID": ("long", ""), "RA_ICRS": ("double", "deg"), "DE_ICRS": ("double", "deg"),
        "e_RA_ICRS": ("float", "arcsec"), "e_DE_ICRS": ("float", "arcsec"), "ObsDate": ("double", "yr"),
        **{name: ("float", "mag") for band in "ugriz" for name in (f"{band}pmag", f"e_{band}pmag")},
    },
    "J/MNRAS/485/3042/table4": {
        "Cluster": ("*", ""), "Star": ("*", ""),
        **{name: ("float", "mag") for band in "UBVRI" for name in (f"{band}mag", f"e_{band}mag")},
        "_RAJ2000": ("double", "deg"), "_DEJ2000": ("double", "deg"),
    },
    "B/vsx/vsx": {
        "OID": ("int", ""), "Name": ("*", ""), "V": ("unsignedByte", ""), "Type": ("*", ""),
        "l_max": ("*", ""), "max": ("float", "mag"), "n_max": ("*", ""),
        "f_min": ("*", ""), "l_min": ("*", ""), "min": ("float", "mag"), "n_min": ("*", ""),
        "Epoch": ("double", "d"), "l_Period": ("*", ""), "Period": ("double", "d"), "Sp": ("*", ""),
        "RAJ2000": ("double", "deg"), "DEJ2000": ("double", "deg"),
    },
}  # fmt: skip
for _table, _star, _form in (
    ("II/183A/table2", "Star", "{}"),
    ("J/AJ/137/4186/table2", "Name", "{}"),
    ("J/AJ/146/131/standards", "Name", "<{}>"),
):
    FIELDS[_table] = {
        _star: ("*", ""),
        **{
            name: ("float", "mag")
            for one in ("Vmag", "B-V", "U-B", "V-R", "R-I", "V-I")
            for name in (_form.format(one), f"e_{_form.format(one)}")
        },
        "_RAJ2000": ("double", "deg"),
        "_DEJ2000": ("double", "deg"),
    }

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<VOTABLE version="1.4" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xmlns="http://www.ivoa.net/xml/VOTable/v1.3"
  xsi:schemaLocation="http://www.ivoa.net/xml/VOTable/v1.3 http://www.ivoa.net/xml/VOTable/v1.3">
 <DESCRIPTION>
   VizieR Astronomical Server vizier.cds.unistra.fr
    Date: 2026-07-05T21:24:43 [V7.5.6]
   Explanations and Statistics of UCDs:\t\t\tSee LINK below
   In case of problem, please report to:\tcds-question@unistra.fr
 </DESCRIPTION>
<!-- VOTable description at http://www.ivoa.net/Documents/latest/VOT.html -->
<INFO ID="VERSION" name="votable-version" value="1.99+ (14-Oct-2013)"/>
<INFO ID="Ref" name="-ref" value="VIZ6a1b2c3d4e5f"/>
<INFO name="MaxTuples" value="2000000" />
<INFO name="queryParameters" value="2">
-oc.form=D.
-source={table}
</INFO>

<RESOURCE ID="yCat_{ident}" name="{catalog}" type="results">
  <DESCRIPTION>Made-up stars</DESCRIPTION>
  <COOSYS ID="H_2000.000" system="ICRS" epoch="2000.000"/>
"""


def vizier(
    table: str,
    rows: Sequence[Sequence[Cell]] | None,
    *,
    overflow: bool = False,
    matches: int | None = None,
    units: dict[str, str] | None = None,
) -> bytes:
    """Return an answer with these rows (None in a cell is null; None for all: no star was found)."""
    catalog = table.rpartition("/")[0]
    ident = "".join(c for c in catalog if c.isalnum())
    lines = [HEAD.format(table=escape(table), ident=ident, catalog=escape(catalog))]
    lines.append(f'  <TABLE ID="{table.replace("/", "_")}" name="{table}">\n')
    for name, (kind, usual) in FIELDS[table].items():
        text = kind == "*"
        unit = (units or {}).get(name, usual)
        lines.append(
            f'    <FIELD name="{escape(name)}" ucd="meta.note" datatype="{"char" if text else kind}"'
            + (' arraysize="12*"' if text else "")
            + (f' unit="{unit}"' if unit else "")
            + ">\n      <DESCRIPTION>?</DESCRIPTION>\n"
            + ('      <VALUES null="NaN" />\n' if kind in {"float", "double"} else "")
            + ('      <VALUES null="-32768" />\n' if kind == "short" else "")
            + "    </FIELD>\n"
        )
    if rows is None:
        lines.append("\n<!--  EMPTY result, no DATA part  -->\n")
    else:
        lines.append("<DATA><TABLEDATA>\n")
        lines += [f"<TR>{''.join(f'<TD>{_cell(c)}</TD>' for c in row)}</TR>\n" for row in rows]
        lines.append("</TABLEDATA></DATA>\n")
    lines.append("</TABLE>\n")
    count = len(rows or ()) if matches is None else matches
    lines.append(f'<INFO name="matches" value="{count}">matching records</INFO>\n')
    if overflow:
        lines.append('<INFO name="QUERY_STATUS" value="OVERFLOW">truncated result (maximum rows)</INFO>\n')
    lines.append("</RESOURCE>\n</VOTABLE>\n")
    return "".join(lines).encode()


def _cell(value: Cell) -> str:
    return "" if value is None else escape(str(value))


# SIMBAD's table `basic`, as its TAP_SCHEMA describes it.
BASIC: dict[str, tuple[str, str]] = {
    "main_id": ("*", ""),
    "ra": ("double", "deg"),
    "dec": ("double", "deg"),
    "pmra": ("double", "mas.yr-1"),
    "pmdec": ("double", "mas.yr-1"),
    "plx_value": ("double", "mas"),
    "rvz_radvel": ("double", "km.s-1"),
    "otype": ("*", ""),
    "galdim_majaxis": ("float", "arcmin"),
}


def simbad(rows: Sequence[Sequence[Cell]]) -> bytes:
    """Return an answer of SIMBAD's TAP service."""
    return table_of(BASIC, rows)


def table_of(
    columns: dict[str, tuple[str, str]], rows: Sequence[Sequence[Cell]], *, overflow: bool = False
) -> bytes:
    """Return an answer of a TAP service: name -> (datatype, unit), as `FIELDS`."""
    fields = "".join(
        f'<FIELD ID="{name}" name="{name}" datatype="{"char" if kind == "*" else kind}"'
        + (' arraysize="*"' if kind == "*" else "")
        + (f' unit="{unit}"' if unit else "")
        + "/>\n"
        for name, (kind, unit) in columns.items()
    )
    body = "".join(f"<TR>{''.join(f'<TD>{_cell(c)}</TD>' for c in row)}</TR>\n" for row in rows)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
        '<RESOURCE type="results">\n<INFO name="QUERY_STATUS" value="OK"/>\n'
        f'<TABLE name="result_S1711442375218">\n{fields}<DATA>\n<TABLEDATA>\n{body}</TABLEDATA>\n</DATA>\n'
        "</TABLE>\n"
        f"{OVERFLOW if overflow else ''}</RESOURCE>\n</VOTABLE>\n"
    ).encode()


OVERFLOW = '<INFO name="QUERY_STATUS" value="OVERFLOW"/>\n'


# gaiadr3.gaia_source, of the data model of Gaia DR3.
GAIA: dict[str, tuple[str, str]] = {
    "source_id": ("long", ""),
    "ra": ("double", "deg"),
    "dec": ("double", "deg"),
    "ref_epoch": ("double", "yr"),
    "pmra": ("double", "mas.yr**-1"),
    "pmdec": ("double", "mas.yr**-1"),
    "parallax": ("double", "mas"),
    "phot_g_mean_mag": ("float", "mag"),
    "phot_bp_mean_mag": ("float", "mag"),
    "phot_rp_mean_mag": ("float", "mag"),
    "ra_error": ("float", "mas"),
    "dec_error": ("float", "mas"),
    "pmra_error": ("float", "mas.yr**-1"),
    "pmdec_error": ("float", "mas.yr**-1"),
    "parallax_error": ("float", "mas"),
    "phot_g_mean_flux_over_error": ("float", ""),
    "phot_bp_mean_flux_over_error": ("float", ""),
    "phot_rp_mean_flux_over_error": ("float", ""),
}


def gaia(count: int, *, status: str = "OK", ra: float = 83.8, dec: float = -5.4) -> bytes:
    """Return an answer of a TAP server with `count` made-up stars near a place."""
    fields = "".join(
        f'<FIELD ID="{name}" name="{name}" datatype="{kind}"' + (f' unit="{unit}"' if unit else "") + "/>\n"
        for name, (kind, unit) in GAIA.items()
    )
    body = "".join(
        f"<TR><TD>{3017264300000000000 + k}</TD><TD>{ra + 1e-4 * k:.8f}</TD><TD>{dec:.8f}</TD><TD>2016.0</TD>"
        f"<TD>1.25</TD><TD>-2.50</TD><TD>{'' if k % 2 else '2.50'}</TD><TD>{12 + 0.001 * k:.3f}</TD>"
        "<TD>12.5</TD>"
        "<TD>11.4</TD><TD>0.02</TD><TD>0.03</TD><TD>0.02</TD><TD>0.03</TD><TD>0.02</TD><TD>2000.5</TD>"
        "<TD>500.5</TD><TD>600.5</TD></TR>\n"
        for k in range(count)
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">\n'
        f'<INFO name="QUERY_STATUS" value="{status}"/>\n<TABLE name="result">\n{fields}'
        f"<DATA><TABLEDATA>\n{body}"
        "</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>\n"
    ).encode()
