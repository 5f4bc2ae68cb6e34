"""Runs every case of protocol/vectors/ through the second verifier: a valid one must come out as it says, any other must
be refused. Input: none. Output: how many cases a format; fails naming the cases that came out otherwise.
"""
import json
import pathlib
import sys

from verifier import runners
from verifier.encodings import Refused

VECTORS = pathlib.Path(__file__).resolve().parent.parent.parent / "protocol" / "vectors"


def main():
    wrong = []
    for path in sorted(VECTORS.glob("*.json")):
        file = json.loads(path.read_text())
        if "format" not in file:
            continue
        run = runners.RUNNERS[file["format"]]
        for case in file["cases"]:
            try:
                came = run(case, file)
            except Refused as refused:
                came = refused
            where = f"{path.name}: {case['name']}"
            if (case["valid"] or "expect" in case) and came != case.get("expect"):
                wrong.append(f"{where}: came out as {came!r}, not {case.get('expect')!r}")
            if not case["valid"] and "expect" not in case and not isinstance(came, Refused):
                wrong.append(f"{where}: accepted as {came!r}")
        print(f"{file['format']} {len(file['cases'])}")
    if wrong:
        sys.exit("\n".join(wrong))


main()
