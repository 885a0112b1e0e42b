"""Record a run of the peer: python tools/peer_record.py peer.csv sample.csv.

`peer.csv` is what benchmarks/peer_aiconfigurator.py wrote, `sample.csv` the rows it was asked about. Written are the
identifiers of the rows with a mark at those it answers (data/facts/validate_ids.txt) and its scores
(data/fitted/peer.toml).
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

from rackmath import shipped
from rackmath.evidence import peer, score
from rackmath.evidence.answer import number
from rackmath.evidence.table import table

IDS = """\
# Rows of aiconfigurator-core 0.12.0, systems/silicon_sample.csv, that scores are published on. Every other row of
# that file is a test kept apart and is never read. "peer": aiconfigurator 0.12.0 answers the row.
"""
HEAD = """\
# NVIDIA's aiconfigurator on the rows of validate_ids.txt, written by tools/peer_record.py. Shares, not percent.
name = "aiconfigurator"
version = "0.12.0"
source = "PyPI aiconfigurator 0.12.0, its own cli_estimate on the columns of each row"
date = "{date}"
command = "python benchmarks/peer_aiconfigurator.py --rows inferencex_silicon_sample_aic.csv --out peer.csv"
"""


def main() -> None:
    theirs = peer.read(Path(sys.argv[1]))
    _, rows = table(sys.argv[2])
    marks = (f"{row['id']} peer" if row["id"] in theirs else row["id"] for row in rows)
    (shipped.FACTS / "validate_ids.txt").write_text(IDS + "\n".join(marks) + "\n", encoding="utf-8")
    text = HEAD.format(date=date.fromtimestamp(Path(sys.argv[1]).stat().st_mtime).isoformat())
    for column in peer.COLUMNS:
        for mode in peer.MODES:
            here = [row for row in rows if mode == "all" or row["mode"] == mode.replace("regated", "")]
            said = [(theirs[row["id"]][column], number(row, column)) for row in here if row["id"] in theirs]
            e = score.errors(*zip(*said, strict=True))
            figures = {k: round(getattr(e, k), 4) for k in ("mape", "median", "p90", "bias", "within_20", "rank")}
            text += f'\n[[score]]\ncolumn = "{column}"\nmode = "{mode}"\nrows = {len(here)}\nn = {e.n}\n'
            text += "".join(f"{key} = {value}\n" for key, value in figures.items())
    (shipped.FITTED / "peer.toml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
