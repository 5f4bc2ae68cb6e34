"""Vectors of what a session says: statements, their grammar, leaves; readings; and attribution."""
import re

from formats_wire import authority, hexes
from make import Vectors, drop, put
from verifier.edits import edited
from verifier.encodings import base64url, canonical, salted, sha256, unbase64url
from verifier.merkle import leaf_hash
from world import Boot, Session, epoch_leaf

BOOT = Boot()
WHOLE = Session(BOOT).statements
READ = Session(BOOT, "reading", operation="read").statements
ABORT = Session(BOOT, "gone", abort=3).statements[-1]
JOINED = Session(BOOT, "joined", epoch="joined").statements
EPOCH_LEAF = epoch_leaf()
BEGUN, HELD, ENDED = EPOCH_LEAF["statements"]
UNSEALED = Session(BOOT, "unsealed", unsealed="system").statements
ONE_OF_EACH = {each["type"]: each for each in [*WHOLE, READ[1], ABORT, JOINED[1], JOINED[7], BEGUN, ENDED, *UNSEALED[1:3]]}


def statement_vectors():
    v = Vectors("statement", "Statements", "Single statements: `base` holds one of each type, by type.", base=ONE_OF_EACH)
    for kind, statement in ONE_OF_EACH.items():
        v.good(kind, type=kind, edits=[])
        v.bad(f"{kind}, an unknown member", "no such member", type=kind, edits=[put("note", value="")])
        for member in statement:
            optional = kind == "request.received" and member in ("expect", "header_digest", "nonce", "transport_key")
            add = v.good if optional else v.bad
            why = {} if optional else {"reason": "a member is missing"}
            add(f"{kind} without {member}", type=kind, edits=[drop(member)], **why)
            name = f"{kind}, {member} null"
            v.bad(name, "type", type=kind, edits=[put(member, value=None)])
    plain = Session(BOOT, "plain", "plain").statements[0]
    v.good("request.received on the plain door", type="request.received", edits=[
        drop("expect"), drop("header_digest"), drop("transport_key"), put("door", value="plain"),
        put("input_digest", value=plain["input_digest"]),
    ])

    def also(kind, name, reason, *edits):
        add = v.bad if reason else v.good
        add(f"{kind}: {name}", **({"reason": reason} if reason else {}), type=kind, edits=list(edits))

    received, enforced, applied = "request.received", "seal.enforced", "registry.applied"
    also(received, "the last number", None, put("seq", value=63))
    also(received, "a number too great", "at most 63", put("seq", value=64))
    also(received, "a negative number", "from 0", put("seq", value=-1))
    also(received, "the greatest time", None, put("mono_us", value="99999999999999999999"))
    also(received, "a time of 21 digits", "20 digits at most", put("mono_us", value="1" + "0" * 20))
    also(received, "a time with a zero before", "spelling", put("mono_us", value="01"))
    also(received, "an empty time", "spelling", put("mono_us", value=""))
    also(received, "a time with a sign", "spelling", put("mono_us", value="+1"))
    also(received, "a third door", "no such word", put("door", value="side"))
    also(received, "an endpoint of 64", None, put("endpoint", value="/" + "a" * 63))
    also(received, "an endpoint of 65", "64 at most", put("endpoint", value="/" + "a" * 64))
    also(received, "a caller of 64 characters outside ASCII", None, put("caller", value="é" * 64))
    also(received, "a caller of 33 pairs of surrogates", "64 units of UTF-16 at most", put("caller", value="🔒" * 33))
    also(received, "a nonce of 16 bytes", None, put("nonce", value=base64url(bytes(16))))
    also(received, "a nonce of 64 bytes", None, put("nonce", value=base64url(bytes(64))))
    also(received, "a nonce of 65 bytes", "64 at most", put("nonce", value=base64url(bytes(65))))
    also(received, "an unknown operation", "no such word", put("operation", value="erase"))
    also(received, "a workload in upper case", "name", put("workload", value="Demo"))
    also(received, "an expectation with a member more", "no such member", put("expect", "gpu", value=True))
    also(enforced, "the first of an epoch", None, put("epoch", value=JOINED[1]["epoch"]), put("policy", value="epoch"))
    also(enforced, "a form only: an epoch under another policy", None, put("epoch", value=JOINED[1]["epoch"]))
    also(enforced, "an epoch of 15 bytes", "width", put("epoch", value="00" * 15))
    also(enforced, "no tenant", "its own caller is one", put("tenants", value=0))
    also("seal.joined", "under another policy", "an epoch alone is joined", put("policy", value="request"))
    also("seal.joined", "of a permanent seal", None, put("policy", value="permanent"))
    also("seal.joined", "with a time of open egress", "no such member", put("egress_open_ms", value=0))
    also("seal.joined", "no tenant", "its own caller is one", put("tenants", value=0))
    also("seal.kept", "no tenant", "its own caller is one", put("tenants", value=0))
    also("seal.kept", "an epoch of 15 bytes", "width", put("epoch", value="00" * 15))
    also(enforced, "an unknown policy", "no such word", put("policy", value="none"))
    also(enforced, "replica 255", None, put("replica", value=255))
    also(enforced, "replica 256", "255 at most", put("replica", value=256))
    also(enforced, "probes with a member more", "no such member", put("probes", "passed", value=0))
    also(enforced, "probes as a number", "type", put("probes", value=0))
    also(enforced, "an image in upper case", "spelling", put("image", value=hexes("image").upper()))
    for reason in ("privileges", "software"):
        also("seal.absent", f"for want of {reason}", None, put("reason", value=reason))
    also("seal.absent", "for another reason", "no such word", put("reason", value="haste"))
    also("seal.absent", "with a ruleset", "nothing was loaded", put("ruleset_digest", value=hexes("ruleset")))
    also("seal.absent", "with probes", "nothing was tried", put("probes", value={"age_ms": 0, "blocked": 0, "reached": 0}))
    also("tpm.absent", "with a reason", "no such member", put("reason", value="system"))
    also("input_key.revealed", "to a workload", None, put("to", value="workload"))
    also("input_key.revealed", "to somebody", "no such word", put("to", value="gateway"))
    also("activations.observed", "no token", "one at least", put("tokens", value=0))
    also("activations.observed", "no layer", "one at least", put("layers", value=0))
    also(applied, "no change", None, put("changes", value=[]))
    also(applied, "256 changes", None, put("changes", value=[hexes("x")] * 256))
    also(applied, "257 changes", "256 at most", put("changes", value=[hexes("x")] * 257))
    also(applied, "a read", "only update and write are applied", put("operation", value="read"))
    also(applied, "metered as a number", "type", put("metered", value=1))
    also("output.committed", "status 99", "100 at least", put("status", value=99))
    also("output.committed", "status 600", "599 at most", put("status", value=600))
    also("output.committed", "a length as text", "type", put("output_bytes", value="13"))
    also("response.released", "to a client", "delivery is never claimed", put("to", value="client"))
    also("registry.read", "an authority of 15 bytes", "width", put("authority", value="00" * 15))
    also("session.aborted", "at another state", "no such word", put("at", value="opened"))
    for reason in (
        "activations.invalid", "activations.missing", "client.gone", "deadline", "embassy.restarted", "internal.error",
        "registry.refused", "relay.lost", "replica.lost", "seal.breached", "seal.failed", "workload.failed",
        "workload.refused", "workload.too_large",
    ):
        also("session.aborted", reason, None, put("reason", value=reason))
    also("session.aborted", "another reason", "no such word", put("reason", value="bored"))
    also("epoch.begun", "of a permanent seal", None, put("policy", value="permanent"))
    also("epoch.begun", "for one request", "that is no epoch", put("policy", value="request"))
    also("epoch.begun", "replica 256", "255 at most", put("replica", value=256))
    also("epoch.ended", "a form only: destroyed", None, put("how", value="destroyed"))
    also("epoch.ended", "a form only: for a reason", None, put("reason", value="replica.lost"))
    also("epoch.ended", "in a third way", "no such word", put("how", value="forgotten"))
    also("epoch.ended", "for another reason", "no such word", put("reason", value="bored"))
    also("seal.released", "as another type", "members of another type", put("type", value="response.released"))
    also("seal.released", "an unknown type", "no such type", put("type", value="seal.opened"))
    return v


