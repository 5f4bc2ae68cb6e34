"""Vectors of the log's audit: a kept checkpoint, and logs of three boots as they are served today.

The operator of the lies has every key, so a log that was laid out anew is signed anew, and only one check can notice.
"""
from formats_log import cosign, tiles_of, witness
from make import Vectors, differences
from seeded import ed_key
from verifier.edits import edited
from verifier.encodings import base64url, canonical, sha256
from verifier.merkle import leaf_hash
from world import NOW_MS, Boot, merkle, note, raw_public

SIZES = {"first": 260, "second": 21, "third": 9}
ROOT_OF_NONE = sha256(b"")


def root_of(hashes):
    return merkle(hashes) if hashes else ROOT_OF_NONE


class Log:
    """The log of one boot. `leaves` replaces all leaves behind the first, `boot` members of the first (None drops one)."""

    def __init__(self, label, before=None, size=None, leaves=None, boot=None, raw=None):
        self.of = Boot(label, tls=label != "second")
        self.origin = self.of.origin
        first = {"key_set": self.of.k.hex(), "kind": "boot", "started_ms": self.of.started, "version": 1}
        if before:
            first["previous"] = before.end()
        first = {name: each for name, each in {**first, **(boot or {})}.items() if each is not None}
        self.boot = canonical(first) if raw is None else raw
        rest = [f"{label} {i}".encode() for i in range(1, SIZES[label])] if leaves is None else leaves
        self.hashes = [leaf_hash(each) for each in (self.boot, *rest)][:size]

    def end(self, **change):
        last = self.note(len(self.hashes) - 1) if self.hashes else ""
        return {
            "checkpoint_digest": sha256(last.encode()).hex(), "origin": self.origin, "root": root_of(self.hashes).hex(),
            "size": len(self.hashes), **change,
        }

    def note(self, size, lines=lambda body: "", signer=None, name=None, **change):
        at = {"counter": 100 + size, "time": NOW_MS + size, **change}
        body = self.of.body(size, at.pop("root", root_of(self.hashes[:size])), **at)
        return note(body, at.get("origin", self.origin) if name is None else name, signer or self.of.ledger) + lines(body)

    def served(self, checkpoint=None):
        size = len(self.hashes)
        return {
            "boot": base64url(self.boot), "checkpoint": checkpoint or self.note(size), "tiles": tiles_of(self.hashes, size),
        }


FIRST = Log("first")
SECOND = Log("second", FIRST)
THIRD = Log("third", SECOND)
LOGS = (FIRST, SECOND, THIRD)


def given(saved=SECOND.note(13), today=THIRD, logs=LOGS, newest=None, witnesses=(), bend=lambda served: None):
    """`newest` is today's newest checkpoint where it is not an honest one; `bend` changes what is served."""
    served = {each.origin: each.served(newest if each is today else None) for each in logs}
    bend(served)
    return {"saved": saved, "key_set": today.of.key_set, "witnesses": list(witnesses), "logs": served}


class Audits:
    def __init__(self):
        about = (
            "`base` with edits: a kept note, today's key set, the policy's witnesses, and what is served of each log, by "
            "origin: its first leaf (base64url), its newest checkpoint and its tiles (hashes in hex). `expect` holds what "
            "was audited, or the check that failed and how."
        )
        self.base = given()
        self.vectors = Vectors("audit", "Log audit", about, base=self.base)

    def _edits(self, case):
        edits = differences(self.base, case)
        assert edited(self.base, *edits) == case
        return edits

    def good(self, name, size, *logs, seen=(), **case):
        """From today's log, the first named, back to the one that was kept at `size`, the last."""
        newest = len(logs[0].hashes)
        expect = {
            "logs": [each.origin for each in logs], "newest": newest, "saved": size,
            "signature": "verified" if len(logs) == 1 else "unchecked", "witnesses": [each["name"] for each in seen],
        }
        self.vectors.good(name, edits=self._edits(given(today=logs[0], **case)), expect=expect)

    def bad(self, name, reason, check, code="log.fork", **case):
        expect = {"check": check, "code": code}
        self.vectors._add({"name": name, "valid": False, "edits": self._edits(given(**case)), "expect": expect, "reason": reason})


