"""Grammar of a session, as one regular expression over the kinds of its statements (SPEC.md, "Grammar")."""
import re

from .encodings import ensure

LETTERS = {
    "request.received": "r", "seal.enforced": "e", "input_key.revealed": "k", "activations.observed": "o",
    "registry.applied": "a", "seal.checked": "c", "output.committed": "w", "seal.released": "u",
    "response.released": "d", "registry.read": "g", "session.aborted": "x",
}
SESSION = re.compile(r"r(?:gd|e(?:x|k(?:x|o*(?:x|a(?:x|c(?:x|w(?:x|ud)))))))")


def find(statements, kind):
    return next((each for each in statements if each["type"] == kind), None)


def check_grammar(statements):
    word = "".join(LETTERS[each["type"]] for each in statements)
    ensure(SESSION.fullmatch(word), "order of statements")
    before = claimed = 0
    for i, each in enumerate(statements):
        ensure(each["seq"] == i, "numbering")
        ensure(int(each["mono_us"]) >= before, "time runs backwards")
        ensure(each["utc_ms"] >= claimed, "a time claimed before the one above")
        before, claimed = int(each["mono_us"]), each["utc_ms"]
    received = statements[0]
    sealed = received["door"] == "envelope"
    for member in ("header_digest", "expect", "transport_key"):
        ensure((member in received) == sealed, f"{member} on the wrong door")
    ensure(("input_digest" in received) != sealed, "input_digest on the wrong door")
    ensure((received["operation"] == "read") == ("g" in word), "operation and registry.read")
    applied = find(statements, "registry.applied")
    ensure(not applied or applied["operation"] == received["operation"], "operation and registry.applied")