KINDS = {
    "r": WHOLE[0], "e": WHOLE[1], "k": WHOLE[2], "o": WHOLE[3], "a": WHOLE[4], "c": WHOLE[5], "w": WHOLE[6],
    "u": WHOLE[7], "d": WHOLE[8], "g": READ[1], "x": ABORT,
    "j": {**JOINED[1], "read_mono_us": "0"}, "p": JOINED[7], "b": BEGUN, "f": ENDED, "n": UNSEALED[1], "t": UNSEALED[2],
}
KINDS = {letter: {**each, "utc_ms": WHOLE[0]["utc_ms"]} for letter, each in KINDS.items()}


def grammar_vectors():
    v = Vectors(
        "grammar", "Grammar", "Orders of statements: `order` names statements of `common`, letter by letter; they are numbered "
        "from 0 and stand at one instant. The members are those of an update through the envelope door, of a read where "
        "`g` stands; `e` begins no epoch. Rules between members are tried in the verdicts.",
        common=KINDS,
    )
    for order in ("rekoacwud", "rekacwud", "rekooooacwud", "rex", "rekx", "rekox", "rekoox", "rekoax", "rekax", "rekoacx", "rekoacwx", "rgd", "rjkoacwpd", "rjkacwpd", "rjx", "rjkx", "rjkoacx", "rjkoacwx", "rntkoawd", "rntkawd", "rntx", "rntkx", "rntkoax", "rntkoawx", "rtgd"):
        v.good(order, order=order)
    tried = set()
    for good, i in ((good, i) for good in ("rekoacwud", "rjkoacwpd", "rntkoawd", "rtgd") for i in range(len(good) + 1)):
        for order in (good[:i], good[:i] + good[i + 1 :], *(good[:i] + each + good[i:] for each in KINDS)):
            tried.add(order)
        for each in KINDS:
            tried.add(good[:i] + each + good[i + 1 :])
    tried |= {"rx", "rd", "r", "g", "rgx", "rgud", "rgdd", "rged", "x", "d", "ekoacwud", "rekoacwudrekoacwud", "rekoacwuxd", "rekxx", "rexd", "grd", "rggd", "bf", "bcf", "rntkoacwud", "rntkoacwd", "rntkoawud", "rntkacwpd", "rnkoawd", "rtkoawd", "rtnkoawd", "rntgd", "rngd", "rttgd", "rtx"}
    # The grammar as SPEC.md writes it.
    whole = "{}(x|k(x|o*(x|a(x|c(x|w(x|{}d))))))"
    unsealed = "nt(x|k(x|o*(x|a(x|w(x|d)))))"
    session = re.compile(f"r({whole.format('e', 'u')}|{whole.format('j', 'p')}|{unsealed}|t?gd)")
    for order in sorted(each for each in tried if each):
        if order in {case["name"] for case in v.cases}:
            continue
        if session.fullmatch(order):
            v.good(order, order=order)
        else:
            v.bad(order, "no session of the grammar", order=order)
    return v


