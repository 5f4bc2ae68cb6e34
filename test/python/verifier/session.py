"""Grammar of sessions and epochs, as regular expressions over the kinds of their statements (SPEC.md, "Grammar")."""
import re

from .encodings import ensure
from .weights import model_of

LETTERS = {
    "request.received": "r", "seal.enforced": "e", "input_key.revealed": "k", "activations.observed": "o",
    "registry.applied": "a", "seal.checked": "c", "output.committed": "w", "seal.released": "u",
    "response.released": "d", "registry.read": "g", "session.aborted": "x",
    "seal.joined": "j", "seal.kept": "p", "epoch.begun": "b", "epoch.ended": "f", "seal.absent": "n", "tpm.absent": "t",
}
EPOCH = re.compile(r"bc?f")
UNSEALED = r"nt(?:x|k(?:x|o*(?:x|a(?:x|w(?:x|d)))))"
SESSION = re.compile(rf"r(?:t?gd|{UNSEALED}|[ej](?:x|k(?:x|o*(?:x|a(?:x|c(?:x|w(?:x|[up]d)))))))")


def find(statements, kind):
    return next((each for each in statements if each["type"] == kind), None)


def check_order(statements, grammar):
    word = "".join(LETTERS[each["type"]] for each in statements)
    ensure(grammar.fullmatch(word), "order of statements")
    before = claimed = 0
    for i, each in enumerate(statements):
        ensure(each["seq"] == i, "numbering")
        ensure(int(each["mono_us"]) >= before, "time runs backwards")
        ensure(each["utc_ms"] >= claimed, "a time claimed before the one above")
        before, claimed = int(each["mono_us"]), each["utc_ms"]
    return word


def check_epoch_grammar(statements):
    check_order(statements, EPOCH)
    begun, ended, checked = statements[0], statements[-1], find(statements, "seal.checked")
    permanent, destroyed = begun["policy"] == "permanent", ended["how"] == "destroyed"
    ensure(destroyed == (checked is None), "checked before it is let go, and only then")
    ensure(not checked or checked["ruleset_digest"] == begun["ruleset_digest"], "another ruleset")
    ensure(destroyed or not permanent, "a permanent seal is never let go")
    ensure(permanent and destroyed or ("reason" in ended) == destroyed, "why it was destroyed")


def check_grammar(statements):
    word = check_order(statements, SESSION)
    received = statements[0]
    sealed = received["door"] == "envelope"
    for member in ("header_digest", "expect", "transport_key"):
        ensure((member in received) == sealed, f"{member} on the wrong door")
    ensure(("input_digest" in received) != sealed, "input_digest on the wrong door")
    ensure((received["operation"] == "read") == ("g" in word), "operation and registry.read")
    applied = find(statements, "registry.applied")
    ensure(not applied or applied["operation"] == received["operation"], "operation and registry.applied")
    if word[1] in "ej":
        check_seal(statements[1], find(statements, "seal.released"), find(statements, "seal.kept"))


def check_seal(began, released, kept):
    epoch = began.get("epoch")
    ensure((began["policy"] == "request") == (epoch is None), "policy and epoch")
    if began["policy"] == "permanent":
        ensure(began["tenants"] == (kept or began)["tenants"] == 1, "one tenant")
    ensure(int(began.get("read_mono_us", "0")) <= int(began["mono_us"]), "read after it was stated")
    ensure(not released or epoch is None, "an epoch is kept")
    if kept:
        ensure(kept["epoch"] == epoch, "another epoch")
        for count in ("sessions_overlapping", "tenants"):
            ensure(kept[count] >= began[count], f"{count} fell")


def check_configuration(statements, configuration, policy):
    """The session ran the workload that was measured, under a seal that is accepted. None accepts that there was none."""
    kinds = {each["type"] for each in statements}
    ensure(not kinds & {"seal.absent", "tpm.absent"}, "nothing was sealed or quoted")
    ensure("unsealed" not in configuration, "a machine that does not seal")
    received, checked = find(statements, "request.received"), find(statements, "seal.checked")
    measured = [w for w in configuration["workloads"] if w["name"] == received["workload"]][:1]
    ensure(measured and measured[0]["digest"] == received["workload_digest"], "a workload not measured")
    enforced = find(statements, "seal.enforced") or find(statements, "seal.joined")
    if not enforced:
        return
    ensure(enforced["image"] == measured[0]["image"], "another image")
    model = model_of(measured[0])
    ensure(all(each["model"] == model for each in statements if each["type"] == "activations.observed"), "another model")
    ensure(enforced["policy"] == measured[0]["seal_policy"], "another seal policy")
    ensure(enforced["policy"] in policy["seal_policies"], "a seal that nobody accepts")
    ensure(enforced["probes"]["reached"] == 0, "a probe got through")
    ensure(not checked or checked["ruleset_digest"] == enforced["ruleset_digest"], "the ruleset changed")
