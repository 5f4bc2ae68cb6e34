"""Lies in receipts, and in what is held against them."""
import base64
import json

from bundles_base import NO_CHECKPOINT, NO_STATEMENTS, after
from make import drop, put
from seeded import ed_key, some
from verifier.edits import edited
from verifier.encodings import base64url, canonical, sha256
from verifier.merkle import leaf_hash
from verifier.weights import model_of
from world import NOW_MS, WORKLOAD, Boot, Session, hexes, merkle, note


def lies(j):
    _form(j)
    _grammar(j)
    _checkpoint(j)
    _inclusion(j)
    _quote(j)
    _session(j)
    _weights(j)
    _request(j)
    _output(j)
    _time(j)


def _opened(j):
    text = j.base["receipt"]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _form(j):
    raw = _opened(j)

    def bad(name, reason, receipt):
        j.failed(f"a receipt {name}", reason, ["receipt.form"], put("receipt", value=receipt), skipped=after("receipt.form"))

    def spelled(name, reason, spell):
        bad(name, reason, base64url(spell(raw)))

    bad("that is empty", "no JSON", "")
    bad("with padding", "spelling of base64url", j.base["receipt"] + "=")
    bad("in the other alphabet", "spelling of base64url", "+" + j.base["receipt"][1:])
    bad("too long", "65,536 characters at most", "A" * 65537)
    spelled("cut short", "not JSON", lambda text: text[:-1])
    spelled("with a byte after", "not canonical", lambda text: text + b"\n")
    spelled("with a member twice", "duplicate member", lambda text: text[:-1] + b',"version":1}')
    spelled("with 1.0 for 1", "number", lambda text: text[:-2] + b"1.0}")
    spelled("with an escape", "spelling of JSON", lambda text: text.replace(b'"leaf"', b'"l\\u0065af"'))
    spelled("out of order", "order of members", lambda text: b'{"version":1,' + text[1:].replace(b',"version":1}}', b"}"))
    for name, reason, *edits in (
        ("with an unknown member", "no such member", put("note", value="")),
        ("with __proto__", "no such member", put("__proto__", value={})),
        ("without a quote", "a member is missing", drop("quote")),
        ("of version 2", "version", put("version", value=2)),
        ("with a negative index", "index", put("index", value=-1)),
        ("with a path of 31-byte hashes", "width", put("path", value=[base64url(bytes(31))])),
        ("with a path of 49 hashes", "length", put("path", value=[base64url(bytes(32))] * 49)),
        ("of a boot leaf", "kind", put("leaf", "kind", value="boot")),
        ("with a session id in upper case", "spelling", put("leaf", "session", value="AB" * 16)),
        ("with an unknown statement", "type", put("leaf", "statements", 5, "type", value="seal.assumed")),
        ("with an unknown member of a statement", "no such member", put("leaf", "statements", 0, "user", value="x")),
        ("with one statement", "two at least", put("leaf", "statements", value=j.session.statements[:1])),
        ("with 33 statements", "32 at most", put("leaf", "statements", value=j.session.statements[:1] * 33)),
        ("with a number for a time", "type", put("leaf", "statements", 0, "mono_us", value=5)),
        ("with a time that begins with 0", "spelling", put("leaf", "statements", 0, "mono_us", value="05")),
        ("with an unknown reason", "no such word", put("leaf", "statements", value=[
            j.session.statements[0],
            {"type": "session.aborted", "at": "sealed", "output_bytes": 0, "reason": "bored", "seq": 1, "utc_ms": 0, "mono_us": "1"},
        ])),
    ):
        bad(name, reason, base64url(_dumps(edited(json.loads(raw), *edits))))


