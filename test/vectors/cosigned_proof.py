"""Vectors of tlog-proofs, and verdicts over them: who else has seen the leaf, and when."""
import base64

from formats_log import cosign, witness
from formats_wire import NOW_MS
from make import Vectors, put
from seeded import ed_key
from verifier.edits import edited
from verifier.encodings import base64url, canonical
from verifier.merkle import leaf_hash
from world import Boot, merkle, merkle_path, note


def proof_text(index, path, checkpoint, head="c2sp.org/tlog-proof@v1", extra=None):
    lines = [head, *([f"extra {extra}"] if extra is not None else []), f"index {index}"]
    return "\n".join([*lines, *(base64.b64encode(each).decode() for each in path), "", checkpoint])


def proof_vectors():
    v = Vectors("tlog_proof", "tlog-proof", "Texts of proofs, apart from what their checkpoints say. `expect` is what stands in them; the path is hex.")
    hashes = [leaf_hash(f"leaf {i}".encode()) for i in range(9)]
    path, checkpoint = merkle_path(hashes, 4), note("log\n9\nroot\n", "log", ed_key("log"))

    def good(name, index=4, nodes=path, **more):
        expect = {"index": index, "path": [each.hex() for each in nodes], "checkpoint": checkpoint}
        v.good(name, proof=proof_text(index, nodes, checkpoint, **more), expect=expect)

    good("a proof")
    good("of a lone leaf", 0, [])
    good("with an extra line", extra=base64.b64encode(b"anything").decode())
    good("at a great index", 999999999999999)
    sound = proof_text(4, path, checkpoint)
    for name, reason, text in (
        ("another format", "first line", sound.replace("@v1", "@v2")),
        ("no index", "a line is missing", sound.replace("index 4\n", "")),
        ("an index that begins with 0", "spelling", sound.replace("index 4", "index 04")),
        ("a negative index", "spelling", sound.replace("index 4", "index -4")),
        ("an index of 16 digits", "15 at most", sound.replace("index 4", "index 1000000000000000")),
        ("a hash of 31 bytes", "width", proof_text(4, [bytes(31)], checkpoint)),
        ("a hash without padding", "spelling", sound.replace("=\n", "\n", 1)),
        ("54 hashes", "53 at most", proof_text(4, [bytes(32)] * 54, checkpoint)),
        ("an extra line that is no base64", "spelling", proof_text(4, path, checkpoint, extra="?")),
        ("two extra lines", "one at most", proof_text(4, path, checkpoint, extra="AA==\nextra AA==")),
        ("an extra line after the index", "order", sound.replace("index 4", "index 4\nextra AA==")),
        ("no checkpoint", "no empty line", sound.split("\n\n")[0]),
        ("carriage returns", "spelling", sound.replace("\n", "\r\n")),
        ("nothing", "first line", ""),
    ):
        v.bad(name, reason, proof=text)
    return v