def leaf_vectors():
    session, read = Session(BOOT).leaf, Session(BOOT, "reading", operation="read").leaf
    began = {
        "key_set": BOOT.k.hex(), "kind": "boot", "started_ms": BOOT.started, "version": 1,
        "previous": {
            "checkpoint_digest": hexes("checkpoint"), "origin": BOOT.origin, "root": hexes("root of the log before"), "size": 7,
        },
    }
    v = Vectors(
        "leaf", "Leaf", "Leaves: one of `base` with edits. `expect` is the leaf hash of its canonical bytes.",
        base={"session": session, "read": read, "epoch": EPOCH_LEAF, "boot": began},
    )

    def good(name, of, *edits):
        v.good(name, of=of, edits=list(edits), expect={"hash": leaf_hash(canonical(edited(v.head["base"][of], *edits))).hex()})

    good("a session", "session")
    good("a reading", "read")
    good("an epoch", "epoch")
    good("a form only: an epoch of a session's statements", "epoch", put("statements", value=WHOLE[:2]))
    good("a boot after another", "boot")
    good("a form only: no seal, and a TPM", "session", put("statements", value=UNSEALED[:2]))
    good("a first boot", "boot", drop("previous"))
    good("a boot from a restored backup", "boot", put("gap", value={"counter_database": "41", "counter_tpm": "57"}))
    good("a form only: two statements out of order", "session", put("statements", value=[WHOLE[1], WHOLE[0]]))
    for name, reason, of, *edits in (
        ("a session without an id", "a member is missing", "session", drop("session")),
        ("a session id of 15 bytes", "width", "session", put("session", value="00" * 15)),
        ("a session of version 2", "version", "session", put("version", value=2)),
        ("a session of one statement", "two at least", "session", put("statements", value=WHOLE[:1])),
        ("a session of 33 statements", "32 at most", "session", put("statements", value=[WHOLE[3]] * 33)),
        ("a session with a key set", "no such member", "session", put("key_set", value=BOOT.k.hex())),
        ("a fourth kind", "no such kind", "session", put("kind", value="seal")),
        ("a session as an epoch", "members of another kind", "session", put("kind", value="epoch")),
        ("an epoch without a name", "a member is missing", "epoch", drop("epoch")),
        ("an epoch of 15 bytes", "width", "epoch", put("epoch", value="00" * 15)),
        ("an epoch of version 2", "version", "epoch", put("version", value=2)),
        ("an epoch of one statement", "two at least", "epoch", put("statements", value=[BEGUN])),
        ("an epoch of four statements", "three at most", "epoch", put("statements", value=[BEGUN, HELD, HELD, ENDED])),
        ("an epoch with a session", "no such member", "epoch", put("session", value=hexes("x")[:32])),
        ("no kind", "no such kind", "session", drop("kind")),
        ("a boot with statements", "no such member", "boot", put("statements", value=[])),
        ("a boot without its time", "a member is missing", "boot", drop("started_ms")),
        ("a boot after something", "a member is missing", "boot", drop("previous", "size")),
        ("a boot after something with a member more", "no such member", "boot", put("previous", "leaf", value=hexes("x"))),
        ("a boot after something without a root", "a member is missing", "boot", drop("previous", "root")),
        ("a boot after nothing", "type", "boot", put("previous", value=None)),
        ("a gap that is half stated", "a member is missing", "boot", put("gap", value={"counter_database": "41"})),
        ("a gap in numbers", "type", "boot", put("gap", value={"counter_database": 41, "counter_tpm": 57})),
        ("a session with a gap", "no such member", "session", put("gap", value={"counter_database": "41", "counter_tpm": "57"})),
        ("a boot of an origin of 129", "128 at most", "boot", put("previous", "origin", value="a" * 129)),
    ):
        v.bad(name, reason, of=of, edits=edits)
    return v


