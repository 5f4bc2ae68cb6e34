"""Vectors of EARs: a verdict, and what an EAR makes of it. What each failure says is written here a second time."""
import copy

from formats_wire import NOW_MS, hexes
from make import Vectors, differences, put
from seeded import some
from verifier.edits import edited
from verifier.encodings import base64url, canonical, sha256
from verifier.verdict import CHECKS
from world import policy

ALL = [f"{kind}.{name}" for kind, names in CHECKS.items() for name in names.split()]
IDENTITY, SETUP, CODE, HARDWARE, OPAQUE, DATA = (
    "instance-identity", "configuration", "executables", "hardware", "runtime-opaque", "sourced-data",
)
# By submodule: of each check, what its failure makes of which claims.
DENIED = {
    "tpm": {
        "document.form": (96, IDENTITY), "document.ak": (96, IDENTITY), "document.ak_chain": (97, IDENTITY),
        "document.instance": (96, IDENTITY), "document.quote_signature": (99, IDENTITY),
        "document.quote_selection": (99, IDENTITY), "document.quote_binding": (99, IDENTITY),
        "document.pcr_key_set": (96, SETUP), "document.pcr_configuration": (96, SETUP),
        "document.pcr_launch": (96, SETUP),
        "document.pcr_reference": (96, CODE), "document.event_log": (96, CODE), "document.boot_application": (97, CODE),
        "document.transport_keys": (99, SETUP), "document.challenge": (96,),
    },
    "tee": {
        "document.tee_form": (96, HARDWARE, OPAQUE), "document.tee_chain": (97, HARDWARE, IDENTITY),
        "document.tee_signature": (99, HARDWARE, IDENTITY), "document.tee_binding": (99, IDENTITY),
        "document.tee_tcb": (96, HARDWARE), "document.tee_guest": (96, OPAQUE), "document.tee_reference": (96, CODE),
        "document.tee_event_log": (96, CODE),
    },
    "workload": {
        "document.configuration": (96, SETUP), "receipt.configuration": (96, CODE), "receipt.metering": (96, SETUP),
    },
    "receipt": {
        "receipt.form": (96, DATA), "receipt.grammar": (96, DATA), "receipt.document": (96, IDENTITY),
        "receipt.checkpoint_signature": (99, IDENTITY), "receipt.inclusion": (99, DATA),
        "receipt.quote_signature": (99, IDENTITY), "receipt.quote_selection": (99, IDENTITY),
        "receipt.quote_binding": (99, IDENTITY), "receipt.boot": (96, IDENTITY), "receipt.transport_key": (96, IDENTITY),
        **{f"receipt.{name}": (96, DATA) for name in ("request", "nonce", "output", "time", "fork")},
    },
}
SUBMODULES = list(DENIED)
AFFIRMED = {
    "tpm": {IDENTITY: 2, SETUP: 2, CODE: 3}, "tee": {HARDWARE: 2, OPAQUE: 2, IDENTITY: 2, CODE: 3},
    "workload": {SETUP: 2, CODE: 3}, "receipt": {DATA: 2, IDENTITY: 2},
}
SAID = {
    "tpm": {
        "firmware": {"technology": "sev-snp", "version": 2}, "image": {"name": "sealed", "version": "1"},
        "instance": {
            "id": "18446744073709551615", "name": "vm", "project": "sealed-tests", "project_number": "1",
            "region": "europe-west4", "zone": "europe-west4-a",
        },
    },
    "tee": {"tee": {"kind": "sev-snp", "measurement": "ab" * 48}},
    "workload": {"workload": "demo"},
    "receipt": {
        "door": "envelope", "fork": "witnessed", "from_ms": NOW_MS - 11000, "result": "completed",
        "session": some("id session", 16).hex(), "time": "bounded", "until_ms": NOW_MS + 1000, "utc_ms": NOW_MS - 10000,
    },
}
NOTHING = {"fork": "skipped", "time": "claimed"}


def of(check):
    return next(each for each in SUBMODULES if check in DENIED[each])


def entry(check, result="pass", required=True):
    return {"id": check, "reason": f"{check}: {result}", "required": required, "result": result, "section": "-"}


def policy_id(made):
    return "ni:///sha-256;" + base64url(sha256(canonical(made)))


