"""Vectors of epochs in a whole log: leaves of epochs, held against those of their sessions."""
from formats_wire import hexes
from make import Vectors, drop, put
from verifier.edits import edited
from world import EPOCH, Boot, Session, epoch_leaf

BOOT = Boot()


def moved(leaf, us):
    """The same session, begun later by so many microseconds."""
    later = [{**each, "mono_us": str(int(each["mono_us"]) + us)} for each in leaf["statements"]]
    return {**leaf, "statements": later}


def log():
    """Began first; joined while the first was there; left, which was there before and while; and one of no epoch."""
    first = Session(BOOT, "first of an epoch", epoch="began").leaf
    joined = moved(Session(BOOT, "joined it", epoch="joined").leaf, 1500)
    left = moved(Session(BOOT, "left it", epoch="joined", abort=3).leaf, 500)
    return [Session(BOOT, "beside it").leaf, left, first, joined, epoch_leaf()]


def epochs_vectors():
    base = {"leaves": log()}
    v = Vectors(
        "epochs", "Epochs", "Leaves of a log after its first, in their order: `base` with edits. `expect` counts epochs that have "
        "ended, and names those that have not.",
        base=base,
    )
    whole = {"ended": 1, "open": []}
    begun, held, ended = (("leaves", 4, "statements", i) for i in range(3))
    left, first, joined = (("leaves", i, "statements") for i in (1, 2, 3))

    def good(name, expect=whole, *edits):
        v.good(name, edits=list(edits), expect=expect)

    def bad(name, reason, *edits):
        v.bad(name, reason, edits=list(edits))

    def beside(at, count):
        return [put(*at, i, "sessions_overlapping", value=count) for i in (1, 7)]

    destroyed = [drop(*held), put("leaves", 4, "statements", 1, "seq", value=1), put("leaves", 4, "statements", 1, "how", value="destroyed")]

    def gone(reason=None):
        return [*destroyed, *([put("leaves", 4, "statements", 1, "reason", value=reason)] if reason else [])]

    permanent = [put("leaves", at, "statements", i, "policy", value="permanent") for at, i in ((1, 1), (2, 1), (3, 1), (4, 0))]
    permanent += [put("leaves", at, "statements", 1, "tenants", value=1) for at in (1, 2, 3)]
    permanent += [put("leaves", at, "statements", 7, "tenants", value=1) for at in (2, 3)]

    good("an epoch and its sessions")
    good("no leaf", {"ended": 0, "open": []}, put("leaves", value=[]))
    good("an epoch that has not ended", {"ended": 0, "open": [EPOCH]}, drop("leaves", 4))
    good("an epoch of no session", whole, put("leaves", value=[epoch_leaf()]))
    good("an epoch whose first session left no leaf", whole, drop("leaves", 2), *beside(("leaves", 2, "statements"), 1))
    good("a replica that was lost", whole, *gone("replica.lost"))
    good("a permanent seal at its end", whole, *permanent, *gone())
    good("a permanent seal that broke", whole, *permanent, *gone("seal.breached"))
    good("a machine that started again", whole, *gone("embassy.restarted"), put("leaves", 4, "statements", 1, "mono_us", value="5000000500"))
    good("as few beside it as the log shows", whole, *beside(first, 2))
    good("one had left before the other came", whole, *beside(joined, 1), *(
        put(*left, i, "mono_us", value=str(5000001400 + i)) for i in range(3)
    ), put(*left, 3, "mono_us", value="5000003000"))
    other = hexes("another epoch")[:32]
    second = edited(Session(BOOT, "of another", epoch="began").leaf, put("statements", 1, "epoch", value=other), put("statements", 7, "epoch", value=other))
    good("two epochs", {"ended": 2, "open": []}, put("leaves", value=[*log(), second, epoch_leaf(epoch=other)]))
    good("one ended, one open", {"ended": 1, "open": [other]}, put("leaves", value=[*log()[:4], second, epoch_leaf()]))

    bad("one that ends twice", "an epoch ends once", put("leaves", value=[*log(), epoch_leaf()]))
    bad("a session after its epoch", "its leaf stands after all its sessions", put("leaves", value=[*log()[:3], epoch_leaf(), log()[3]]))
    bad("begun by two sessions", "the others join", put("leaves", value=[
        *log()[:3], moved(Session(BOOT, "a second first", epoch="began").leaf, 1500), epoch_leaf(),
    ]))
    for member, value in (("generation", 2), ("image", hexes("x")), ("replica", 1), ("ruleset_digest", hexes("x"))):
        bad(f"a session with another {member}", "of its replica", put(*joined, 1, member, value=value))
    bad("a session under another policy", "of its replica", put(*begun, "policy", value="permanent"), *gone())
    bad("a session before its epoch", "inside its epoch", put(*begun, "mono_us", value="5000001001"))
    bad("a session after its epoch's end", "inside its epoch", *(put(*at, "mono_us", value="5000009499") for at in (held, ended)))
    bad("a session that lasted beyond a broken seal", "inside its epoch", *gone("seal.breached"), put("leaves", 4, "statements", 1, "mono_us", value="5000009499"))
    bad("fewer beside the first than the log shows", "others were there", *beside(first, 1))
    bad("fewer beside one that joined", "others were there", *beside(joined, 1))
    bad("fewer beside one of an epoch that is open", "others were there", drop("leaves", 4), *beside(first, 1))
    bad("a session out of order", "grammar", put(*first, value=[*log()[2]["statements"][:6], *log()[2]["statements"][7:]]))
    bad("released unchecked", "read back before it is let go", drop(*held), put("leaves", 4, "statements", 1, "seq", value=1))
    bad("destroyed and checked", "nothing to check", put(*ended, "how", value="destroyed"), put(*ended, "reason", value="replica.lost"))
    bad("checked under another ruleset", "ruleset", put(*held, "ruleset_digest", value=hexes("x")))
    bad("destroyed without a reason", "reason", *gone())
    bad("released for a reason", "reason", put(*ended, "reason", value="replica.lost"))
    bad("a permanent seal that was let go", "it is destroyed", *permanent)
    bad("ended before it began", "order", put("leaves", 4, "statements", value=[
        {**each, "seq": i, "mono_us": "5000000500", "utc_ms": 0} for i, each in enumerate(reversed(epoch_leaf()["statements"]))
    ]))
    bad("numbered anew", "numbers", put(*ended, "seq", value=3))
    bad("a clock that runs back", "time", put(*ended, "mono_us", value="5000019999"))
    bad("a time claimed before the one above", "time", put(*ended, "utc_ms", value=1))
    bad("an epoch of a session's statements", "order", put("leaves", 4, "statements", value=log()[2]["statements"][:3]))
    bad("a leaf of no form", "form", put("leaves", 4, "kind", value="boot"))
    return v


def vectors():
    return [epochs_vectors()]
