"""Vectors of the log: inclusion, consistency, checkpoints, cosignatures, tiles, and the state that a checkpoint names."""
import base64

from formats_wire import NOW_MS, hexes
from make import Vectors, drop, put
from seeded import ed_key
from verifier.encodings import base64url, canonical, sha256
from verifier.merkle import leaf_hash, node_hash
from world import Boot, merkle, merkle_path, note, raw_public

BOOT = Boot()


def inclusion_vectors():
    v = Vectors("inclusion", "Inclusion", "Leaf hash, place, size, path and root, in hex. Leaf i is `leaf <i>` in ASCII.")
    hashes = [leaf_hash(f"leaf {i}".encode()) for i in range(40)]

    def given(index, size, **change):
        path = [each.hex() for each in merkle_path(hashes[:size], index)]
        return {"leaf": hashes[index].hex(), "index": index, "size": size, "path": path, "root": merkle(hashes[:size]).hex(), **change}

    for size in (1, 2, 3, 4, 5, 7, 8, 13, 32, 33, 40):
        for index in sorted({0, size // 2, size - 1}):
            v.good(f"{index} of {size}", **given(index, size))
    path = given(5, 13)["path"]
    for name, reason, change in (
        ("a path too short", "length", {"path": path[:-1]}),
        ("a path too long", "length", {"path": [*path, "00" * 32]}),
        ("no path", "length", {"path": []}),
        ("a path in another order", "root", {"path": path[::-1]}),
        ("another leaf", "root", {"leaf": hashes[6].hex()}),
        ("a leaf hashed as a node", "root", {"leaf": sha256(b"\1leaf 5").hex()}),
        ("another index", "root", {"index": 4}),
        ("an index outside", "not below the size", {"index": 13}),
        ("a greater size", "length or root", {"size": 17}),
        ("a smaller size", "length or root", {"size": 8}),
        ("an empty tree", "no leaf in it", {"size": 0}),
        ("another root", "root", {"root": "00" * 32}),
    ):
        v.bad(f"5 of 13, {name}", reason, **{**given(5, 13), **change})
    v.bad("0 of 1, a path", "length", **given(0, 1, path=["00" * 32]))
    v.bad("0 of 1, another leaf", "root", **given(0, 1, leaf=hashes[1].hex()))
    v.bad("1 of 1", "not below the size", **{**given(0, 1), "index": 1})
    inner = node_hash(hashes[0], hashes[1])
    v.bad("a node in a leaf's place", "length", leaf=inner.hex(), index=0, size=4, path=[node_hash(hashes[2], hashes[3]).hex()], root=merkle(hashes[:4]).hex())
    return v


def _subproof(m, hashes, whole):
    """RFC 6962 section 2.1.2."""
    if m == len(hashes):
        return [] if whole else [merkle(hashes)]
    k = 1
    while 2 * k < len(hashes):
        k *= 2
    if m <= k:
        return [*_subproof(m, hashes[:k], whole), merkle(hashes[k:])]
    return [*_subproof(m - k, hashes[k:], False), merkle(hashes[:k])]


def consistency_vectors():
    v = Vectors("consistency", "Consistency", "Two sizes, two roots and the proof between them, in hex.")
    hashes = [leaf_hash(f"leaf {i}".encode()) for i in range(40)]

    def root(size):
        return merkle(hashes[:size]).hex() if size else sha256(b"").hex()

    def given(m, n, **change):
        proof = [each.hex() for each in (_subproof(m, hashes[:n], True) if m else [])]
        return {"from": m, "size": n, "from_root": root(m), "root": root(n), "proof": proof, **change}

    for m, n in ((0, 0), (0, 1), (0, 9), (1, 1), (1, 2), (1, 9), (2, 3), (3, 7), (4, 7), (6, 7), (7, 7), (8, 9), (8, 32), (13, 40), (32, 33), (39, 40)):
        v.good(f"{m} to {n}", **given(m, n))
    good = given(6, 13)["proof"]
    for name, reason, change in (
        ("a proof too short", "length", {"proof": good[:-1]}),
        ("a proof too long", "length", {"proof": [*good, "00" * 32]}),
        ("no proof", "length", {"proof": []}),
        ("a proof in another order", "roots", {"proof": good[::-1]}),
        ("another older root", "roots", {"from_root": root(5)}),
        ("another root", "roots", {"root": root(12)}),
        ("roots exchanged", "roots", {"root": root(6), "from_root": root(13)}),
        ("another older size", "length or roots", {"from": 7}),
        ("a size of another height", "length", {"size": 17}),
    ):
        v.bad(f"6 to 13, {name}", reason, **given(6, 13, **change))
    v.bad("7 to 7, other roots", "a fork", **given(7, 7, root=root(6)))
    v.bad("7 to 7, a proof", "length", **given(7, 7, proof=["00" * 32]))
    v.bad("0 to 9, a proof", "length", **given(0, 9, proof=["00" * 32]))
    v.bad("0 to 9, no empty root", "root of the empty tree", **given(0, 9, from_root="00" * 32))
    v.bad("0 to 0, another root", "root of the empty tree", **given(0, 0, root="00" * 32))
    v.bad("a log that shrank", "order of the sizes", **{**given(6, 13), "from": 13, "size": 6, "from_root": root(13), "root": root(6)})
    return v


def checkpoint_vectors():
    body = BOOT.body(7, sha256(b"root"))
    v = Vectors(
        "checkpoint", "Checkpoint", "Notes as receipts hold them, under `common.ledger_key`. Numbers above 2^53 are text.",
        common={"ledger_key": base64url(raw_public(BOOT.ledger))},
    )

    def good(name, size=7, **change):
        text = BOOT.body(size, sha256(b"root"), **change)
        at = {"counter": 41, "time": NOW_MS - 5000, "reset": 7, "restart": 0, **change}
        expect = {
            "origin": at.get("origin", BOOT.origin), "size": size, "root": sha256(b"root").hex(), "state": hexes("state"),
            "counter": str(at["counter"]), "time": at["time"], "ak_name": BOOT.name.hex(), "reset": at["reset"],
            "restart": at["restart"],
        }
        v.good(name, note=note(text, expect["origin"], BOOT.ledger), expect=expect)

    good("a checkpoint")
    good("of an empty log", size=0)
    good("with a counter of 64 bits", counter=2**64 - 1)
    good("after many boots", reset=4294967295, restart=4294967295)
    without = Boot(unsealed="system").body(7, sha256(b"root"))
    v.good("of a machine without a TPM", note=note(without, BOOT.origin, BOOT.ledger), expect={
        "origin": BOOT.origin, "size": 7, "root": sha256(b"root").hex(), "state": hexes("state"), "counter": "41",
        "time": NOW_MS - 5000, "ak_name": "absent", "reset": 0, "restart": 0,
    })
    good("of any origin: whose it is, others say", origin="example.org/log")
    sound = note(body, BOOT.origin, BOOT.ledger)
    for name, reason, text in (
        ("signed by another key", "key hash", note(body, BOOT.origin, ed_key("stranger"))),
        ("another body under a signature", "signature", sound.replace("counter 41", "counter 42")),
        ("signed under another name", "name", note(body, "sealed/other", BOOT.ledger)),
        ("with two signatures", "one in a receipt", sound + sound.split("\n\n")[1]),
        ("without a signature", "none", body + "\n"),
        ("with a line more", "unknown line", note(body + "more\n", BOOT.origin, BOOT.ledger)),
        ("with an empty line", "no end of the text", note(body + "\nmore\n", BOOT.origin, BOOT.ledger)),
        ("with carriage returns", "spelling", note(body.replace("\n", "\r\n"), BOOT.origin, BOOT.ledger)),
        ("with a byte after", "trailing bytes", sound + "\n"),
        ("with a space at a line's end", "spelling", note(body.replace("\nstate", " \nstate"), BOOT.origin, BOOT.ledger)),
        ("without a TPM, and with its counts", "spelling", note(without.replace("absent", "absent 7 0"), BOOT.origin, BOOT.ledger)),
        ("without a TPM, in upper case", "spelling", note(without.replace("absent", "Absent"), BOOT.origin, BOOT.ledger)),
        ("without a TPM, under the signature of one with it", "signature", sound.replace(body, without)),
        ("with an attestation key and no counts", "spelling", note(body.replace(f"{BOOT.name.hex()} 7 0", BOOT.name.hex()), BOOT.origin, BOOT.ledger)),
        ("with a root of 31 bytes", "width", note(body.replace(base64.b64encode(sha256(b"root")).decode(), base64.b64encode(bytes(31)).decode()), BOOT.origin, BOOT.ledger)),
        ("with a root that has stray bits", "spelling", note(body.replace(base64.b64encode(sha256(b"root")).decode(), "A" * 42 + "B="), BOOT.origin, BOOT.ledger)),
        ("with a size of 16 digits", "15 at most", note(body.replace("\n7\n", "\n1000000000000000\n"), BOOT.origin, BOOT.ledger)),
        ("with a time of another spelling", "spelling", note(body.replace("time 1", "time +1"), BOOT.origin, BOOT.ledger)),
    ):
        v.bad(name, reason, note=text)
    return v


def witness(label):
    key, name = ed_key("witness " + label), f"witness.example/{label}"
    return key, {"name": name, "public_key": base64url(raw_public(key))}


def cosign(body, label, seconds, key=None, head="cosignature/v1", mark=b"\4", spell=None):
    signer, named = witness(label)
    signer = key or signer
    public = raw_public(witness(label)[0])
    signature = signer.sign(f"{head}\ntime {seconds}\n{body}".encode())
    ident = sha256(named["name"].encode(), b"\n", mark, public)[:4]
    blob = ident + (seconds.to_bytes(8, "big") if spell is None else spell) + signature
    return f"\u2014 {named['name']} {base64.b64encode(blob).decode()}\n"


def cosignature_vectors():
    body, when = BOOT.body(7, sha256(b"root")), NOW_MS // 1000
    own = note(body, BOOT.origin, BOOT.ledger)
    one, two = witness("one")[1], witness("two")[1]
    v = Vectors(
        "cosignature", "Cosignatures", "Notes with lines of others. `expect` holds, of `common.witnesses`, who signed and when "
        "(in seconds, the earlier of two).",
        common={"ledger_key": base64url(raw_public(BOOT.ledger)), "witnesses": [one, two]},
    )

    def good(name, lines, *seen):
        v.good(name, note=lines, expect={"seen": [{"name": who["name"], "seconds": at} for who, at in seen]})

    good("nobody's", own)
    good("one witness", own + cosign(body, "one", when), (one, when))
    good("two witnesses, before the log's own line", own.split("\n\n")[0] + "\n\n" + cosign(body, "two", when + 5) + own.split("\n\n")[1] + cosign(body, "one", when), (one, when), (two, when + 5))
    good("one witness twice", own + cosign(body, "one", when + 9) + cosign(body, "one", when), (one, when))
    good("a cosignature of the first second", own + cosign(body, "one", 1), (one, 1))
    last = 8640000000000
    good("a cosignature of the last second", own + cosign(body, "one", last), (one, last))
    good("32 lines", own + cosign(body, "three", when) * 31)
    good("somebody that nobody knows", own + cosign(body, "three", when))
    good("somebody under a witness's name", own + cosign(body, "one", when, mark=b"\1"))
    for name, reason, text in (
        ("the log's own line missing", "the log's own", f"{body}\n{cosign(body, 'one', when)}"),
        ("the log's own line twice", "the log's own", own + own.split("\n\n")[1]),
        ("a witness's line signed by another", "signature", own + cosign(body, "one", when, key=ed_key("stranger"))),
        ("a cosignature of another checkpoint", "signature", own + cosign(BOOT.body(8, sha256(b"root")), "one", when)),
        ("a cosignature of another time", "signature", own + cosign(body, "one", when, spell=(when + 1).to_bytes(8, "big"))),
        ("a cosignature with another head", "signature", own + cosign(body, "one", when, head="cosignature/v2")),
        ("a cosignature without a time", "width", own + cosign(body, "one", when, spell=b"")),
        ("a cosignature of second 0", "no time", own + cosign(body, "one", 0)),
        ("a cosignature behind the last second", "no time", own + cosign(body, "one", last + 1)),
        ("a cosignature of the end of time", "no time", own + cosign(body, "one", 2**63 - 1)),
        ("a right one and a wrong one", "signature", own + cosign(body, "one", when) + cosign(body, "two", when, key=ed_key("stranger"))),
        ("33 lines", "32 at most", own + cosign(body, "three", when) * 32),
        ("an empty line", "malformed", own + "\n" + cosign(body, "one", when)),
        ("a line without its end", "malformed", (own + cosign(body, "one", when))[:-1]),
    ):
        v.bad(name, reason, note=text)
    return v


def _tile_path(level, index, width):
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    *groups, last = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    return f"tile/{level}/" + "".join(f"x{group}/" for group in groups) + last + ("" if width == 256 else f".p/{width}")


def tile_path_vectors():
    v = Vectors("tile_path", "Tiles", "Paths of hash tiles, below a log, and what they name.")
    for level, index, width in ((0, 0, 256), (0, 0, 1), (0, 0, 255), (1, 7, 256), (0, 999, 3), (0, 1000, 256), (2, 1234067, 17), (63, 0, 256)):
        path = _tile_path(level, index, width)
        v.good(path, path=path, expect={"level": level, "index": index, "width": width})
    for path, reason in (
        ("tile/0/0", "three digits"), ("tile/0/0000", "three digits"), ("tile/0/1000", "groups of three"),
        ("tile/0/x000/001", "a group of zeros in front"), ("tile/0/001/002", "x before all groups but the last"),
        ("tile/0/x001", "no x before the last group"), ("tile/00/000", "a zero in front"), ("tile/64/000", "level below 64"),
        ("tile/0/000.p/0", "no hash"), ("tile/0/000.p/256", "a full tile has no width"), ("tile/0/000.p/257", "too wide"),
        ("tile/0/000.p/01", "a zero in front"), ("tile/0/000.p/", "no width"), ("tile/0/000/", "a slash at the end"),
        ("tile/entries/000", "entry bundles are not served"), ("tile/-1/000", "no number"), ("/tile/0/000", "below the log"),
        ("tile/0/../000", "no number"), ("tile/0/00a", "no number"), ("", "nothing"),
    ):
        v.bad(path or "nothing", reason, path=path)
    return v


def tiles_of(hashes, size):
    """Every tile of a tree of `size` leaves, its hashes in hex."""
    tiles, level, nodes = {}, 0, hashes[:size]
    while nodes:
        for start in range(0, len(nodes), 256):
            part = nodes[start : start + 256]
            tiles[_tile_path(level, start // 256, len(part))] = [each.hex() for each in part]
        nodes = [merkle(nodes[start : start + 256]) for start in range(0, len(nodes) - 255, 256)]
        level += 1
    return tiles


def tile_vectors():
    size = 260
    hashes = [leaf_hash(f"leaf {i}".encode()) for i in range(size)]
    base = {"size": size, "root": merkle(hashes).hex(), "tiles": tiles_of(hashes, size)}
    about = "A log of 260 leaves in tiles, `base` with edits. The inclusion path of leaf `prove` is read out of the tiles, in hex."
    v = Vectors("tile", "Tiles", about, base=base)
    for index in (0, 1, 127, 255, 256, 259):
        v.good(f"leaf {index}", edits=[], prove=index, expect={"path": [each.hex() for each in merkle_path(hashes, index)]})
    full, edge, above = "tile/0/000", "tile/0/001.p/4", "tile/1/000.p/1"
    assert list(base["tiles"]) == [full, edge, above]
    zeros = "00" * 32
    for name, reason, index, edits in (
        ("a hash of the edge altered", "another root", 0, [put("tiles", edge, 3, value=zeros)]),
        ("a hash above altered", "another root", 0, [put("tiles", above, 0, value=zeros)]),
        ("a hash of a full tile altered", "not the one above", 0, [put("tiles", full, 200, value=zeros)]),
        ("a full tile in another order", "not the one above", 0, [put("tiles", full, 8, value=hashes[9].hex()), put("tiles", full, 9, value=hashes[8].hex())]),
        ("a full tile cut", "another width", 0, [drop("tiles", full, 255)]),
        ("the edge cut", "another width", 0, [drop("tiles", edge, 3)]),
        ("a tile that is gone", "not there", 259, [drop("tiles", edge)]),
        ("the full tile gone", "not there", 5, [drop("tiles", full)]),
        ("another root", "another root", 0, [put("root", value=zeros)]),
        ("a smaller size", "another root or width", 0, [put("size", value=259)]),
        ("a greater size", "another width", 0, [put("size", value=261)]),
        ("a leaf outside", "not below the size", 260, []),
    ):
        v.bad(name, reason, edits=edits, prove=index)
    return v


def state_vectors():
    ident = "0f" * 16
    signature = {"capability": f"{ident}/chemistry", "digest": hexes("vector"), "model": hexes("model"), "polarity": "positive"}
    other = {**signature, "digest": hexes("another vector"), "polarity": "negative"}
    coverage = {"boots": 2, "egress_open_ms": 40, "output_bytes_unmetered": 0, "rollbacks": 1, "sessions": 9, "sessions_unmetered": 0}
    v = Vectors("state", "Checkpoint", "What a checkpoint's `state` is of: signatures in the order in which they were written, meters, coverage.")
    def digest(written, meters, label=b"sealed/state/v1\0", start=bytes(32)):
        chain = start
        for each in written:
            chain = sha256(chain, canonical(each))
        said = canonical({"coverage": coverage, "meters": meters, "registry_version": len(written)})
        return sha256(label, chain, said).hex()

    moved = [{"capability": signature["capability"], "millionths": 1250001}]
    for name, written, meters in (
        ("nothing written", [], []),
        ("one signature", [signature], [{"capability": signature["capability"], "millionths": 0}]),
        ("two signatures, a meter that moved", [signature, other], moved),
        ("two signatures the other way round", [other, signature], moved),
    ):
        v.good(name, signatures=written, meters=meters, coverage=coverage, expect={"state": digest(written, meters)})
    for name, reason, stated in (
        ("signatures in another order", "the chain has an order", digest([other, signature], moved)),
        ("a signature left out", "another chain and version", digest([signature], moved)),
        ("a meter one millionth lower", "another meter", digest([signature, other], [{**moved[0], "millionths": 1250000}])),
        ("no label", "the label is part of it", digest([signature, other], moved, label=b"")),
        ("a chain that starts elsewhere", "it starts with zeros", digest([signature, other], moved, start=sha256(b""))),
    ):
        v.bad(name, reason, signatures=[signature, other], meters=moved, coverage=coverage, stated=stated)
    return v


def vectors():
    return [
        inclusion_vectors(), consistency_vectors(), checkpoint_vectors(), cosignature_vectors(),
        tile_path_vectors(), tile_vectors(), state_vectors(),
    ]
