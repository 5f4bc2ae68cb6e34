"""Checkpoints: the note's text and its one signature (SPEC.md, "Checkpoint")."""
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from .encodings import ensure, Refused, sha256, unbase64

BODY = re.compile(
    r"([!-~]+)\n(0|[1-9][0-9]{0,14})\n([A-Za-z0-9+/]{43}=)\nstate ([0-9a-f]{64})\ncounter (0|[1-9][0-9]{0,19})\n"
    r"time (0|[1-9][0-9]{0,14})\nboot (?:absent|(000b[0-9a-f]{64}) (0|[1-9][0-9]{0,9}) (0|[1-9][0-9]{0,9}))\n"
)
SIGNATURE = re.compile("\u2014 ([!-~]+) ([A-Za-z0-9+/]+={0,2})\n")


def key_hash(name, public):
    return sha256(name.encode(), b"\n\1", public)[:4]


def verify_ed25519(public, signature, message):
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def open_checkpoint(note, ledger_key):
    """The checkpoint's members and the text that was signed."""
    body, separator, rest = note.partition("\n\n")
    body += "\n"
    line = SIGNATURE.fullmatch(rest)
    ensure(separator and line, "malformed note")
    checkpoint = parse_body(body)
    name, blob = line[1], unbase64(line[2])
    ensure(len(blob) == 68, "signature of another length")
    ensure(name == checkpoint["origin"], "signed under another name")
    ensure(blob[:4] == key_hash(name, ledger_key), "another key")
    ensure(verify_ed25519(ledger_key, blob[4:], body.encode()), "wrong signature")
    return checkpoint


def parse_body(body):
    found = BODY.fullmatch(body)
    ensure(found, "malformed checkpoint")
    return {
        "origin": found[1], "size": int(found[2]), "root": unbase64(found[3]), "state": found[4],
        "counter": int(found[5]), "time": int(found[6]), "ak_name": found[7] or "absent", "reset": int(found[8] or 0),
        "restart": int(found[9] or 0), "body": body,
    }
