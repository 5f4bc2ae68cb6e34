"""Receipts of sessions that share a replica's sealed epoch, honest ones and lies."""
from bundles_base import NO_STATEMENTS
from make import drop, put
from verifier.edits import edited
from world import EPOCH, WORKLOAD, Boot, Session, hexes


def epochs(j):
    shared = {**j.boot.configuration, "workloads": [{**WORKLOAD, "seal_policy": "epoch"}]}
    boot = Boot("epochs", configuration=shared)
    accepts = put("policy", "seal_policies", value=["epoch"])
    began, joined = (Session(boot, f"{each} an epoch", epoch=each) for each in ("began", "joined"))
    for session, name in ((began, "began"), (joined, "joined")):
        j.verified(f"a session that {name} an epoch", accepts, boot=boot, session=session)
    alone = {**j.boot.configuration, "workloads": [{**WORKLOAD, "seal_policy": "permanent"}]}
    for_one, permanent = Boot("permanent", configuration=alone), put("policy", "seal_policies", value=["permanent"])
    theirs = Session(for_one, "under a permanent seal", epoch="joined", policy="permanent")
    j.verified("a session under a permanent seal", permanent, boot=for_one, session=theirs)
    two = edited(theirs.leaf, put("statements", 7, "tenants", value=2))
    j.failed("a permanent seal shared", "one tenant", ["receipt.grammar"], permanent, boot=for_one, session=theirs, leaf=two, skipped=NO_STATEMENTS)
    left = Session(boot, "left an epoch", epoch="joined", abort=4)
    j.verified("a session that was aborted in an epoch", accepts, drop("output"), boot=boot, session=left, skipped=["receipt.output"])
    of = ["document.configuration", "receipt.configuration"]
    j.failed("an epoch, where none is accepted", "seal policy", of, boot=boot, session=joined)

    def lie(name, reason, failed, session, *edits, skipped=()):
        leaf = edited(session.leaf, *edits)
        j.failed(f"in an epoch, {name}", reason, failed, accepts, boot=boot, session=session, leaf=leaf, skipped=skipped)

    def say(i, *path, value):
        return put("statements", i, *path, value=value)

    def form(name, reason, session, *edits):
        lie(name, reason, ["receipt.grammar"], session, *edits, skipped=NO_STATEMENTS)

    another = hexes("another epoch")[:32]
    form("kept of another", "one epoch a session", joined, say(7, "epoch", value=another))
    form("kept of another than was begun", "one epoch a session", began, say(7, "epoch", value=another))
    form("fewer sessions at the end", "counts of the whole session", joined, say(7, "sessions_overlapping", value=1))
    form("fewer callers at the end", "counts of the whole session", joined, say(7, "tenants", value=1))
    form("released by one of many", "an epoch is kept", joined, put("statements", 7, value={
        "type": "seal.released", "sealed_us": "81234", **{name: joined.statements[7][name] for name in ("seq", "mono_us", "utc_ms")},
    }))
    form("permanent, with two tenants", "one tenant", joined, say(1, "policy", value="permanent"))
    form("begun without a name", "policy and epoch", began, drop("statements", 1, "epoch"))
    form("begun under another policy", "policy and epoch", began, say(1, "policy", value="request"))
    form("read after it was stated", "the reading comes first", joined, say(1, "read_mono_us", value="5000001001"))
    of = ["receipt.configuration"]
    lie("joined in another image", "image", of, joined, say(1, "image", value=hexes("x")))
    lie("joined where a probe got through", "probe", of, joined, say(1, "probes", "reached", value=1))
    lie("joined under other rules than were checked", "ruleset", of, joined, say(5, "ruleset_digest", value=hexes("x")))
    # Measured to be sealed for each request, and shared all the same.
    both = put("policy", "seal_policies", value=["epoch", "request"])
    for session, name in ((began, "begun"), (joined, "joined")):
        loose = Session(j.boot, f"{name} unmeasured", epoch=session.epoch)
        j.failed(f"an epoch {name} on a replica measured to have none", "seal policy", of, both, session=loose)
    kept = edited(j.session.leaf, put("statements", 7, value={
        "type": "seal.kept", "epoch": EPOCH, "sealed_us": "81234", "sessions_overlapping": 0, "tenants": 1,
        **{name: j.session.statements[7][name] for name in ("seq", "mono_us", "utc_ms")},
    }))
    j.failed("a seal kept outside of an epoch", "one epoch a session", ["receipt.grammar"], leaf=kept, skipped=NO_STATEMENTS)