def _grown(a):
    for size in (0, 1, 8, 9):
        a.good(f"today's log from {size} leaves", size, THIRD, saved=THIRD.note(size))
    for size in (1, 4, 13, 20, 21):
        a.good(f"one boot back from {size} leaves", size, THIRD, SECOND, saved=SECOND.note(size))
    for size in (0, 1, 255, 256, 257, 260):
        a.good(f"two boots back from {size} leaves", size, THIRD, SECOND, FIRST, saved=FIRST.note(size))
    for size in (250, 256, 260):
        a.good(f"a log of two tiles from {size} leaves", size, FIRST, saved=FIRST.note(size), logs=(FIRST,))
    empty = Log("third", SECOND, size=0)
    a.good("an empty log from itself", 0, empty, saved=empty.note(0), logs=(empty,))
    ended = Log("third", SECOND, boot={"previous": SECOND.end(size=0, root=ROOT_OF_NONE.hex())})
    a.good("back to a log that ended empty", 0, ended, SECOND, saved=SECOND.note(0), logs=(SECOND, ended))
    a.good("a counter above 2^53 that rose", 8, THIRD, saved=THIRD.note(8, counter=2**53), newest=THIRD.note(9, counter=2**53 + 1))
    rest = [f"second {i}".encode() for i in range(1, 13)] + [b"another"] * 8
    late = Log("second", FIRST, leaves=rest)
    after = Log("third", late)
    a.good("other leaves behind those that were kept", 13, after, late, logs=(late, after))
    a.good("a counter that rose by one", 8, THIRD, saved=THIRD.note(8), newest=THIRD.note(9, counter=109))
    a.good("a counter that rose while the log did not grow", 9, THIRD, saved=THIRD.note(9), newest=THIRD.note(9, counter=200))


def _unjudged(a):
    """What the audit takes no notice of, because nobody can."""
    back = 13, THIRD, SECOND
    a.good("an earlier boot's checkpoint signed by a stranger", *back, saved=SECOND.note(13, signer=ed_key("stranger")))
    a.good("an earlier boot's checkpoint signed under another name", *back, saved=SECOND.note(13, name="anybody"))
    a.good("an earlier boot's checkpoint with a counter above today's", *back, saved=SECOND.note(13, counter=5000))

    def alone(served):
        del served[SECOND.origin]["checkpoint"], served[FIRST.origin]

    a.good("an earlier log without its checkpoint, and none before it", *back, bend=alone)
    gap = {"counter_database": "121", "counter_tpm": "130"}
    for name, change in (
        ("that went on from a backup", {"gap": gap}),
        ("that names a checkpoint that nobody shows", {"previous": SECOND.end(checkpoint_digest="00" * 32)}),
    ):
        today = Log("third", SECOND, boot=change)
        a.good(f"a boot {name}", 13, today, SECOND, logs=(SECOND, today))


