"""Verifies receipts as SPEC.md says, with none of this project's code.

Input (JSON on stdin): a list of bundles {receipt, document, policy, now_ms} and, where they are known, {request, input,
nonce, salt, output, challenge: {nonce, answer}, proof}; document and policy as objects, bytes as base64url.
Output: a list of verdicts {outcome, checks: [{id, required, result}]}, or null where the policy is malformed, or what
was given as base64url is none.
"""
import json
import sys

from verifier import forms
from verifier.encodings import Refused, unbase64url
from verifier.verdict import verify


def judged(bundle):
    try:
        for name in ("request", "input", "salt", "output"):
            if name in bundle:
                bundle[name] = unbase64url(bundle[name])
        if "challenge" in bundle:
            bundle["challenge"]["nonce"] = unbase64url(bundle["challenge"]["nonce"])
        forms.policy(bundle["policy"])
    except (KeyError, Refused):
        return None
    outcome, entries, _ = verify(bundle)
    checks = [{"id": name, "required": required, "result": result} for name, result, required, _ in entries]
    return {"outcome": outcome, "checks": checks}


print(json.dumps([judged(bundle) for bundle in json.load(sys.stdin)]))