class Ears:
    def __init__(self):
        claims = {name: value for said in SAID.values() for name, value in said.items()}
        self.base = {
            "now_ms": NOW_MS, "policy": policy(), "verifier": {"build": "1.0.0", "developer": "vectors"},
            "verdict": {"checks": [entry(check) for check in ALL], "claims": claims, "outcome": "verified"},
        }
        self.ear = {
            "ear_verifier_id": {"build": "1.0.0", "developer": "vectors"}, "eat_profile": "tag:ietf.org,2026:rats/ear#04",
            "iat": NOW_MS // 1000,
            "submods": {
                each: {
                    "ear_appraisal_policy_ids": [policy_id(policy())], "ear_attester_claims": SAID[each],
                    "ear_status": "affirming", "ear_trustworthiness_vector": AFFIRMED[each],
                    "ear_verifier_claims": {
                        "checks": [entry(check) for check in ALL if of(check) == each], "outcome": "verified",
                    },
                }
                for each in SUBMODULES
            },
        }
        about = (
            "Verdicts, `base` with edits, and the EAR that each comes to: `common.ear` with the edits of `expect`. Valid "
            "is one whose every status is affirming."
        )
        self.vectors = Vectors("ear", "EAR", about, common={"ear": self.ear}, base=self.base)

    def case(self, name, reason, given, ear):
        expect = {"edits": differences(self.ear, ear)}
        assert edited(self.ear, *expect["edits"]) == ear
        statuses = {each["ear_status"] for each in ear["submods"].values()}
        why = {"reason": reason} if reason else {}
        assert bool(reason) == (statuses != {"affirming"}), name
        self.vectors._add({"name": name, "valid": not reason, "edits": differences(self.base, given), "expect": expect, **why})

    def plain(self, name, *edits, ear=()):
        """All passed; what differs is not of the checks."""
        self.case(name, None, edited(self.base, *edits), edited(self.ear, *ear))

    def judged(self, name, reason, results, status, vector, outcome="failed", required=True, gone=(), less=(), unsaid=()):
        """`results` of some checks, the statuses and claims that they change; `gone` submodules and `less` checks."""
        given, ear = copy.deepcopy(self.base), copy.deepcopy(self.ear)
        made = [
            entry(check, results.get(check, "pass"), required or check not in results) for check in ALL if check not in less
        ]
        given["verdict"].update(checks=made, outcome=outcome)
        for each in unsaid:
            for said in SAID[each]:
                given["verdict"]["claims"].pop(said)
        if "receipt" in unsaid:
            given["verdict"]["claims"].update(NOTHING)
        for each in SUBMODULES:
            if each in gone:
                del ear["submods"][each]
                continue
            at = ear["submods"][each]
            at["ear_status"] = status.get(each, "affirming")
            at["ear_trustworthiness_vector"] = {**AFFIRMED[each], **vector.get(each, {})}
            at["ear_trustworthiness_vector"] = {k: v for k, v in at["ear_trustworthiness_vector"].items() if v is not None}
            at["ear_verifier_claims"] = {"checks": [entry for entry in made if of(entry["id"]) == each], "outcome": outcome}
            if each in unsaid:
                del at["ear_attester_claims"]
        self.case(name, reason, given, ear)


def fallen(*submodules, status):
    """What rests on the TPM falls with it."""
    return {each: status for each in (SUBMODULES if "tpm" in submodules else submodules)}


def _each(e):
    for check in ALL:
        submodule = of(check)
        value, *claims = DENIED[submodule][check]
        e.judged(
            f"{check} failed", f"{check} failed", {check: "fail"}, fallen(submodule, status="contraindicated"),
            {submodule: {claim: value for claim in claims}},
        )
        for required, outcome in ((True, "incomplete"), (False, "verified")):
            word = "" if required else ", though nobody asked for it"
            e.judged(
                f"{check} skipped{word}", f"{check} was skipped", {check: "skip"}, fallen(submodule, status="none"),
                {submodule: {claim: 0 for claim in claims}}, outcome, required,
            )


def _together(e):
    bad = "contraindicated"

    judged = e.judged
    ak, chain, signature = "document.ak", "document.ak_chain", "document.quote_signature"
    tpm = fallen("tpm", status=bad)
    judged("two failures under one claim", "the highest counts", {chain: "fail", ak: "fail"}, tpm, {"tpm": {IDENTITY: 97}})
    judged("three failures under one claim", "the highest counts", {signature: "fail", chain: "fail", ak: "fail"}, tpm, {"tpm": {IDENTITY: 99}})
    judged("a failure and a skip under one claim", "the failure counts", {ak: "fail", chain: "skip"}, tpm, {"tpm": {IDENTITY: 96}})
    judged("a failure and a skip in one submodule", "the failure counts", {"document.pcr_key_set": "fail", "document.event_log": "skip"}, tpm, {"tpm": {SETUP: 96, CODE: 0}})
    judged("a TPM that failed under a workload that was skipped", "the worse counts", {chain: "fail", "receipt.metering": "skip"}, tpm, {"tpm": {IDENTITY: 97}, "workload": {SETUP: 0}})
    judged(
        "a TPM that was skipped under a receipt that failed", "each the worse of the two", {chain: "skip", "receipt.boot": "fail"},
        {**fallen("tpm", status="none"), "receipt": bad}, {"tpm": {IDENTITY: 0}, "receipt": {IDENTITY: 96}},
    )
    judged("TEE and receipt failed", "nothing rests on either", {"document.tee_guest": "fail", "receipt.grammar": "fail"}, {"tee": bad, "receipt": bad}, {"tee": {OPAQUE: 96}, "receipt": {DATA: 96}})
    every = {check: "fail" for check in ALL}
    denied = {each: {claim: max(v for v, *claims in DENIED[each].values() if claim in claims) for claim in AFFIRMED[each]} for each in SUBMODULES}
    judged("everything failed", "everything failed", every, tpm, denied)
    rest = {check: "fail" if check == "document.form" else "skip" for check in ALL}
    zero = {each: {claim: 0 for claim in AFFIRMED[each]} for each in SUBMODULES}
    judged("a document that cannot be read", "all rests on it", rest, tpm, {**zero, "tpm": {**zero["tpm"], IDENTITY: 96}}, unsaid=SUBMODULES)