def _cosigned(a):
    when, one, two = NOW_MS // 1000, witness("one")[1], witness("two")[1]
    back = 13, THIRD, SECOND

    def by(*who, **how):
        return lambda body: "".join(cosign(body, each, when, **how) for each in who)

    def shown(lines):
        return {"witnesses": (one, two), "newest": THIRD.note(9, lines)}

    a.good("cosigned by one that is named", *back, seen=[one], **shown(by("one")))
    a.good("cosigned by both, the second first", *back, seen=[one, two], **shown(by("two", "one")))
    a.good("cosigned by nobody that is named", *back, **shown(by("three")))
    a.good("cosigned under a witness's name with another key hash", *back, **shown(by("one", mark=b"\1")))
    a.good("a kept checkpoint that others signed too", *back, saved=SECOND.note(13, by("three")))
    stranger = by("one", key=ed_key("stranger"))
    kept = {"saved": THIRD.note(8, stranger), "witnesses": (one,)}
    a.good("a kept checkpoint whose cosignatures nobody judges", 8, THIRD, **kept)

    def bad(name, lines):
        a.bad(name, "signature", "witnesses", "evidence.invalid", **shown(lines))

    bad("a named witness's line that a stranger signed", stranger)
    bad("a right cosignature and a wrong one", lambda body: by("one")(body) + by("two", key=ed_key("stranger"))(body))
    bad("a cosignature of another checkpoint", lambda _: by("one")(THIRD.of.body(8, bytes(32))))


