"""Writes protocol/vectors/ from a fixed seed, and the examples of SPEC.md out of them; with --check it writes nothing and fails where a file differs.

Written from SPEC.md alone, with Python's cryptography package and none of this project's code. All randomness is drawn
from seeded.py, so that a second run gives the same bytes.
"""
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "python")]

import bundles  # noqa: E402
import examples  # noqa: E402
import formats_audit  # noqa: E402
import formats_ear  # noqa: E402
import formats_epochs  # noqa: E402
import formats_evidence  # noqa: E402
import formats_log  # noqa: E402
import formats_session  # noqa: E402
import formats_stream  # noqa: E402
import formats_text  # noqa: E402
import formats_weights  # noqa: E402
import formats_wire  # noqa: E402

MODULES = (formats_text, formats_stream, formats_wire, formats_session, formats_epochs, formats_log, formats_audit, formats_ear, formats_evidence, formats_weights, bundles)
OUT = HERE.parent.parent / "protocol" / "vectors"
SPEC = OUT.parent / "SPEC.md"


def main():
    wanted = {}
    for vectors in [each for module in MODULES for each in module.vectors()]:
        wanted[OUT / f"{vectors.format}.json"] = vectors.text()
    files = {path.stem: json.loads(text) for path, text in wanted.items()}
    wanted[SPEC] = examples.filled(SPEC.read_text(), files)
    wanted = {path: text.encode() for path, text in wanted.items()}
    changed = [path for path, made in wanted.items() if not path.exists() or path.read_bytes() != made]
    if "--check" in sys.argv and changed:
        sys.exit(f"not what the generator makes: {', '.join(path.name for path in changed)}")
    for path in changed:
        path.write_bytes(wanted[path])


main()