def _dumps(value):
    """Canonical, even where member names are not allowed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _renumbered(statements):
    return [{**each, "seq": i, "mono_us": str(1000 * i)} for i, each in enumerate(statements)]


def _grammar(j):
    whole = j.session.statements

    def bad(name, reason, statements, renumber=True, **more):
        statements = _renumbered(statements) if renumber else statements
        leaf = {**j.session.leaf, "statements": statements}
        j.failed(f"statements: {name}", reason, ["receipt.grammar"], leaf=leaf, skipped=NO_STATEMENTS, **more)

    def without(*kinds):
        return [each for each in whole if each["type"] not in kinds]

    for each in whole:
        if each["type"] not in ("activations.observed",):
            bad(f"no {each['type']}", "a statement is missing", without(each["type"]))
    for i, each in enumerate(whole):
        if each["type"] != "activations.observed":
            bad(f"{each['type']} twice", "a statement stands twice", [*whole[: i + 1], *whole[i:]])
    for i in range(len(whole) - 1):
        exchanged = [*whole[:i], whole[i + 1], whole[i], *whole[i + 2 :]]
        bad(f"{whole[i]['type']} after {whole[i + 1]['type']}", "order", exchanged)
    for i in range(2, len(whole)):
        bad(f"cut after {i}", "the session does not end", whole[:i])
    abort = {"type": "session.aborted", "at": "committed", "output_bytes": 0, "reason": "client.gone", "utc_ms": NOW_MS - 10000}
    bad("aborted before the seal", "no replica was there", [whole[0], abort])
    bad("aborted after the release", "too late", [*whole[:-1], abort])
    bad("aborted at the end", "it ended already", [*whole, abort])
    bad("aborted, and going on", "it ended already", [*whole[:3], abort, *whole[3:]])
    read = Session(j.boot, "reading", operation="read").statements
    bad("a reading in a sealed session", "one or the other", [*whole[:-1], read[1], whole[-1]])
    bad("a reading under another operation", "operation", [whole[0], *read[1:]])
    bad("a sealed session that is a read", "operation", edited(whole, put(0, "operation", value="read")))
    bad("a write that was applied as an update", "operation", edited(whole, put(0, "operation", value="write")))
    bad("an update that was applied as a write", "operation", edited(whole, put(4, "operation", value="write")))
    bad("counting from 1", "seq", [{**each, "seq": each["seq"] + 1} for each in whole], False)
    bad("a gap", "seq", edited(whole, put(8, "seq", value=9)), False)
    bad("a number twice", "seq", edited(whole, put(3, "seq", value=2)), False)
    bad("time that runs backwards", "mono_us", edited(whole, put(4, "mono_us", value="4999999999")), False)
    bad("a claimed time that falls", "utc_ms", edited(whole, put(4, "utc_ms", value=whole[3]["utc_ms"] - 1)), False)
    huge = edited(whole, *(put(i, "mono_us", value="18446744073709551615" if i < 8 else "18446744073709551614") for i in range(9)))
    bad("time that falls by one at 2 to the 64th", "mono_us is a 64-bit number", huge, False)
    for member in ("expect", "header_digest", "transport_key"):
        bad(f"an envelope without {member}", "door", edited(whole, drop(0, member)))
    bad("an envelope with input_digest", "door", edited(whole, put(0, "input_digest", value=hexes("input"))))
    plain = Session(j.boot, "plain door", "plain").statements
    bad("a plain door without input_digest", "door", edited(plain, drop(0, "input_digest")))
    for member in ("header_digest", "transport_key"):
        bad(f"a plain door with {member}", "door", edited(plain, put(0, member, value=hexes("x"))))
    bad("an envelope said to be plain", "door", edited(whole, put(0, "door", value="plain")))
    level = [{**each, "mono_us": "1000"} for each in whole]
    j.verified("statements at one instant", leaf={**j.session.leaf, "statements": level})
    twice = _renumbered([*whole[:4], *whole[3:]])
    j.verified("activations observed twice", leaf={**j.session.leaf, "statements": twice})


def _checkpoint(j):
    boot, body = j.boot, _body(j)
    signature = ["receipt.checkpoint_signature"]
    stranger = ed_key("stranger")

    def bad(name, reason, text):
        j.failed(f"a checkpoint {name}", reason, signature, checkpoint=text, skipped=NO_CHECKPOINT)

    good = note(body, boot.origin, boot.ledger)
    bad("signed by another key", "key hash", note(body, boot.origin, stranger))
    raw = base64.b64decode(good.split(" ")[-1])
    forged = stranger.sign(body.encode())
    bad("signed by another key under this key's hash", "signature", note(body, boot.origin, boot.ledger, blob=raw[:4] + forged))
    bad("of another log", "origin", note(body.replace(boot.origin, "sealed/" + "0" * 16), "sealed/" + "0" * 16, boot.ledger))
    bad("signed under another name", "name", note(body, "sealed/" + "0" * 16, boot.ledger))
    bad("with another time", "signature", good.replace(f"time {NOW_MS - 5000}", f"time {NOW_MS - 4000}"))
    bad("with another counter", "signature", good.replace("counter 41", "counter 42"))
    bad("of another kind of key", "key hash", note(body, boot.origin, boot.ledger, mark=b"\4"))
    bad("without a signature", "no line of it", body + "\n")
    bad("with two signatures", "exactly one", good + good.split("\n\n")[1])
    bad("with a hyphen for the dash", "spelling", good.replace("\u2014", "-"))
    bad("with a byte after", "trailing bytes", good + "\n")
    bad("with a signature one byte short", "width", note(body, boot.origin, boot.ledger, blob=raw[:-1]))
    bad("that is empty", "no checkpoint", "")

    def resigned(name, reason, text):
        bad(name, reason, note(text, boot.origin, boot.ledger))

    lines = body.split("\n")
    resigned("with a line more", "unknown line", body + "more 1\n")
    resigned("without its boot line", "a line is missing", "\n".join(lines[:6]) + "\n")
    resigned("with lines out of order", "order", "\n".join([*lines[:3], lines[4], lines[3], *lines[5:]]))
    resigned("with a size in hexadecimal", "spelling", body.replace("\n7\n", "\n0x7\n"))
    resigned("with a size that begins with 0", "spelling", body.replace("\n7\n", "\n07\n"))
    resigned("with a counter in upper case", "spelling", body.replace("counter", "Counter"))
    resigned("with two spaces", "spelling", body.replace("counter ", "counter  "))
    resigned("with carriage returns", "spelling", body.replace("\n", "\r\n"))
    resigned("with a state in upper case", "spelling", body.replace(hexes("state"), hexes("state").upper()))
    resigned("with an unpadded root", "spelling", body.replace("=\nstate", "\nstate"))
    resigned("of an attestation key without its algorithm", "name", body.replace("boot 000b", "boot "))


def _body(j, **change):
    leaves = [leaf_hash(f"leaf {i}".encode()) for i in range(7)]
    leaves[3] = leaf_hash(canonical(j.session.leaf))
    return j.boot.body(7, merkle(leaves), **change)


def _inclusion(j):
    path = [base64url(each) for each in _path(j)]

    def bad(name, reason, **change):
        j.failed(f"inclusion: {name}", reason, ["receipt.inclusion"], **change)

    bad("a path too short", "length", path=path[:-1])
    bad("a path too long", "length", path=[*path, base64url(bytes(32))])
    bad("no path", "length", path=[])
    bad("a path in another order", "root", path=path[::-1])
    for i in range(len(path)):
        bad(f"another hash at {i}", "root", path=[*path[:i], base64url(bytes(32)), *path[i + 1 :]])
    # The builder places the leaf at 3; the receipt then says otherwise.
    for index in (0, 2, 6, 7, 2**53 - 1):
        wrong = _receipt(j, index=index)
        j.failed(f"inclusion: index {index} for 3", "place", ["receipt.inclusion"], put("receipt", value=wrong))
    other = edited(j.session.leaf, put("statements", 0, "endpoint", value="/v1/completions"))
    j.failed(
        "inclusion: a leaf that is not in the log", "root", ["receipt.inclusion", "receipt.request"],
        put("receipt", value=_receipt(j, leaf=other)),
    )
    other = edited(j.session.leaf, put("session", value="00" * 16))
    j.failed("inclusion: another session's id", "root", ["receipt.inclusion"], put("receipt", value=_receipt(j, leaf=other)))
    empty = j.boot.body(0, sha256(b""))
    bound = j.boot.quote("checkpoint", sha256(empty.encode()))
    bad("an empty log", "index outside the tree", checkpoint=note(empty, j.boot.origin, j.boot.ledger), quote=bound, path=[])


def _receipt(j, **change):
    return base64url(canonical({**json.loads(_opened(j)), **change}))


def _path(j):
    return [base64.urlsafe_b64decode(each + "=") for each in json.loads(_opened(j))["path"]]


def _quote(j):
    boot, body, stranger = j.boot, _body(j), Boot("stranger")
    x = sha256(body.encode())
    signature, selection, bound = (f"receipt.quote_{each}" for each in ("signature", "selection", "binding"))

    def bad(name, reason, failed, quote):
        j.failed(f"a receipt's quote {name}", reason, failed, quote=quote)

    bad("of another key", "signature", [signature], boot.quote("checkpoint", x, key=stranger.ak))
    bad("of other PCR values", "PCR digest", [selection], boot.quote("checkpoint", x, pcrs=stranger.pcrs))
    bad("of another checkpoint", "x", [bound], boot.quote("checkpoint", sha256(b"another")))
    bad("for keys", "purpose", [bound], boot.quote("keys", x))
    bad("for a challenge", "purpose", [bound], boot.quote("challenge", x))
    bad("of the note, signature and all", "x is over the body", [bound], boot.quote("checkpoint", sha256(note(body, boot.origin, boot.ledger).encode())))
    bad("of another key set", "K", [bound], stranger.quote("checkpoint", x, pcrs=boot.pcrs, key=boot.ak))
    bad("that is the document's", "binding", [bound], j.document["quote"])
    bad("of another boot", "resetCount", ["receipt.boot"], boot.quote("checkpoint", x, reset=8))
    bad("after a resume", "restartCount", ["receipt.boot"], boot.quote("checkpoint", x, restart=1))
    j.failed("a checkpoint of another boot", "resetCount", ["receipt.boot"], body={"reset": 8})
    j.failed("a checkpoint after a resume", "restartCount", ["receipt.boot"], body={"restart": 1})
    j.failed("a checkpoint of another attestation key", "name", ["receipt.boot"], body={"name": stranger.name.hex()})
    j.failed("a receipt that names another document", "digest", ["receipt.document"], put("receipt", value=_receipt(j, document=hexes("another"))))
    clock = boot.quote("checkpoint", x, clock=1)
    j.verified("a clock that fell after an unclean stop", quote=clock)


def _weights(j):
    """A model is what is mounted, and not the image alone."""
    roots = [hexes("second root"), hexes("first root")]
    with_weights = {**WORKLOAD, "weights": roots}
    boot = Boot("weights", configuration={**j.boot.configuration, "workloads": [with_weights]})
    session = Session(boot, "with weights")
    j.verified("a session with weights volumes", boot=boot, session=session)

    def bad(name, model):
        leaf = edited(session.leaf, put("statements", 3, "model", value=model))
        j.failed(f"a session with weights volumes, of the model of {name}", "model", ["receipt.configuration"], boot=boot, session=session, leaf=leaf)

    bad("its image", WORKLOAD["image"])
    bad("one of them", model_of({**WORKLOAD, "weights": roots[:1]}))
    bad("them in another order", model_of({**WORKLOAD, "weights": roots[::-1]}))
    bad("them in another image", model_of({**with_weights, "image": hexes("x")}))


def _session(j):
    def bad(name, reason, failed, *edits, boot=None, **more):
        leaf = edited(j.session.leaf, *edits)
        j.failed(f"a session {name}", reason, failed, leaf=leaf, **more)

    at = {each["type"]: i for i, each in enumerate(j.session.statements)}

    def say(kind, *path, value):
        return put("statements", at[kind], *path, value=value)

    of = ["receipt.configuration"]
    bad("of another workload", "workload", [*of, "receipt.request"], say("request.received", "workload", value="other"))
    bad("of a workload that was not measured", "workload", of, say("request.received", "workload_digest", value=hexes("x")))
    bad("in another image", "image", of, say("seal.enforced", "image", value=hexes("x")))
    bad("of activations of another model", "model", of, say("activations.observed", "model", value=hexes("x")))
    bad("whose seal let a probe through", "probe", of, say("seal.enforced", "probes", "reached", value=1))
    bad("whose ruleset changed", "ruleset", of, say("seal.checked", "ruleset_digest", value=hexes("x")))
    of = ["receipt.metering"]
    bad("that was not metered", "metering", of, say("registry.applied", "metered", value=False))
    bad("metered without activations", "metering", of, drop("statements", at["activations.observed"]), *(
        put("statements", i - 1, "seq", value=i - 1) for i in range(at["registry.applied"], 9)
    ))
    unmetered = edited(
        j.session.leaf, drop("statements", 3), *(put("statements", i - 1, "seq", value=i - 1) for i in range(4, 9)),
        put("statements", 3, "metered", value=False),
    )
    j.verified("a session that was not metered, where that is enough", put("policy", "metering", value="optional"), leaf=unmetered)
    j.failed("a session without activations", "metering", of, leaf=unmetered)
    half = edited(j.session.leaf, say("registry.applied", "metered", value=False))
    j.failed("a session observed and not metered", "metering", of, put("policy", "metering", value="optional"), leaf=half)
    of = ["receipt.transport_key", "receipt.request"]
    bad("with a transport key that is not listed", "key", of, say("request.received", "transport_key", value=hexes("x")))
    of = ["receipt.transport_key"]
    key = j.boot.transport[0]

    def from_moment(moment):
        """The session as it would have been, had it begun then."""
        moved = moment - j.session.statements[0]["utc_ms"]
        return [put("statements", i, "utc_ms", value=each["utc_ms"] + moved) for i, each in enumerate(j.session.statements)]

    late = key["not_after_ms"] + 1
    bad("after its transport key ended", "validity", of, *from_moment(late), body={"time": late + 60})
    bad("before its transport key began", "validity", of, say("request.received", "utc_ms", value=key["not_before_ms"] - 1))
    for name, moment in (("last", key["not_after_ms"]), ("first", key["not_before_ms"])):
        leaf = edited(j.session.leaf, *from_moment(moment))
        j.verified(f"the {name} millisecond of a transport key", leaf=leaf, body={"time": key["not_after_ms"] + 60})
    aborted = Session(j.boot, "aborted unmetered", abort=5)
    leaf = edited(aborted.leaf, put("statements", 4, "metered", value=False))
    j.verified("an aborted session that was not metered", drop("output"), session=aborted, leaf=leaf, skipped=["receipt.output"])


def _request(j):
    of, other = ["receipt.request"], Session(j.boot, "other")
    sent = json.loads(j.session.request)

    def bad(name, reason, failed, text):
        j.failed(f"an envelope {name}", reason, failed, put("request", value=base64url(text)))

    both = [*of, "receipt.nonce"]
    bad("of another request", "header digest", both, other.request.encode())
    bad("with another input", "input digest", of, canonical({**sent, "input": json.loads(other.request)["input"]}))
    bad("with other instructions", "instructions digest", of, canonical({**sent, "instructions": json.loads(other.request)["instructions"]}))
    bad("that is malformed", "not canonical", both, j.session.request.encode() + b"\n")
    bad("that is empty", "not JSON", both, b"")
    for member, value in (("workload", hexes("x")), ("metering", "optional"), ("seal_policy", "epoch")):
        leaf = edited(j.session.leaf, put("statements", 0, "expect", member, value=value))
        j.failed(f"an expectation that is not echoed: {member}", "echo", of, leaf=leaf)
    stranger = Session(Boot("stranger"), "stranger")
    j.failed("an envelope for another key set", "expect.key_set", of, session=stranger)
    for member, value in (("endpoint", "/v1/completions"), ("header_digest", hexes("x"))):
        leaf = edited(j.session.leaf, put("statements", 0, member, value=value))
        j.failed(f"a receipt that states another {member}", "header", of, leaf=leaf)
    leaf = edited(j.session.leaf, put("statements", 0, "nonce", value=base64url(some("x", 32))))
    j.failed("a receipt with another nonce", "echo", ["receipt.nonce"], leaf=leaf)
    j.failed("a receipt without a nonce", "echo", ["receipt.nonce"], leaf=edited(j.session.leaf, drop("statements", 0, "nonce")))
    plain = Session(j.boot, "a plain one", "plain")
    j.failed("an envelope answered by a plain receipt", "door", both, put("request", value=j.base["request"]), session=plain)
    body = put("input", value=base64url(j.session.input))
    j.failed("a plain body answered by an envelope's receipt", "door", both[:1], body)
    j.failed("a plain body alone, answered by an envelope's receipt", "door", both[:1], body, drop("request"), skipped=["receipt.nonce"])
    j.failed("another body", "input digest", of, put("input", value=base64url(b"{}")), session=plain)
    j.failed("another nonce", "echo", ["receipt.nonce"], put("nonce", value=base64url(some("x", 32))), session=plain)


def _output(j):
    of = ["receipt.output"]
    for name, reason, value in (
        ("other bytes", "digest", j.session.output[:-1] + b"]"),
        ("a byte more", "length", j.session.output + b"\n"),
        ("a byte less", "length", j.session.output[:-1]),
        ("nothing", "length", b""),
    ):
        j.failed(f"output: {name}", reason, of, put("output", value=base64url(value)))
    j.failed("output: another salt", "salt", of, put("salt", value=base64url(some("x", 32))))
    leaf = edited(j.session.leaf, put("statements", 6, "output_digest", value=sha256(j.session.output).hex()))
    j.failed("output: an unsalted digest", "salt", of, leaf=leaf)
    leaf = edited(j.session.leaf, put("statements", 6, "output_bytes", value=len(j.session.output) + 1))
    j.failed("output: another length stated", "length", of, leaf=leaf)
    for at in (3, 7):
        j.failed(f"output: of a session aborted after {at}", "nothing was committed to", of, session=Session(j.boot, f"gone {at}", abort=at))
    read = Session(j.boot, "a read", operation="read", output=b"{}")
    j.failed("output: another reading", "digest", of, put("output", value=base64url(b"[]")), session=read)


def _time(j):
    of = ["receipt.time"]
    leaf = edited(j.session.leaf, put("statements", 8, "utc_ms", value=NOW_MS - 4999))
    j.failed("time: a statement after its checkpoint", "order", of, leaf=leaf)
    j.failed("time: a checkpoint before its session", "order", of, body={"time": NOW_MS - 10001})
    j.failed("time: older than the policy allows", "age", of, put("policy", "max_age_ms", value=4999))
    age = put("policy", "max_age_ms", value=60000)
    j.failed("time: a checkpoint of the future", "more than 60 s ahead", of, age, body={"time": NOW_MS + 60001})
    j.verified("time: a clock one minute ahead", age, body={"time": NOW_MS + 60000})
    j.verified("time: years later", put("now_ms", value=NOW_MS + 20 * 31536000000))