def _notes(a):
    stranger, kept, newest = ed_key("stranger"), THIRD.note(8), THIRD.note(9)

    def saved(name, reason, text):
        a.bad(f"a kept note {name}", reason, "saved", "receipt.invalid", saved=text)

    saved("that is nothing", "no note", "")
    saved("of today's log by a stranger", "the log's own line is missing", THIRD.note(8, signer=stranger))
    saved("of today's log with its counter altered", "signature", kept.replace("counter 108", "counter 101"))
    saved("of today's log with its line twice", "once", kept + kept.split("\n\n")[1])
    saved("of today's log under another name", "the log's own line is missing", THIRD.note(8, name="anybody"))
    earlier = SECOND.note(13)
    saved("of an earlier boot without a line", "no note", earlier.split("\u2014")[0])
    saved("of an earlier boot with a line more", "unknown line", earlier.replace("\n\n", "\nmore\n\n"))
    saved("of an earlier boot with 33 lines", "32 at most", earlier + earlier.split("\n\n")[1] * 32)
    saved("of an earlier boot that is not ended", "malformed", earlier[:-1])

    def shown(name, reason, text, check="newest", code="receipt.invalid", **more):
        a.bad(f"a newest checkpoint {name}", reason, check, code, newest=text, **more)

    shown("by a stranger", "the log's own line is missing", THIRD.note(9, signer=stranger))
    shown("with its time altered", "signature", newest.replace("time 17", "time 18"))
    shown("with its line twice", "once", newest + newest.split("\n\n")[1])
    shown("with a witness's line alone", "the log's own line is missing", newest.split("\u2014")[0] + cosign(newest.split("\n\n")[0] + "\n", "one", NOW_MS // 1000))
    shown("of the log before", "another key", SECOND.note(21))
    shown("of another log, signed with today's key", "origin", THIRD.note(9, origin=SECOND.origin), "origin", "log.fork")
    shown("that is not there", "gone", None, code="log.damaged", bend=lambda served: served[THIRD.origin].pop("checkpoint"))


def _tiles(a):
    edge, full = "tile/0/000.p/9", "tile/0/000"

    def bad(name, reason, bend, saved=SECOND.note(13)):
        a.bad(name, reason, "tiles", "log.damaged", saved=saved, bend=bend)

    def altered(log, path, at=3):
        def bend(served):
            served[log.origin]["tiles"][path][at] = "00" * 32

        return bend

    def gone(log, path):
        return lambda served: served[log.origin]["tiles"].pop(path)

    bad("today's tile altered", "another root", altered(THIRD, edge))
    bad("today's tile altered, for one boot alone", "another root", altered(THIRD, edge), THIRD.note(2))
    bad("today's tile altered, and the newest kept", "another root", altered(THIRD, edge), THIRD.note(9))
    bad("today's tile gone", "not there", gone(THIRD, edge))
    bad("today's tile cut", "another width", lambda served: served[THIRD.origin]["tiles"][edge].pop())
    bad("an earlier log's tile altered", "another root", altered(SECOND, "tile/0/000.p/21"))
    bad("an earlier log's tile altered behind what was kept", "another root", altered(SECOND, "tile/0/000.p/21", 20))
    bad("an earlier log's tiles gone", "not there", lambda served: served.pop(SECOND.origin))
    bad("the oldest log's full tile altered", "not the one above", altered(FIRST, full), FIRST.note(200))
    bad("the oldest log's full tile gone", "not there", gone(FIRST, full), FIRST.note(200))
    bad("the oldest log's tile above altered", "another root", altered(FIRST, "tile/1/000.p/1", 0), FIRST.note(200))
    wrong = THIRD.note(9, root=root_of(THIRD.hashes[:8]))
    a.bad("a newest checkpoint with the root of another size", "another root", "tiles", "log.damaged", newest=wrong)
    short = Log("third", SECOND, size=8)
    a.bad("a newest checkpoint ahead of the tiles", "not there", "tiles", "log.damaged", today=short, logs=(SECOND, short), newest=THIRD.note(9))


def _boots(a):
    """Today's log begins with another leaf than it should; its checkpoint is made and signed for that."""

    def today(**change):
        made = Log("third", SECOND, **change)
        return {"today": made, "logs": (FIRST, SECOND, made)}

    def led(name, reason, check, previous, code="log.fork"):
        a.bad(f"a first leaf that names {name}", reason, check, code, **today(boot={"previous": previous}))

    def swapped(log, raw):
        return lambda served: served[log.origin].update(boot=base64url(raw))

    a.bad("a first leaf that is not in the log", "another start", "boot_leaf", bend=swapped(THIRD, Log("third", SECOND, boot={"started_ms": 0}).boot))
    a.bad("a first leaf that is the second", "place", "boot_leaf", bend=swapped(THIRD, b"third 1"))
    a.bad("an earlier boot's first leaf", "another leaf", "boot_leaf", bend=swapped(THIRD, SECOND.boot))
    a.bad("a first leaf not in the log before", "another leaf", "boot_leaf", saved=FIRST.note(9), bend=swapped(SECOND, Log("second", FIRST, boot={"started_ms": 0}).boot))
    a.bad("a first leaf that is not there", "gone", "boot_leaf", "log.damaged", bend=lambda served: served[THIRD.origin].pop("boot"))
    a.bad("a log without a leaf, where another was kept", "nothing names the log before", "boot_leaf", **today(size=0))
    session = {"kind": "session", "session": "0f" * 16, "statements": [], "version": 1}
    for name, reason, made in (
        ("of another kind", "no boot leaf", {"raw": canonical(session)}),
        ("with an unknown member", "no such member", {"boot": {"more": 0}}),
        ("of version 2", "version", {"boot": {"version": 2}}),
        ("with a previous without a root", "a member is missing", {"boot": {"previous": {"origin": SECOND.origin, "size": 21}}}),
        ("with a negative size", "integer from 0", {"boot": {"previous": SECOND.end(size=-1)}}),
        ("with a root in upper case", "spelling", {"boot": {"previous": SECOND.end(root=SECOND.end()["root"].upper())}}),
    ):
        a.bad(f"a first leaf {name}", reason, "boot_form", "receipt.invalid", **today(**made))
    a.bad("a first leaf in another spelling", "not canonical", "boot_form", "json.not_canonical", **today(raw=THIRD.boot + b"\n"))
    a.bad("a first leaf of another key set", "origin", "boot_key_set", **today(boot={"key_set": SECOND.of.k.hex()}))
    near = THIRD.of.k.hex()
    near = near[:15] + ("0" if near[15] != "0" else "1") + near[16:]
    a.bad("a first leaf of a key set that differs in the last digit of the origin", "origin", "boot_key_set", **today(boot={"key_set": near}))
    a.bad("a first leaf that continues no log", "none named", "boot_previous", **today(boot={"previous": None}))
    a.bad("the oldest log, where one before it was kept", "none named", "boot_previous", saved=Log("before", leaves=[]).note(1))
    led("its own log", "the way does not end", "way", {**SECOND.end(size=0, root=ROOT_OF_NONE.hex()), "origin": THIRD.origin})
    led("more leaves than there are", "tiles not there", "tiles", SECOND.end(size=22), "log.damaged")
    led("fewer leaves with the root of all", "tiles not there", "tiles", SECOND.end(size=20), "log.damaged")
    led("another root", "another root", "tiles", SECOND.end(root="00" * 32), "log.damaged")
    nowhere = SECOND.end(origin="sealed/" + "0" * 16)
    led("a log that is not there", "its first leaf is gone", "boot_leaf", nowhere, "log.damaged")
    led("the log before the one that was kept", "none named there", "boot_previous", FIRST.end())


def _parted(a):
    cut = Log("second", FIRST, size=12)
    after = Log("third", cut)
    a.bad("an earlier log that ends before what was kept", "shorter", "size", today=after, logs=(cut, after))
    short = Log("third", SECOND, size=8)
    a.bad("today's log shorter than what was kept", "shorter", "size", saved=THIRD.note(9), today=short, logs=(SECOND, short), newest=short.note(8, counter=200))
    a.bad("today's log with a lower counter", "counter", "counter", saved=THIRD.note(8), newest=THIRD.note(9, counter=107))
    a.bad("a counter that stood still while the log grew", "counter", "counter", saved=THIRD.note(8), newest=THIRD.note(9, counter=108))
    a.bad("one checkpoint twice, the newer with a lower counter", "counter", "counter", saved=THIRD.note(9), newest=THIRD.note(9, counter=108))
    a.bad("a counter above 2^53 that fell by one", "no float", "counter", saved=THIRD.note(8, counter=2**53 + 1), newest=THIRD.note(9, counter=2**53))
    a.bad("a counter that fell from the greatest there is", "64 bits", "counter", saved=THIRD.note(8, counter=2**64 - 1), newest=THIRD.note(9, counter=0))

    def other(label, before, at, *put):
        leaves = [f"{label} {i}".encode() for i in range(1, SIZES[label])]
        leaves[at - 1 : at - 1 + len(put)] = put
        return Log(label, before, leaves=leaves)

    def fork(name, reason, saved, log, *logs):
        a.bad(name, reason, "consistency", saved=saved, today=logs[-1] if logs else log, logs=(log, *logs))

    second = other("second", FIRST, 9, b"another")
    fork("an earlier log with another leaf within what was kept", "root", SECOND.note(13), second, Log("third", second))
    last = other("second", FIRST, 20, b"another")
    fork("an earlier log with its last leaf another", "root", SECOND.note(21), last, Log("third", last))
    swapped = other("second", FIRST, 4, b"second 5", b"second 4")
    fork("an earlier log with two leaves exchanged", "order", SECOND.note(13), swapped, Log("third", swapped))
    mine = other("third", SECOND, 5, b"another")
    fork("today's log with another leaf within what was kept", "root", THIRD.note(7), mine)
    fork("today's log at the size that was kept, with another root", "one size, two roots", THIRD.note(9), mine)
    begun = Log("third", SECOND, boot={"started_ms": 0})
    fork("today's log with another first leaf", "root", THIRD.note(1), begun)
    for name, reason, text in (
        ("a kept checkpoint of an earlier boot with another size", "root", SECOND.note(13).replace("\n13\n", "\n12\n")),
        ("a kept checkpoint of an earlier boot with another root", "root", SECOND.note(13, root=bytes(32))),
        ("a kept checkpoint of no leaf with a root", "root of the empty tree", SECOND.note(0, root=SECOND.hashes[0])),
    ):
        a.bad(name, reason, "consistency", saved=text)


def vectors():
    a = Audits()
    for cases in (_grown, _unjudged, _cosigned, _notes, _tiles, _boots, _parted):
        cases(a)
    return [a.vectors]
