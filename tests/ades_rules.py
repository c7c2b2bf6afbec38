"""A strict reader of ADES PSV reports, written from the published schema (IAU-ADES/ADES-Master, submit.xsd).

It knows nothing of the writer. `problems` returns what a submission would be refused for.
"""

import re
from datetime import datetime

MODES = {"CCD", "CMO", "VID", "PHO", "ENC", "PMT", "MIC", "MER", "TDI", "OCC", "UNK"}
HEADER = {  # first-level record -> second-level records: (pattern, least, most)
    "observatory": {"mpcCode": (r"[A-Za-z0-9_]{3,4}", 1, 1), "name": (r".{1,100}", 0, 1)},
    "submitter": {"name": (r".{1,100}", 1, 1), "institution": (r".{1,100}", 0, 1)},
    "observers": {"name": (r".{1,100}", 1, 99)},
    "measurers": {"name": (r".{1,100}", 1, 99)},
    "telescope": {
        "name": (r".{1,100}", 0, 1), "design": (r".{1,25}", 1, 1), "aperture": (r"[0-9.]{1,6}", 1, 1),
        "detector": (r".{1,25}", 1, 1), "fRatio": (r"[0-9.]{1,6}", 0, 1), "filter": (r".{1,25}", 0, 1),
        "arraySize": (r".{1,25}", 0, 1), "pixelScale": (r"[0-9.]{1,6}", 0, 1),
    },
    "software": {
        "astrometry": (r".{1,100}", 0, 1), "fitOrder": (r".{1,25}", 0, 1), "photometry": (r".{1,100}", 0, 1),
        "objectDetection": (r".{1,100}", 0, 1),
    },
    "comment": {"line": (r".{1,100}", 1, 99)},
}  # fmt: skip
NEEDED = {"observatory", "submitter", "measurers", "telescope"}
POSITIVE = r"(0|[1-9]\d*)(\.\d*)?"
PROVISIONAL = (
    r"\d{4} [A-HJ-Y][A-HJ-Z]\d*|\d{4} (P-L|T-[123])|[ADCPX]/\d{4} [A-Z]{1,2}\d*(-[A-Z])?|A[89]\d{2} "
    r"[A-HJ-Y][A-HJ-Z]"
)
ELEMENTS = {  # in the order of the schema: pattern, widest, lowest, highest, may it be the lowest
    "permID": (r"\d+([IPD](-[A-Z]{1,2})?)?", 25), "provID": (PROVISIONAL, 25),
    "trkSub": (r"[-A-Za-z0-9_]*", 8), "obsSubID": (r".*", 35), "mode": (r"[A-Za-z0-9_]*", 3),
    "stn": (r"[A-Za-z0-9_]{3,4}", 4), "obsTime": (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", 27),
    "rmsTime": (POSITIVE, 8, 0.0, 1e5), "ra": (r"([1-3]\d{2}|[1-9]?\d)?(\.\d{0,9})?", 13, 0.0, 360.0),
    "dec": (r"[+-]?([1-9]?\d)?(\.\d{0,9})?", 13, -90.0, 90.0),
    "rmsRA": (POSITIVE, 7, 0.0, 1e5), "rmsDec": (POSITIVE, 7, 0.0, 1e5),
    "rmsCorr": (r"[+-]?(0|1)(\.\d{0,11})?", 14, -1.0, 1.0), "astCat": (r"[.A-Za-z0-9_]*", 8),
    "mag": (r"[+-]?(0|[1-9]\d*)(\.\d*)?", 8, -5.0, 35.0), "rmsMag": (POSITIVE, 6, 0.0, 1e5),
    "band": (r"[A-Za-z0-9_]*", 3), "fltr": (r"[A-Za-z0-9_]*", 3), "photCat": (r"[.A-Za-z0-9_]*", 8),
    "photAp": (POSITIVE, 6, 0.0, 1e5), "logSNR": (r"[+-]?(0|[1-9]\d*)(\.\d*)?", 6, -99.0, 99.0),
    "seeing": (POSITIVE, 6, 0.0, 1e5), "exp": (POSITIVE, 6, 0.0, 1e5), "rmsFit": (POSITIVE, 6, 0.0, 1e5),
    "nStars": (r"[1-9]\d{0,5}", 6), "disc": (r"[*+]", 1), "uncTime": (POSITIVE, 8, 0.0, 1e5),
    "notes": (r"[A-Za-z0-9_]*", 6), "remarks": (r".*", 300),
}  # fmt: skip
REQUIRED = {"mode", "stn", "obsTime", "ra", "dec", "astCat"}
STRICTLY_ABOVE = {name for name, rule in ELEMENTS.items() if rule[0] == POSITIVE} | {"rmsCorr"}


def problems(text):
    lines = text.splitlines()
    out = []
    if lines[0] not in ("# version=2022", "# version=2017"):
        out.append(f"first record {lines[0]!r}")
    body = next((i for i, line in enumerate(lines) if i and line[:1] not in ("#", "!")), len(lines))
    out += _header(lines[1:body])
    if body + 1 >= len(lines):
        return [*out, "no observation"]
    names = [name.strip() for name in lines[body].split("|")]
    known = [name for name in ELEMENTS if name in names]
    if len(set(names)) != len(names) or set(names) - set(ELEMENTS):
        out.append(f"column names {names}")
    if [name for name in names if name in ELEMENTS] != known:
        out.append("order of columns")
    for line in lines[body + 1 :]:
        out += _row(names, [cell.strip() for cell in line.split("|")])
    return out


def _header(lines):
    out, seen, group = [], {}, None
    for line in lines:
        mark, _, rest = line.partition(" ")
        word, _, value = rest.partition(" ")
        if mark == "#":
            group = word
            if word not in HEADER or word in seen or value:
                out.append(f"header {line!r}")
            seen[word] = {}
        elif group in HEADER and word in HEADER[group]:
            seen[group][word] = seen[group].get(word, 0) + 1
            if not re.fullmatch(HEADER[group][word][0], value) or "|" in value or not value.strip():
                out.append(f"header {line!r}")
        else:
            out.append(f"header {line!r}")
    out += [f"no header {name}" for name in NEEDED - set(seen)]
    for name, counts in seen.items():
        for word, (_, least, most) in HEADER.get(name, {}).items():
            if not least <= counts.get(word, 0) <= most:
                out.append(f"{name} has {counts.get(word, 0)} {word}")
    return out


def _row(names, cells):
    if len(cells) > len(names):
        return [f"{len(cells)} cells for {len(names)} columns"]
    given = {name: cell for name, cell in zip(names, cells, strict=False) if cell}
    out = [f"no {name}" for name in REQUIRED if name not in given]
    if not {"permID", "provID", "trkSub"} & set(given):
        out.append("no designation")
    if ("mag" in given) != ("band" in given) or ("rmsMag" in given and "mag" not in given):
        out.append("magnitude without band, or the other way round")
    for name, cell in given.items():
        out += _cell(name, cell)
    return out


def _cell(name, cell):
    pattern, widest, *span = ELEMENTS.get(name, (r".*", 0))
    if not re.fullmatch(pattern, cell) or len(cell) > widest:
        return [f"{name} = {cell!r}"]
    if span:
        low, high = span
        value = float(cell)
        above = value > low if name in STRICTLY_ABOVE else value >= low
        below = value <= high if name in ("dec", "mag") else value < high
        if not (above and below):
            return [f"{name} = {cell!r}"]
    if name == "mode" and cell not in MODES:
        return [f"mode = {cell!r}"]
    if name == "obsTime":
        try:
            datetime.fromisoformat(cell)
        except ValueError:
            return [f"obsTime = {cell!r}"]
    return []
