"""Writes protocol/vectors/ from a fixed seed; with --check it writes nothing and fails where a file differs.

Written from SPEC.md alone, with Python's cryptography package and none of this project's code. All randomness is drawn
from seeded.py, so that a second run gives the same bytes.
"""
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "python")]

import bundles  # noqa: E402
import formats_evidence  # noqa: E402
import formats_log  # noqa: E402
import formats_session  # noqa: E402
import formats_text  # noqa: E402
import formats_wire  # noqa: E402

MODULES = (formats_text, formats_wire, formats_session, formats_log, formats_evidence, bundles)
OUT = HERE.parent.parent / "protocol" / "vectors"


def main():
    changed = []
    for vectors in [each for module in MODULES for each in module.vectors()]:
        path = OUT / f"{vectors.format}.json"
        text = vectors.text().encode()
        if not path.exists() or path.read_bytes() != text:
            changed.append(path.name)
            if "--check" not in sys.argv:
                path.write_bytes(text)
    if "--check" in sys.argv and changed:
        sys.exit(f"not what the generator makes: {', '.join(changed)}")


main()
