"""Strict validators of light curve formats, written from what is published, not from what we write.

AAVSO Extended File Format 1.2 (aavso.org/aavso-extended-file-format); AAVSO Exoplanet WebObs Users Guide 1.0.
"""

import re

FILTERS = {
    *("U", "B", "V", "R", "I", "J", "H", "K", "TG", "TB", "TR", "CV", "CR", "SZ", "SU", "SG", "SR", "SI"),
    *("STU", "STV", "STB", "STY", "STHBW", "STHBN", "MA", "MB", "MI", "ZS", "Y", "HA", "HAC", "CBB", "O"),
}
WIDTHS = {"NAME": 30, "DATE": 16, "MAG": 8, "MERR": 6, "CNAME": 20, "CMAG": 8, "KNAME": 20, "KMAG": 8,
          "AMASS": 7, "GROUP": 5, "CHART": 20}  # fmt: skip
FIELDS = ("NAME", "DATE", "MAG", "MERR", "FILT", "TRANS", "MTYPE", "CNAME", "CMAG", "KNAME", "KMAG", "AMASS",
          "GROUP", "CHART", "NOTES")  # fmt: skip
DECIMAL = re.compile(r"-?\d*\.\d+")


def split(text):
    """Return parameters, comments and rows; blank lines are forbidden."""
    assert text.isascii()
    assert text.endswith("\n")
    parameters, comments, rows = {}, [], []
    for line in text[:-1].split("\n"):
        assert line.strip(), "a blank line"
        if line.startswith("#"):
            name, equals, value = line[1:].partition("=")
            if equals and re.fullmatch(r"[A-Z_\-]+", name):
                assert not rows, "a parameter after data"
                assert name not in parameters
                parameters[name] = value
            else:
                comments.append(line)
        else:
            rows.append(line)
    return parameters, comments, rows


def check_extended(text):
    """Check an AAVSO Extended file; return its rows as dicts."""
    parameters, _, rows = split(text)
    assert [name for name in ("TYPE", "OBSCODE", "SOFTWARE", "DELIM", "DATE", "OBSTYPE")
            if name not in parameters] == []  # fmt: skip
    assert parameters["TYPE"].upper() == "EXTENDED"
    assert re.fullmatch(r"[A-Z0-9]{1,5}", parameters["OBSCODE"])
    assert 0 < len(parameters["SOFTWARE"]) <= 255
    assert parameters["DATE"] in ("JD", "HJD", "EXCEL")
    assert parameters["OBSTYPE"] in ("CCD", "DSLR", "PEP", "VISDIG")
    delimiter = {"comma": ",", "tab": "\t"}.get(parameters["DELIM"], parameters["DELIM"])
    assert delimiter not in ("#", " ")
    out = []
    for row in rows:
        values = row.split(delimiter)
        assert len(values) == 15, row
        one = dict(zip(FIELDS, values, strict=True))
        for name, width in WIDTHS.items():
            assert 0 < len(one[name]) <= width, (name, one[name])
        assert 2400000 < float(one["DATE"]) < 2500000
        assert DECIMAL.fullmatch(one["MAG"].removeprefix("<")), one["MAG"]
        assert one["MERR"] == "na" or (DECIMAL.fullmatch(one["MERR"]) and float(one["MERR"]) >= 0)
        assert not (one["MAG"].startswith("<") and one["MERR"] != "na")
        assert one["FILT"] in FILTERS
        assert one["TRANS"] in ("YES", "NO")
        assert one["MTYPE"] in ("STD", "DIF")
        assert not (one["MTYPE"] == "DIF" and one["CNAME"] == "na"), "differential needs a comparison star"
        for name in ("CMAG", "KMAG"):
            assert one[name] == "na" or DECIMAL.fullmatch(one[name])
        assert one["AMASS"] == "na" or 1 <= float(one["AMASS"]) < 40
        assert one["GROUP"] == "na" or one["GROUP"].isdigit()
        assert one["NOTES"]
        out.append(one)
    return out


def check_exoplanet(text):
    """Check an AAVSO exoplanet report; return parameters and rows of floats."""
    parameters, _, rows = split(text)
    needed = (
        "TYPE", "OBSCODE", "SOFTWARE", "DELIM", "DATE_TYPE", "OBSTYPE", "STAR_NAME", "EXOPLANET_NAME",
        "BINNING", "EXPOSURE_TIME", "FILTER", "DETREND_PARAMETERS", "MEASUREMENT_TYPE",
    )  # fmt: skip
    assert [name for name in needed if name not in parameters] == []
    assert parameters["TYPE"] == "EXOPLANET"
    assert re.fullmatch(r"[A-Z0-9]{1,5}", parameters["OBSCODE"])
    assert parameters["DATE_TYPE"] in ("JD_UTC", "HJD_UTC", "BJD_UTC", "BJD_TT", "BJD_TDB")
    assert parameters["OBSTYPE"] in ("CCD", "DSLR")
    assert parameters["BINNING"] in ("1x1", "2x2", "3x3", "4x4")
    assert 0 < float(parameters["EXPOSURE_TIME"]) <= 600
    assert parameters["FILTER"] in FILTERS
    assert parameters["MEASUREMENT_TYPE"] in ("Rnflux", "Dmag")
    assert 0 < len(parameters["STAR_NAME"]) <= 100
    assert 0 < len(parameters["EXOPLANET_NAME"]) <= 100
    causes = [one for one in parameters["DETREND_PARAMETERS"].split(",") if one]
    assert len(causes) <= 4
    assert len(parameters["DETREND_PARAMETERS"]) <= 100
    for name, limit in (("PRIORS", 250), ("RESULTS", 250), ("SECONDARY_OBSCODES", 60)):
        assert len(parameters.get(name, "")) <= limit
    assert parameters["DELIM"] in (",", ";", "|", ":", "!", "/", "?", "tab")
    out = []
    for row in rows:
        values = row.split(parameters["DELIM"])
        assert len(values) == 3 + len(causes)
        date, value, *rest = values
        assert re.fullmatch(r"24\d{5}\.\d{1,8}", date)
        assert re.fullmatch(r"-?\d{1,7}\.\d{1,8}", value)
        for one in rest:
            assert one in ("na", "n/a", "") or re.fullmatch(r"-?\d{1,6}\.\d{1,6}", one), one
        out.append([float(one) for one in values[:3]])
    return parameters, out
