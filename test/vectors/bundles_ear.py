"""EARs of whole bundles, those of the verdicts: what the evidence says of itself, and which checks were required."""
from bundles_base import ALL
from bundles_snp import MEASUREMENT
from bundles_tdx import MRTD
from formats_ear import AFFIRMED, DENIED, SUBMODULES, policy_id
from formats_wire import NOW_MS
from make import Vectors
from seeded import some
from verifier.edits import edited

VERIFIER = {"build": "1.0.0", "developer": "vectors"}
OPTIONAL = {
    "document.instance", "document.pcr_reference", "document.event_log", "document.boot_application", "document.challenge",
    *DENIED["tee"], "receipt.request", "receipt.nonce", "receipt.output", "receipt.time", "receipt.fork",
}
FIRMWARE = {"technology": "none", "version": 2}
PLACE = {
    "id": str(0xFF << 56), "name": "vm-1", "project": "sealed-tests", "project_number": str(0x1234), "region": "europe-west4",
    "zone": "europe-west4-a",
}
MACHINE = {"tpm": {"firmware": FIRMWARE}, "workload": {"workload": "demo"}}
BOOT = ["document.pcr_reference", "document.event_log", "document.boot_application"]
SNP = [check for check in DENIED["tee"] if check != "document.tee_event_log"]
TDX = [check for check in SNP if check != "document.tee_tcb"]


def session(label="session", **change):
    claims = {
        "door": "envelope", "fork": "skipped", "result": "completed", "session": some("id " + label, 16).hex(),
        "time": "claimed", "utc_ms": NOW_MS - 10000, **change,
    }
    return {name: value for name, value in claims.items() if value is not None}


def _value(results, submodule, claim):
    under = [(results[check], denied) for check, (denied, *claims) in DENIED[submodule].items() if claim in claims]
    denied = [value for result, value in under if result == "fail"]
    if denied:
        return max(denied)
    return 0 if "skip" in (result for result, _ in under) else AFFIRMED[submodule][claim]


def _status(results, *submodules):
    found = {results[check] for each in submodules for check in DENIED[each]}
    return "contraindicated" if "fail" in found else "none" if "skip" in found else "affirming"


class Ears:
    def __init__(self, verdicts):
        self.verdicts, self.named = verdicts.head, {case["name"]: case for case in verdicts.cases}
        about = (
            "EARs of bundles: `bundle` names a case of verdict.json. Each check is told by `id`, `required` and `result` alone."
        )
        self.vectors = Vectors("ear_bundle", "EAR", about, common={"verifier": VERIFIER})

    def add(self, bundle, said, required=(), everything=False):
        """`required` beyond what always is."""
        case = self.named[bundle]
        given, expect = edited(self.verdicts["base"], *case["edits"]), case["expect"]
        results = {
            check: "fail" if check in expect["failed"] else "skip" if check in expect["skipped"] else "pass" for check in ALL
        }
        asked = {check for check in ALL if everything or check not in OPTIONAL or check in required}
        submods = {}
        for each in SUBMODULES:
            checks = [check for check in ALL if check in DENIED[each]]
            if all(results[check] == "skip" and check not in asked for check in checks):
                continue
            submods[each] = {
                "ear_appraisal_policy_ids": [policy_id(given["policy"])], "ear_status": _status(results, each, "tpm"),
                "ear_trustworthiness_vector": {claim: _value(results, each, claim) for claim in AFFIRMED[each]},
                "ear_verifier_claims": {
                    "checks": [{"id": check, "required": check in asked, "result": results[check]} for check in checks],
                    "outcome": expect["outcome"],
                },
                **({"ear_attester_claims": said[each]} if each in said else {}),
            }
        ear = {
            "ear_verifier_id": VERIFIER, "eat_profile": "tag:ietf.org,2026:rats/ear#04", "iat": given["now_ms"] // 1000,
            "submods": submods,
        }
        statuses = {each["ear_status"] for each in submods.values()}
        why = {} if statuses == {"affirming"} else {"reason": case.get("reason", "not everything was judged")}
        self.vectors._add({"name": bundle, "valid": not why, "bundle": bundle, "expect": ear, **why})