def reading_vectors():
    ident = authority("one")[2]
    base = {
        "authority": ident, "version": 1, "meters": [{"capability": f"{ident}/chemistry", "millionths": 1250000}],
        "coverage": {
            "boots": 3, "egress_open_ms": 0, "origin": BOOT.origin, "output_bytes_unmetered": 0, "registry_version": 2,
            "references": [{"capability": f"{ident}/chemistry", "count": 4, "model": hexes("model")}], "rollbacks": 0,
            "sessions": 12, "sessions_unmetered": 1,
        },
        "openings": [
            {"capability": f"{ident}/chemistry", "millionths": 1250000, "salt": base64url(bytes(range(32))), "session": hexes("session")[:32]}
        ],
    }
    v = Vectors("reading", "Reading", "Readings: `base` with edits.", base=base)
    v.good("a reading", edits=[])
    v.good("a reading of nothing", edits=[put("meters", value=[]), put("coverage", "references", value=[])])
    for member in base:
        v.bad(f"no {member}", "a member is missing", edits=[drop(member)])
    for member in base["coverage"]:
        v.bad(f"no coverage.{member}", "without it meters mean nothing", edits=[drop("coverage", member)])
    v.good("one that goes on", edits=[put("next", value=1000)])
    v.bad("next of nothing", "from 1", edits=[put("next", value=0)])
    for member in base["openings"][0]:
        v.bad(f"no {member} of an opening", "a member is missing", edits=[drop("openings", 0, member)])
    for name, *at in (("a meter", "meters"), ("a reference", "coverage", "references"), ("an opening", "openings")):
        theirs = f"{authority('two')[2]}/chemistry"
        v.bad(f"{name} of another authority", "its own capabilities", edits=[put(*at, 0, "capability", value=theirs)])
        v.bad(f"{name} of a name alone", "whose it is", edits=[put(*at, 0, "capability", value="chemistry")])
    for name, made in (("with a space", "a b"), ("in upper case", "Chemistry"), ("of 65", "a" * 65), ("of nothing", "")):
        v.bad(f"a capability's name {name}", "name", edits=[put("meters", 0, "capability", value=f"{ident}/{made}")])
    v.bad("two meters of one capability", "one each", edits=[put("meters", value=base["meters"] * 2)])
    v.bad("a short salt", "32 bytes", edits=[put("openings", 0, "salt", value=base64url(bytes(31)))])
    v.bad("a score", "no such member", edits=[put("meters", 0, "score", value=1)])
    v.bad("negative use", "from 0", edits=[put("meters", 0, "millionths", value=-1)])
    v.bad("use as text", "type", edits=[put("meters", 0, "millionths", value="1")])
    v.bad("version 2", "version", edits=[put("version", value=2)])
    return v


