"""A kept checkpoint against today's logs, back through boots (SPEC.md, "Log audit")."""
from contextlib import contextmanager

from . import forms
from .cosigned import cosigned_at, open_cosigned, split
from .encodings import Refused, canonical, ensure, parse_canonical, sha256, unbase64url, unhex
from .merkle import check_consistency, leaf_hash, root_from_path
from .note import parse_body
from .tiles import consistency_proof, inclusion_path, leaves_of

MOST_LOGS = 1000


class Failed(Refused):
    def __init__(self, check, code, reason):
        super().__init__(f"{check}: {reason}")
        self.check, self.code = check, code


@contextmanager
def check(name, code):
    """What is refused within is refused by this check; what says more of itself, as it says."""
    try:
        yield
    except Failed:
        raise
    except Refused as refused:
        raise Failed(name, code, str(refused)) from None


class Source:
    """{origin: {boot, checkpoint, tiles}} as logs are served; all but the tiles may be missing."""

    def __init__(self, logs):
        self.logs = logs

    def get(self, origin, member, name):
        found = self.logs.get(origin, {}).get(member)
        if found is None:
            raise Failed(name, "log.damaged", f"{member} of {origin} is not there")
        return found


def _leaves(source, end):
    with check("tiles", "log.damaged"):
        tiles = source.logs.get(end["origin"], {}).get("tiles", {})
        return leaves_of(tiles, end["size"], end["root"])


def _before(source, end):
    """Where the log before this one ended."""
    leaf = unbase64url(source.get(end["origin"], "boot", "boot_leaf"))
    leaves = _leaves(source, end)
    with check("boot_leaf", "log.fork"):
        ensure(leaves, "no leaf")
        root = root_from_path(leaf_hash(leaf), 0, end["size"], inclusion_path(leaves, 0))
        ensure(root == end["root"], "not the first leaf")
    with check("boot_form", "json.not_canonical"):
        boot = parse_canonical(leaf)
    with check("boot_form", "receipt.invalid"):
        forms.boot_leaf(boot)
    with check("boot_key_set", "log.fork"):
        ensure(end["origin"] == "sealed/" + boot["key_set"][:16], "another key set")
    with check("boot_previous", "log.fork"):
        ensure("previous" in boot, "continues no log")
    named = boot["previous"]
    return {"origin": named["origin"], "size": named["size"], "root": unhex(named["root"], 32)}


def audit(saved, key_set, witnesses, logs):
    source, ledger = Source(logs), unbase64url(key_set["ledger_key"])
    origin = "sealed/" + sha256(canonical(key_set)).hex()[:16]
    with check("saved", "receipt.invalid"):
        kept = parse_body(split(saved)[0])
        of_today = kept["origin"] == origin
        if of_today:
            open_cosigned(saved, ledger)
    with check("newest", "receipt.invalid"):
        newest, lines = open_cosigned(source.get(origin, "checkpoint", "newest"), ledger)
    with check("origin", "log.fork"):
        ensure(newest["origin"] == origin, "another log")
    with check("witnesses", "evidence.invalid"):
        seen = [each["name"] for each in witnesses if cosigned_at(newest, lines, each) is not None]
    end, way = newest, [origin]
    while end["origin"] != kept["origin"]:
        end = _before(source, end)
        with check("way", "log.fork"):
            ensure(end["origin"] not in way and len(way) < MOST_LOGS, "it does not end")
        way.append(end["origin"])
    with check("size", "log.fork"):
        ensure(kept["size"] <= end["size"], "cut short")
    with check("counter", "log.fork"):
        least = kept["counter"] + (kept["size"] < newest["size"])
        ensure(not of_today or newest["counter"] >= least, "it fell, or stood still while the log grew")
    leaves = _leaves(source, end)
    with check("consistency", "log.fork"):
        proof = consistency_proof(leaves, kept["size"])
        check_consistency(kept["size"], end["size"], kept["root"], end["root"], proof)
    return {
        "logs": way, "newest": newest["size"], "saved": kept["size"], "signature": "verified" if of_today else "unchecked",
        "witnesses": seen,
    }