def vectors(verdicts):
    e = Ears(verdicts)
    usual = {**MACHINE, "receipt": session()}
    e.add("an envelope, everything given", usual)
    e.add("nothing but receipt and document", usual)
    e.add("the plain door", {**MACHINE, "receipt": session("plain", door="plain")})
    e.add("a reading", {**MACHINE, "receipt": session("read")})
    e.add("aborted after 3 statements", {**MACHINE, "receipt": session("aborted 3", result="aborted")})
    e.add("a challenge answered", usual)
    placed = {**usual, "tpm": {"firmware": FIRMWARE, "instance": PLACE}}
    e.add("a place", placed)
    e.add("a place that the policy accepts", placed, ["document.instance"])
    e.add("another zone", usual, ["document.instance"])
    e.add("a place not of production, where nobody asks", usual)
    booted = {**usual, "tpm": {"firmware": FIRMWARE, "image": {"name": "sealed", "version": "1"}}}
    e.add("an event log of a boot", booted, BOOT)
    e.add("a reference value", usual, ["document.pcr_reference"])
    e.add("another image in PCR 4", usual, BOOT)
    e.add("no event log where the policy wants one", usual, BOOT)
    e.add("an image of which no application is named", usual, BOOT)
    snp = {**usual, "tee": {"tee": {"kind": "sev-snp", "measurement": MEASUREMENT.hex()}}}
    e.add("SNP: a report", snp, SNP)
    e.add("SNP: nobody asked for it", snp, SNP)
    e.add("SNP: with an event log", usual, SNP)
    e.add("SNP: another root", snp, SNP)
    e.add("SNP: bound to zeros", usual, SNP)
    e.add("TDX: bound to something else", usual, TDX)
    tdx = {**usual, "tee": {"tee": {"kind": "tdx", "measurement": MRTD.hex()}}}
    e.add("TDX: with its event log", tdx, TDX)
    e.add("TDX: no reference value", tdx, TDX)
    e.add("a policy that wants evidence of kind tee", usual, SNP)
    sent, seen = {"from_ms": NOW_MS - 11000}, {"until_ms": NOW_MS + 1000}
    bounded = session(fork="witnessed", time="bounded", **sent, **seen)
    e.add("witnessed by one", {**MACHINE, "receipt": bounded}, ["receipt.fork"])
    e.add("witnessed, and nobody needed it", {**MACHINE, "receipt": session(fork="witnessed", **seen)})
    said = {**MACHINE, "tpm": {**booted["tpm"], "instance": PLACE}, "receipt": bounded}
    e.add("everything but TEE evidence", said, [*BOOT, "document.instance", "receipt.fork", "receipt.time"])
    e.add("too few witnesses", usual, ["receipt.fork"])
    e.add("a session that claims a time 300 s before", {**MACHINE, "receipt": session(from_ms=NOW_MS + 290000)})
    e.add("a session that claims a time before it was asked for", usual)
    e.add("a proof cosigned long before the session", {**MACHINE, "receipt": session(fork="witnessed")}, ["receipt.fork"])
    e.add("time: older than the policy allows", usual, ["receipt.time"])
    e.add("a receipt's quote of another boot", usual)
    unread = session(door=None, result=None, utc_ms=None)
    e.add("statements: time that runs backwards", {"tpm": MACHINE["tpm"], "receipt": unread})
    e.add("a receipt with a number for a time", {"tpm": MACHINE["tpm"]})
    bare = {"workload": MACHINE["workload"]}
    e.add("an unsealed machine: an update", {**bare, "receipt": session("unsealed update")})
    e.add("an unsealed machine: a reading", {**bare, "receipt": session("unsealed read")})
    e.add("a downgrade: the quote taken off", {"tpm": MACHINE["tpm"]})
    e.add("a document with an unknown member", {}, everything=True)
    return e.vectors
