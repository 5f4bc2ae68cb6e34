"""What witnesses add: notes with several lines, cosignatures, tlog-proofs (SPEC.md, "Cosignatures", "tlog-proof")."""
import re

from .encodings import ensure, sha256, unbase64, unbase64url
from .merkle import root_from_path
from .note import key_hash, open_checkpoint, verify_ed25519

LINE = re.compile("\u2014 ([^\\s+]{1,512}) ([A-Za-z0-9+/]+={0,2})\n")
LAST_SECOND = 8640000000000


def split(note):
    """The note's text and its lines as (name, key hash, signature, line)."""
    ensure(len(note) <= 65536 and not re.search(r"[\0-\x09\x0b-\x1f]", note), "malformed note")
    body, separator, rest = note.rpartition("\n\n")
    ensure(separator and rest.endswith("\n"), "malformed note")
    lines = []
    for line in rest.splitlines(keepends=True):
        found = LINE.fullmatch(line)
        ensure(found, "malformed line")
        blob = unbase64(found[2])
        ensure(len(blob) >= 5, "a signature is too short")
        lines.append((found[1], blob[:4], blob[4:], line))
    ensure(1 <= len(lines) <= 32, "number of lines")
    return body + "\n", lines


def open_cosigned(note, ledger_key):
    """The checkpoint, and all lines."""
    body, lines = split(note)
    origin = body.split("\n")[0]
    own = [each for each in lines if each[:2] == (origin, key_hash(origin, ledger_key))]
    ensure(len(own) == 1, "the log's own line stands once")
    return open_checkpoint(f"{body}\n{own[0][3]}", ledger_key), lines


def cosigned_at(checkpoint, lines, witness):
    """The earliest second at which a witness signed, or None. A line of it that does not hold refuses the whole."""
    key, times = unbase64url(witness["public_key"]), []
    ident = sha256(witness["name"].encode(), b"\n\4", key)[:4]
    for name, key_id, blob, _ in lines:
        if (name, key_id) == (witness["name"], ident):
            ensure(len(blob) == 72, "a cosignature of another length")
            seconds = int.from_bytes(blob[:8], "big")
            ensure(0 < seconds <= LAST_SECOND, "no time")
            message = f"cosignature/v1\ntime {seconds}\n{checkpoint['body']}".encode()
            ensure(verify_ed25519(key, blob[8:], message), "a wrong cosignature")
            times.append(seconds)
    return min(times, default=None)


def parse_proof(text):
    head, separator, checkpoint = text.partition("\n\n")
    ensure(separator, "no checkpoint")
    lines = head.split("\n")
    ensure(lines[0] == "c2sp.org/tlog-proof@v1", "another format")
    if len(lines) > 1 and lines[1].startswith("extra "):
        unbase64(lines.pop(1)[6:])
    ensure(len(lines) > 1 and re.fullmatch(r"index (0|[1-9][0-9]{0,14})", lines[1]), "no index")
    path = [unbase64(each) for each in lines[2:]]
    ensure(len(path) <= 53 and all(len(each) == 32 for each in path), "path")
    return int(lines[1][6:]), path, checkpoint


def check_witnesses(proof, leaf, index, receipt, ledger_key, policy, now_ms):
    """The first second after the quorum had signed, or None where too few did. `receipt` is its checkpoint."""
    at, path, note = parse_proof(proof)
    checkpoint, lines = open_cosigned(note, ledger_key)
    for member in ("origin", "ak_name", "reset", "restart"):
        ensure(checkpoint[member] == receipt[member], f"another {member}")
    ensure(checkpoint["size"] != receipt["size"] or checkpoint["root"] == receipt["root"], "the log is forked")
    rose = (checkpoint["counter"] - receipt["counter"]) * (checkpoint["size"] - receipt["size"])
    ensure(checkpoint["size"] == receipt["size"] or rose > 0, "the counter did not rise")
    ensure(at == index, "another leaf")
    ensure(root_from_path(leaf, at, checkpoint["size"], path) == checkpoint["root"], "not in that tree")
    witnesses = policy.get("witnesses", {"keys": [], "quorum": 0})
    times = [cosigned_at(checkpoint, lines, each) for each in witnesses["keys"]]
    times = sorted(each for each in times if each is not None)
    for seconds in times:
        ensure(seconds * 1000 <= now_ms + 60000, "a time that is to come")
    needed = max(1, witnesses["quorum"])
    return None if len(times) < needed else (times[needed - 1] + 1) * 1000
