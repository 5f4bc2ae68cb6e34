"""Epochs of a log against its sessions (SPEC.md, "Epochs")."""
from .encodings import ensure
from .session import check_epoch_grammar, check_grammar, find

SEALED = ("seal.enforced", "seal.joined")
SHARED = ("generation", "image", "policy", "replica", "ruleset_digest")


def at(statement):
    return int(statement["mono_us"])


def check_epochs(leaves):
    held, ended = {}, []
    for leaf in leaves:
        if leaf["kind"] == "epoch":
            ensure(leaf["epoch"] not in ended, "an epoch ends once")
            check_epoch(leaf["statements"], held.pop(leaf["epoch"], []))
            ended.append(leaf["epoch"])
            continue
        statements = leaf["statements"]
        epoch = statements[1].get("epoch") if statements[1]["type"] in SEALED else None
        if epoch:
            ensure(epoch not in ended, "an epoch that had ended")
            check_grammar(statements)
            held.setdefault(epoch, []).append(statements)
    for sessions in held.values():
        check_company(sessions)
    return {"ended": len(ended), "open": list(held)}


def check_epoch(statements, sessions):
    check_epoch_grammar(statements)
    begun, ended = statements[0], statements[-1]
    ensure(sum(each[1]["type"] == "seal.enforced" for each in sessions) <= 1, "begun twice")
    for each in sessions:
        ensure(all(each[1][name] == begun[name] for name in SHARED), "of another replica")
        ensure(at(begun) <= at(each[1]), "before its epoch")
        ensure(ended.get("reason") == "embassy.restarted" or at(leaves_by(each)) <= at(ended), "after its epoch")
    check_company(sessions)


def leaves_by(statements):
    """The last statement that was made while the session was in its replica."""
    return statements[-1 if find(statements, "seal.kept") else -2]


def check_company(sessions):
    for i, one in enumerate(sessions):
        kept = find(one, "seal.kept")
        if kept:
            by = one[[each["type"] for each in one].index("registry.applied") - 1]
            beside = [
                other for j, other in enumerate(sessions)
                if j != i and at(other[1]) <= at(by) and at(leaves_by(other)) >= at(one[1])
            ]
            ensure(kept["sessions_overlapping"] >= len(beside), "more were there")
