"""What verdicts have in common: the honest bundle, and how a case is written against it."""
from make import Vectors, differences, drop, put
from verifier.edits import edited
from verifier.encodings import Refused, base64url, parse_canonical, unbase64url
from verifier.verdict import CHECKS
from world import NOW_MS, Boot, Session, policy

ALL = [f"{kind}.{name}" for kind, names in CHECKS.items() for name in names.split()]
USUAL = [
    *(f"document.{name}" for name in ("instance", "pcr_reference", "event_log", "boot_application")),
    *(each for each in ALL if each.startswith("document.tee_")),
    "document.challenge", "receipt.fork",
]


def after(check, *spared):
    """Every check of the receipt below this one in the list."""
    return [each for each in ALL[ALL.index(check) + 1 :] if each not in spared]


NO_AK = ["document.ak_chain", "document.instance", "document.quote_signature", "receipt.quote_signature", "receipt.boot"]
NO_CHECKPOINT = ["receipt.inclusion", "receipt.quote_binding", "receipt.boot", "receipt.time"]
NO_STATEMENTS = [
    f"receipt.{name}" for name in ("configuration", "metering", "transport_key", "request", "nonce", "output", "time")
]


def opened(bundle):
    """With the receipt as the object that it encodes, if it is the one spelling of one."""
    try:
        return {**bundle, "receipt": parse_canonical(unbase64url(bundle["receipt"]))}
    except Refused:
        return bundle


class Judge:
    def __init__(self, *about):
        self.boot = Boot()
        # The same keys, on a machine that says it has no TPM.
        self.boot_as_unsealed = Boot(unsealed="software")
        self.session, self.document = Session(self.boot), self.boot.document()
        self.vectors = Vectors(*about)
        base = {"document": self.document, "now_ms": NOW_MS, "policy": policy(), **self.held(self.session)}
        base["receipt"] = self.boot.receipt(self.session.leaf, self.document)
        self.base, self.vectors.head["base"] = base, opened(base)

    def held(self, session):
        held = {"salt": base64url(session.salt), "output": base64url(session.output)}
        if session.door == "envelope":
            return {"request": base64url(session.request.encode()), **held}
        return {"input": base64url(session.input), "nonce": session.nonce, **held}

    def edits(self, boot=None, session=None, document=None, leaf=None, size=7, index=3, **receipt):
        """What differs from the base. A new boot has its own document and session; a new document its own receipt."""
        if not (boot or session or document or leaf or receipt or size != 7):
            return []
        boot, edits = boot or self.boot, []
        if boot is not self.boot:
            session = session or Session(boot)
            document = document or boot.document()
        if document is not None:
            edits.append(put("document", value=document))
        if session is not None:
            held = self.held(session)
            edits += [put(name, value=value) for name, value in held.items()]
            edits += [drop(name) for name in self.held(self.session) if name not in held]
        leaf = leaf or (session or self.session).leaf
        made = boot.receipt(leaf, document or self.document, size, index, **receipt)
        return [*edits, put("receipt", value=made)]

    def _case(self, name, outcome, failed, edits, skipped, unskipped, reason, **change):
        skips = {*USUAL, *skipped} - set(unskipped)
        assert not skips & set(failed), name
        expect = {
            "failed": [each for each in ALL if each in failed], "outcome": outcome,
            "skipped": [each for each in ALL if each in skips],
        }
        bundle = opened(edited(self.base, *self.edits(**change), *edits))
        edits = differences(self.vectors.head["base"], bundle)
        why = {"reason": reason} if reason else {}
        self.vectors._add({"name": name, "valid": outcome == "verified", "edits": edits, "expect": expect, **why})

    def verified(self, name, *edits, skipped=(), unskipped=(), **change):
        self._case(name, "verified", [], edits, skipped, unskipped, None, **change)

    def incomplete(self, name, reason, *edits, skipped=(), unskipped=(), **change):
        self._case(name, "incomplete", [], edits, skipped, unskipped, reason, **change)

    def failed(self, name, reason, failed, *edits, skipped=(), unskipped=(), **change):
        assert set(failed) <= set(ALL), failed
        self._case(name, "failed", failed, edits, skipped, unskipped, reason, **change)
