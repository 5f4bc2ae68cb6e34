"""A verdict as an EAR claims set (SPEC.md, "EAR"). Where each check counts is read off the page itself."""
import pathlib
import re

from .encodings import base64url, canonical, sha256
from .verdict import CHECKS

SPEC = pathlib.Path(__file__).resolve().parents[3] / "protocol" / "SPEC.md"
CLAIMS = {
    "tpm": ("firmware", "image", "instance"), "tee": ("tee",), "workload": ("workload",),
    "receipt": ("session", "result", "door", "utc_ms", "time", "from_ms", "until_ms", "fork"),
}
TIERS = {"fail": "contraindicated", "skip": "none", "pass": "affirming"}


def _places():
    """{check: (submodule, denied, claims)} from the page's table."""
    section = SPEC.read_text().split("\n## EAR\n")[1].split("\n## ")[0]
    every, places = [f"{kind}.{name}" for kind, names in CHECKS.items() for name in names.split()], {}
    for checks, submodule, denied, claims in re.findall(r"^\| (`.*`) \| `(.+)` \| (\d+) \| (.+) \|$", section, re.M):
        kind = ""
        for written in re.findall(r"`(.+?)`", checks):
            kind, _, name = written.rpartition(".") if not written.startswith(".") else (kind, "", written[1:])
            named = [each for each in every if re.fullmatch(re.escape(f"{kind}.{name}").replace(r"\*", "[a-z_]+"), each)]
            for each in named:
                assert each not in places, f"{each} stands twice"
                places[each] = submodule, int(denied), [] if claims.startswith("none") else claims.split(", ")
    assert set(places) == set(every), "a check has no place"
    return places


PLACES = _places()


def _value(check, claim):
    return {"fail": PLACES[check["id"]][1], "skip": 0, "pass": 3 if claim == "executables" else 2}[check["result"]]


def _vector(checks):
    under = {}
    for check in checks:
        for claim in PLACES[check["id"]][2]:
            under.setdefault(claim, []).append(_value(check, claim))
    return {claim: max(values) if max(values) >= 96 else min(values) for claim, values in under.items()}


def _status(checks):
    results = {check["result"] for check in checks}
    return next(tier for result, tier in TIERS.items() if result in results or result == "pass")


def _said(claims, submodule):
    if submodule == "receipt" and "session" not in claims:
        return {}
    said = {name: claims[name] for name in CLAIMS[submodule] if name in claims}
    return {"ear_attester_claims": said} if said else {}


def ear_of(verdict, policy, verifier, now_ms):
    policy_id, submods = f"ni:///sha-256;{base64url(sha256(canonical(policy)))}", {}
    of = {each: [check for check in verdict["checks"] if PLACES[check["id"]][0] == each] for each in CLAIMS}
    for submodule, checks in of.items():
        if any(check["required"] or check["result"] != "skip" for check in checks):
            submods[submodule] = {
                "ear_status": _status([*checks, *of["tpm"]]), "ear_trustworthiness_vector": _vector(checks),
                "ear_appraisal_policy_ids": [policy_id], **_said(verdict["claims"], submodule),
                "ear_verifier_claims": {"checks": checks, "outcome": verdict["outcome"]},
            }
    return {
        "eat_profile": "tag:ietf.org,2026:rats/ear#04", "iat": now_ms // 1000,
        "ear_verifier_id": {name: verifier[name] for name in ("build", "developer")}, "submods": submods,
    }