def lies(j):
    boot, leaf, when = j.boot, leaf_hash(canonical(j.session.leaf)), NOW_MS // 1000
    one, two = witness("one")[1], witness("two")[1]
    sent = {"sent_ms": NOW_MS - 11000}

    def proof(size=12, lines=lambda body: "", index=3, said=None, path=None, signer=None, **body):
        hashes = [leaf_hash(f"leaf {i}".encode()) for i in range(size)]
        hashes[index] = leaf
        text = boot.body(size, merkle(hashes), **{"counter": 42, "time": NOW_MS - 1000, **body})
        checkpoint = note(text, boot.origin, signer or boot.ledger) + lines(text)
        return proof_text(index if said is None else said, merkle_path(hashes, index) if path is None else path, checkpoint)

    def edits(text, quorum, *keys, **more):
        named = [put("policy", "witnesses", value={"keys": list(keys), "quorum": quorum})] if quorum is not None else []
        return [put("proof", value=text), *named, *(put(name, value=value) for name, value in more.items())]

    def by(*who, seconds=when):
        return lambda body: "".join(cosign(body, each, seconds) for each in who)

    seen = {"unskipped": ["receipt.fork"]}
    j.verified("witnessed by one", *edits(proof(lines=by("one")), 1, one, two, **sent), **seen)
    j.verified("witnessed by two", *edits(proof(lines=by("one", "two")), 2, one, two, **sent), **seen)
    j.verified("witnessed, and nobody needed it", *edits(proof(lines=by("one")), 0, one), **seen)
    j.verified("witnessed at the receipt's own checkpoint", *edits(proof(7, by("one"), counter=41), 1, one), **seen)
    j.verified("a proof, and no witness named", *edits(proof(lines=by("one")), None))
    j.verified("a proof that nobody cosigned, where nobody need", *edits(proof(), 0, one))
    j.incomplete("too few witnesses", "quorum", *edits(proof(lines=by("one")), 2, one, two))
    j.incomplete("no proof where witnesses are needed", "none given", *edits(proof(), 1, one)[1:])
    j.incomplete("a witness that nobody named", "no line of a named one", *edits(proof(lines=by("three")), 1, one))
    j.incomplete("one witness twice", "two are needed", *edits(proof(lines=by("one", "one")), 2, one, two))

    def bad(name, reason, text, *keys, failed=("receipt.fork",), **more):
        j.failed(f"a proof {name}", reason, list(failed), *edits(text, 1, *(keys or (one,)), **more), **seen)

    bad("of another leaf's place", "index", proof(lines=by("one"), said=4))
    bad("of another leaf", "root", proof(lines=by("one"), index=5))
    bad("with a path too short", "length", proof(lines=by("one"), path=[bytes(32)]))
    bad("of another log", "origin", proof(lines=by("one"), origin="sealed/" + "0" * 16))
    bad("of another boot", "resetCount", proof(lines=by("one"), reset=8))
    bad("after a resume", "restartCount", proof(lines=by("one"), restart=1))
    bad("whose counter stood still", "counter", proof(lines=by("one"), counter=41))
    bad("smaller than the receipt's, with its counter", "counter", proof(6, by("one"), counter=41))
    j.verified("witnessed at a smaller checkpoint", *edits(proof(6, by("one"), counter=40), 1, one), **seen)
    bad("of another attestation key", "name", proof(lines=by("one"), name=Boot("stranger").name.hex()))
    bad("signed by another", "signature", proof(lines=by("one"), signer=ed_key("stranger")))
    forked = [leaf_hash(f"other {i}".encode()) for i in range(7)]
    forked[3] = leaf
    text = boot.body(7, merkle(forked))
    fork = proof_text(3, merkle_path(forked, 3), note(text, boot.origin, boot.ledger) + by("one")(text))
    bad("of a forked log", "one size, two roots", fork)
    bad("with a witness's wrong line", "signature", proof(lines=lambda body: cosign(body, "one", when, key=ed_key("stranger"))))
    bad("with a right line and a wrong one", "signature", proof(lines=lambda body: cosign(body, "one", when) + cosign(body, "two", when, key=ed_key("stranger"))), one, two)
    bad("cosigned in time to come", "60 s ahead at most", proof(lines=by("one", seconds=when + 61)))
    bad("cosigned at no time", "0", proof(lines=by("one", seconds=0)))
    bad("that is none", "format", "proof")
    time = ["receipt.time"]
    j.failed("a session that claims a time before it was asked for", "300 s", time, put("sent_ms", value=NOW_MS + 290001))
    j.verified("a session that claims a time 300 s before", put("sent_ms", value=NOW_MS + 290000))
    # `until` is one second after the cosignature, and the last statement may claim 300 s more.
    for name, behind, add in (("at the end", 0, j.verified), ("behind the end", 1, j.failed)):
        moment = NOW_MS + 1000 + behind
        slow = edited(j.session.leaf, put("statements", 8, "utc_ms", value=moment))
        hashes = [leaf_hash(f"leaf {i}".encode()) for i in range(12)]
        hashes[3] = leaf_hash(canonical(slow))
        text = boot.body(12, merkle(hashes), counter=42, time=moment)
        lines = cosign(text, "one", when - 50) + cosign(text, "one", when - 300)
        shown = proof_text(3, merkle_path(hashes, 3), note(text, boot.origin, boot.ledger) + lines)
        told = [] if add == j.verified else ["300 s behind, and the second begun", time]
        add(f"a session that ended {name} of what a witness allows", *told, *edits(shown, 1, one), leaf=slow, body={"time": moment}, **seen)
    # Seen in the second before the one that began 10 s ago, so until its beginning.
    just = proof(lines=by("one", seconds=when - 11))
    j.verified("a proof cosigned within the second of the nonce", *edits(just, 1, one, sent_ms=NOW_MS - 10000), **seen)
    bad("cosigned a second and a millisecond before the nonce", "bounds exclude one another", just, failed=time, sent_ms=NOW_MS - 9999)
    early = by("one", seconds=when - 312)
    bad("cosigned long before the session", "300 s", proof(lines=early), failed=time)
    bad("cosigned before it was asked for", "bounds exclude one another", proof(lines=by("one", seconds=when - 20)), failed=time, sent_ms=NOW_MS)
    other = [put("request", value=base64url(b"")), put("sent_ms", value=NOW_MS + 290001)]
    j.failed("a time sent with another nonce", "it bounds nothing", ["receipt.request", "receipt.nonce"], *other)