def _parts(e):
    tee = {check: "skip" for check in DENIED["tee"]}
    zero = {claim: 0 for claim in AFFIRMED["tee"]}
    e.judged("no TEE evidence, and none asked for", None, tee, {}, {}, "verified", False, gone=["tee"], unsaid=["tee"])
    e.judged("no TEE evidence, where it was asked for", "all of it was skipped", tee, {"tee": "none"}, {"tee": zero}, "incomplete", unsaid=["tee"])
    e.judged("TEE evidence that passed, and none asked for", None, {check: "pass" for check in tee}, {}, {}, "verified", False)
    kept = {check: "skip" for check in DENIED["tee"] if check != "document.tee_form"}
    e.judged("TEE evidence of which only the form was judged", "the rest was skipped", kept, {"tee": "none"}, {"tee": zero}, "verified", False)
    receipt = [check for check in ALL if check.startswith("receipt.")]
    e.judged(
        "a document alone", None, {}, {}, {"workload": {CODE: None}}, "verified", gone=["receipt"], less=receipt,
        unsaid=["receipt", "workload"],
    )
    unknown = {check: "skip" for check in receipt}
    zeros = {"workload": {SETUP: 0, CODE: 0}, "receipt": {DATA: 0, IDENTITY: 0}}
    e.judged("a receipt of which nothing was judged", "all of it was skipped", unknown, {"workload": "none", "receipt": "none"}, zeros, "incomplete", unsaid=["receipt", "workload"])


def _around(e):
    e.plain("everything passed")
    e.plain("a moment before the next second", put("now_ms", value=NOW_MS + 999))
    e.plain("the next second", put("now_ms", value=NOW_MS + 1000), ear=[put("iat", value=NOW_MS // 1000 + 1)])
    who = {"build": "", "developer": "https://example.org/é"}
    e.plain("another verifier", put("verifier", value=who), ear=[put("ear_verifier_id", value=who)])
    other = policy(max_age_ms=1, name="another")
    named = [put("submods", each, "ear_appraisal_policy_ids", 0, value=policy_id(other)) for each in SUBMODULES]
    e.plain("another policy", put("policy", value=other), ear=named)

    def said(name, submodule, **change):
        """Claims replaced, or left out where they are None."""
        claims = {**SAID[submodule], **change}
        left = {member: value for member, value in claims.items() if value is not None}
        whole = {**{m: v for each in SAID.values() for m, v in each.items() if m not in claims}, **left}
        at = copy.deepcopy(e.ear)
        at["submods"][submodule]["ear_attester_claims"] = left
        if not left or (submodule == "receipt" and "session" not in left):
            del at["submods"][submodule]["ear_attester_claims"]
        e.case(name, None, edited(e.base, put("verdict", "claims", value=whole)), at)

    said("a machine that is not Google's", "tpm", firmware=None, instance=None)
    said("a machine of which only the firmware is known", "tpm", image=None, instance=None)
    said("a machine of which only the place is known", "tpm", image=None, firmware=None)
    said("a machine of which nothing is known", "tpm", firmware=None, image=None, instance=None)
    said("a processor that is not named", "tee", tee=None)
    said("a TD", "tee", tee={"kind": "tdx", "measurement": hexes("mrtd") + "00" * 16})
    said("a workload that is not named", "workload", workload=None)
    said("a session aborted on the plain door, its time only claimed", "receipt", door="plain", fork="skipped", from_ms=None, result="aborted", time="claimed", until_ms=None)
    said("a receipt whose session is all that was read", "receipt", door=None, from_ms=None, result=None, until_ms=None, utc_ms=None, **NOTHING)
    said("a receipt without a session", "receipt", session=None)


def vectors():
    e = Ears()
    for cases in (_around, _each, _together, _parts):
        cases(e)
    return [e.vectors]