def replay_vectors():
    v = Vectors(
        "replay", "Reading", "Openings against the `changes` of session leaves. `expect` holds the sums of the opened changes, how "
        "many changes there are, and how many were opened.",
    )
    ours, theirs = f"{authority('one')[2]}/chemistry", f"{authority('two')[2]}/chemistry"
    sessions = [hexes(f"session {i}")[:32] for i in range(3)]

    def opening(of, millionths, session, label="salt"):
        salt = sha256(f"{label} {of} {millionths} {session}".encode())
        return {"capability": of, "millionths": millionths, "salt": base64url(salt), "session": session}

    def change(made):
        said = {name: made[name] for name in ("capability", "millionths", "session")}
        return salted(unbase64url(made["salt"]), canonical(said))

    first, none, last = opening(ours, 700000, sessions[0]), opening(ours, 0, sessions[1]), opening(ours, 550001, sessions[2])
    foreign = opening(theirs, 123, sessions[0])
    leaves = [
        {"session": sessions[0], "changes": [change(first), change(foreign)]},
        {"session": sessions[1], "changes": [change(none)]},
        {"session": sessions[2], "changes": [change(last)]},
    ]

    def good(name, openings, sums, leaves=leaves):
        total = sum(len(leaf["changes"]) for leaf in leaves)
        v.good(name, leaves=leaves, openings=openings, expect={"changes": total, "opened": len(openings), "sums": sums})

    good("all changes of one authority", [first, none, last], {ours: 1250001})
    good("in another order", [last, first, none], {ours: 1250001})
    good("of two authorities", [first, foreign], {ours: 700000, theirs: 123})
    good("nothing opened", [], {})
    good("a change of nothing", [none], {ours: 0})
    twin = opening(ours, 5, sessions[1])
    good("two equal changes under two salts", [twin, opening(ours, 5, sessions[1], "another")], {ours: 10}, [
        {"session": sessions[1], "changes": [change(twin), change(opening(ours, 5, sessions[1], "another"))]}
    ])
    for name, reason, openings, found in (
        ("an opening twice", "a digest is opened once", [first, first], leaves),
        ("another number", "digest", [{**first, "millionths": 700001}], leaves),
        ("another salt", "digest", [{**first, "salt": none["salt"]}], leaves),
        ("another capability", "digest", [{**first, "capability": theirs}], leaves),
        ("another session's", "digest", [{**first, "session": sessions[1]}], leaves),
        ("a session without a leaf", "no leaf", [opening(ours, 1, hexes("elsewhere")[:32])], leaves),
        ("a change that was left out of its leaf", "digest", [first], [{**leaves[0], "changes": leaves[0]["changes"][1:]}]),
        ("two leaves of one session", "one leaf a session", [], [leaves[0], leaves[0]]),
    ):
        v.bad(name, reason, leaves=found, openings=openings)
    return v


def attribution_vectors():
    v = Vectors(
        "attribution", "Attribution", "One observation against stored signatures; vectors are of numbers that 32-bit floats hold. "
        "`expect` is the use of each capability in millionths.",
    )

    def signature(capability, *vector, polarity="positive"):
        return {"capability": capability, "polarity": polarity, "vector": list(vector)}

    a, b = [3, 4, 0, 0], [0, 0, 1, 0]
    v.good("the same vector, alone", observed=a, signatures=[signature("a", *a)], expect={"use": {"a": 1000000}})
    v.good("a vector twice as long", observed=[6, 8, 0, 0], signatures=[signature("a", *a)], expect={"use": {"a": 1000000}})
    v.good("a right angle", observed=b, signatures=[signature("a", *a)], expect={"use": {"a": 0}})
    v.good("the opposite", observed=[-3, -4, 0, 0], signatures=[signature("a", *a)], expect={"use": {"a": 0}})
    v.good("three fifths", observed=[1, 0, 0, 0], signatures=[signature("a", *a)], expect={"use": {"a": 600000}})
    # 1 / 128 of a million lies half-way: |x| = 128.
    v.good("half a millionth, rounded up", observed=[1, 1, 1, 90, 91], signatures=[signature("a", 1, 0, 0, 0, 0)], expect={"use": {"a": 7813}})
    v.good("no signature", observed=a, signatures=[], expect={"use": {}})
    # b = (2, 0): x − b = (0, 2); the signatures less b are (2, 0) and (−2, 0).
    v.good("centred: a right angle", observed=[2, 2], signatures=[signature("a", 4, 0), signature("b", 0, 0)], expect={"use": {"a": 0, "b": 0}})
    # b = (2, 2): x − b = (2, 0); s − b = (2, 2) and (−2, −2).
    v.good("centred: 45 degrees", observed=[4, 2], signatures=[signature("a", 4, 4), signature("b", 0, 0)], expect={"use": {"a": 707107, "b": 0}})
    v.good("the best of two signatures", observed=[4, 2], signatures=[signature("a", 4, 4), signature("a", 4, 2), signature("b", -2, 0)], expect={"use": {"a": 1000000, "b": 0}})
    # A negative signature has no use of its own and is part of the mean: b = (2, 2).
    v.good("a negative signature", observed=[4, 2], signatures=[signature("a", 4, 4), signature("a", 0, 0, polarity="negative")], expect={"use": {"a": 707107}})
    v.good("negative signatures alone", observed=a, signatures=[signature("a", *a, polarity="negative")], expect={"use": {}})
    v.good("signatures of another length", observed=a, signatures=[signature("a", *a), signature("b", 1, 0)], expect={"use": {"a": 1000000}})
    v.good("a vector that is the mean", observed=[2, 2], signatures=[signature("a", 4, 4), signature("b", 0, 0)], expect={"use": {"a": 0, "b": 0}})
    v.bad("uncentred", "b is the mean of two", observed=[4, 2], signatures=[signature("a", 4, 4), signature("b", 0, 0)], stated={"a": 948683, "b": 0})
    v.bad("the mean of the signatures of one capability", "all signatures of the model", observed=[4, 2], signatures=[signature("a", 4, 4), signature("b", 0, 0)], stated={"a": 0, "b": 0})
    return v


def vectors():
    return [statement_vectors(), grammar_vectors(), leaf_vectors(), reading_vectors(), replay_vectors(), attribution_vectors()]
