"""The verdict over a receipt and its document, check by check (SPEC.md, "Verdict")."""
from . import event_log, forms, gce
from .chain import check_chain
from .cosigned import check_witnesses
from .encodings import Refused, canonical, ensure, parse_canonical, salted, sha256, unbase64url
from .merkle import leaf_hash, root_from_path
from .note import open_checkpoint, verify_ed25519
from .session import check_configuration, check_grammar, find
from .tee import TeeChecks
from .tpm import AttestationKey, check_binding, check_selection, check_signature, opened, quote_of

CHECKS = {
    "document": "form ak ak_chain instance quote_signature quote_selection quote_binding pcr_key_set pcr_configuration "
    "pcr_launch pcr_reference event_log boot_application tee_form tee_chain tee_signature tee_binding tee_tcb tee_guest "
    "tee_reference tee_event_log transport_keys configuration challenge",
    "receipt": "form grammar document checkpoint_signature inclusion quote_signature quote_selection quote_binding "
    "boot configuration metering transport_key request nonce output time fork",
}


def check_transport_key(record, ledger_key):
    ensure(sha256(unbase64url(record["spki"])).hex() == record["id"], "a transport key's id")
    text = canonical({name: value for name, value in record.items() if name != "signature"})
    signed = verify_ed25519(ledger_key, unbase64url(record["signature"]), b"sealed/transport-key/v1\0" + text)
    ensure(signed, "a transport key's signature")


class Skipped(Exception):
    pass


def skip(reason):
    raise Skipped(reason)


class Verifier(TeeChecks):
    """Bundle: {receipt, document, policy, now_ms} and, where they are known, {request, input, nonce, salt, output,
    challenge, proof, sent_ms}; document and policy as parsed JSON, bytes as bytes."""

    def __init__(self, bundle):
        self.given, self.policy, self.entries = bundle, bundle["policy"], []
        self.document = self.ak = self.place = self.images = self.events = None
        self.tee = None
        self.claims = {"fork": "skipped", "time": "claimed"}
        self.receipt = self.statements = self.checkpoint = self.witnessed = self.seen_ms = None

    def run(self):
        for kind, names in CHECKS.items():
            if kind == "receipt" and "receipt" not in self.given:
                continue
            for name in names.split():
                self._one(kind, name)
        results = {(result, required) for _, result, required, _ in self.entries}
        if any(result == "fail" for result, _ in results):
            return "failed"
        return "incomplete" if ("skip", True) in results else "verified"

    def _one(self, kind, name):
        try:
            if (kind, name) != ("document", "form"):
                self._needs(self.document, "the document")
            if name.startswith("tee_") and "tee_report" not in self.document:
                skip("no TEE evidence")
            getattr(self, f"{kind}_{name}")()
            result = "pass", ""
        except Skipped as skipped:
            result = "skip", str(skipped)
        except Refused as refused:
            result = "fail", str(refused)
        required = self._required(kind, name)
        self.entries.append((f"{kind}.{name}", result[0], required, result[1]))

    def _required(self, kind, name):
        if self.document is None and (kind, name) != ("document", "form"):
            return True
        evidence = set(self.policy["evidence"])
        if name.startswith("tee_"):
            return name != "tee_event_log" and self._tee_required(name, bool(evidence & {"tee", "sev-snp", "tdx"}))
        return {
            "document.instance": "instances" in self.policy,
            "document.pcr_reference": "event-log" in evidence or bool(self.policy["images"]),
            "document.event_log": "event-log" in evidence,
            "document.boot_application": "event-log" in evidence,
            "document.challenge": False,
            "receipt.request": False,
            "receipt.nonce": False,
            "receipt.output": False,
            "receipt.time": "max_age_ms" in self.policy,
            "receipt.fork": self.policy.get("witnesses", {}).get("quorum", 0) > 0,
        }.get(f"{kind}.{name}", True)

    skip = staticmethod(skip)

    def _needs(self, value, what):
        return skip(f"needs {what}") if value is None else value

    # The document.

    def document_form(self):
        document = self.given["document"]
        forms.document(document)
        pcrs = {row["index"]: bytes.fromhex(row["digest"]) for row in document["pcrs"]}
        ensure(len(pcrs) == len(document["pcrs"]), "an index twice")
        self.k, self.pcrs, self.document = sha256(canonical(document["key_set"])), pcrs, document
        told = gce.firmware(pcrs.get(0))
        if told:
            self.claims["firmware"] = told

    def document_ak(self):
        ensure("unsealed" not in self.document["configuration"], "a machine without a TPM")
        self.ak = AttestationKey(unbase64url(self.document["ak"]["public"]))

    def document_ak_chain(self):
        ak, roots, now = self._needs(self.ak, "the key"), self.policy["ak_roots"], self.given["now_ms"]
        chain = [unbase64url(each) for each in self.document["ak"]["chain"]]
        self.place = [check_chain(chain, ak, roots, now)]

    def document_instance(self):
        self._needs(self.place, "the chain")
        found = None if self.place[0] is None else gce.instance(self.place[0])
        wanted = self.policy.get("instances")
        if wanted is not None:
            ensure(found, "the certificate names no place")
            for kind, names in wanted.items():
                ensure(found[kind.rstrip("s")] in names, f"another {kind}")
        if not found:
            skip("the certificate names no place")
        self.claims["instance"] = found

    def document_quote_signature(self):
        quote = quote_of(self.document)
        check_signature(self._needs(self.ak, "the key"), quote)

    def document_quote_selection(self):
        check_selection(opened(quote_of(self.document)), self.pcrs)

    def document_quote_binding(self):
        tee = self.document.get("tee_report")
        report = unbase64url(tee["report"]) if tee else b""
        check_binding(opened(quote_of(self.document)), "keys", self.k, sha256(report))

    def document_pcr_key_set(self):
        ensure(self.pcrs.get(14) == sha256(bytes(32), self.k), "PCR 14")

    def document_pcr_configuration(self):
        measured = sha256(canonical(self.document["configuration"]))
        ensure(self.pcrs.get(8) == sha256(bytes(32), measured), "PCR 8")

    def document_pcr_launch(self):
        launch, value = self.document.get("launch"), bytes(32)
        if launch:
            value = sha256(sha256(value, sha256(canonical(launch))), sha256(bytes(4)))
        ensure(self.pcrs.get(13) == value, "PCR 13")
        if launch:
            of = [(each["image"], each["digest"]) for each in self.document["configuration"]["workloads"]]
            ensure(of == [(launch["image"]["config"], launch["workload"])], "a launch of something else")

    def document_pcr_reference(self):
        if not self.policy["images"]:
            skip("no reference values")
        images = [image for image in self.policy["images"] if event_log.fits(image, self.pcrs)]
        ensure(images, "no image fits")
        if "event-log" in self.policy["evidence"]:
            images = [image for image in images if {9, 11} <= {row["index"] for row in image["pcrs"]}]
            if not images:
                skip("the image does not pin what was booted")
        self.images = images

    def document_event_log(self):
        if "event_log" not in self.document:
            skip("no event log")
        events = event_log.parse(unbase64url(self.document["event_log"]))
        event_log.check_replay(events, self.pcrs)
        self.events = events

    def document_boot_application(self):
        found = event_log.applications(self._needs(self.events, "the event log"))
        images = self._needs(self.images, "an image that fits")
        ensure(found, "no application was started")
        booted = [image for image in images if image.get("uki", [])[: len(found)] == found]
        if booted:
            self.claims["image"] = {name: booted[0][name] for name in ("name", "version")}
            return
        if any("uki" not in image for image in images):
            skip("the image names no application")
        raise Refused("an application that is not the image's")

    def document_transport_keys(self):
        ledger = unbase64url(self.document["key_set"]["ledger_key"])
        for key in self.document["transport_keys"]:
            check_transport_key(key, ledger)

    def document_configuration(self):
        configuration = self.document["configuration"]
        ensure("unsealed" not in configuration, "a machine that does not seal")
        ensure(configuration["workloads"], "no workload")
        for workload in configuration["workloads"]:
            ensure(workload["digest"] in self.policy["workloads"], "a workload that nobody accepts")
            ensure(workload["seal_policy"] in self.policy["seal_policies"], "a seal that nobody accepts")
        names = [workload["name"] for workload in configuration["workloads"]]
        ensure(len(set(names)) == len(names), "two workloads of one name")
        present = {each["id"] for each in configuration["authorities"]}
        for each in configuration["authorities"]:
            ensure(sha256(unbase64url(each["public_key"])).hex()[:32] == each["id"], "an id over another's key")
        ensure(set(self.policy["authorities"]) <= present, "an authority is missing")
        ensure(self.policy["metering"] == "optional" or configuration["metering"] == "required", "metering")

    def document_challenge(self):
        if "challenge" not in self.given:
            skip("no nonce was sent")
        nonce, answer = self.given["challenge"]["nonce"], self.given["challenge"]["answer"]
        forms.challenge(answer)
        path = [bytes.fromhex(each) for each in answer["path"]]
        root = root_from_path(leaf_hash(nonce), answer["index"], answer["size"], path)
        check_signature(self._needs(self.ak, "the key"), answer["quote"])
        check_selection(opened(answer["quote"]), self.pcrs)
        now, then = opened(answer["quote"]), opened(quote_of(self.document))
        check_binding(now, "challenge", self.k, root)
        ensure((now.reset, now.restart) == (then.reset, then.restart), "another boot")

    # The receipt.

    def receipt_form(self):
        ensure(len(self.given["receipt"]) <= 65536, "too long")
        receipt = parse_canonical(unbase64url(self.given["receipt"]))
        forms.receipt(receipt)
        self.receipt = receipt
        self.claims["session"] = receipt["leaf"]["session"]

    def _receipt(self):
        return self._needs(self.receipt, "the receipt")

    def _find(self, kind):
        return find(self._needs(self.statements, "the statements"), kind)

    def receipt_grammar(self):
        statements = self._receipt()["leaf"]["statements"]
        check_grammar(statements)
        self.statements = statements
        received, ended = statements[0], "aborted" if self._find("session.aborted") else "completed"
        self.claims.update({name: received[name] for name in ("door", "workload", "utc_ms")}, result=ended)

    def receipt_document(self):
        ensure(self._receipt()["document"] == sha256(canonical(self.document)).hex(), "another document")

    def receipt_checkpoint_signature(self):
        ledger = unbase64url(self.document["key_set"]["ledger_key"])
        checkpoint = open_checkpoint(self._receipt()["checkpoint"], ledger)
        ensure(checkpoint["origin"] == "sealed/" + self.k.hex()[:16], "another log")
        self.checkpoint = checkpoint

    def _checkpoint(self):
        self._receipt()
        return self._needs(self.checkpoint, "the checkpoint")

    def receipt_inclusion(self):
        checkpoint, receipt = self._checkpoint(), self._receipt()
        path = [unbase64url(each) for each in receipt["path"]]
        root = root_from_path(leaf_hash(canonical(receipt["leaf"])), receipt["index"], checkpoint["size"], path)
        ensure(root == checkpoint["root"], "not in the log")

    def receipt_quote_signature(self):
        quote = quote_of(self._receipt())
        check_signature(self._needs(self.ak, "the key"), quote)

    def receipt_quote_selection(self):
        check_selection(opened(quote_of(self._receipt())), self.pcrs)

    def receipt_quote_binding(self):
        checkpoint = self._checkpoint()
        check_binding(opened(quote_of(self.receipt)), "checkpoint", self.k, sha256(checkpoint["body"].encode()))

    def receipt_boot(self):
        checkpoint = self._checkpoint()
        ensure(checkpoint["ak_name"] != "absent", "no TPM was there")
        ensure(checkpoint["ak_name"] == self._needs(self.ak, "the key").name.hex(), "another key")
        for quoted in (self.receipt, self.document):
            attest = opened(quote_of(quoted))
            ensure((attest.reset, attest.restart) == (checkpoint["reset"], checkpoint["restart"]), "another boot")

    def receipt_configuration(self):
        self._find("request.received")
        check_configuration(self.statements, self.document["configuration"], self.policy)

    def receipt_metering(self):
        applied, observed = self._find("registry.applied"), self._find("activations.observed")
        if self._find("session.aborted") or not applied:
            return
        ensure(applied["metered"] or self.policy["metering"] == "optional", "not metered")
        ensure(applied["metered"] == (observed is not None), "metered, and not observed, or the reverse")

    def receipt_transport_key(self):
        received = self._find("request.received")
        if received["door"] == "plain":
            return
        keys = [key for key in self.document["transport_keys"] if key["id"] == received["transport_key"]]
        ensure(keys, "a key that the document does not list")
        ensure(keys[0]["not_before_ms"] <= received["utc_ms"] <= keys[0]["not_after_ms"], "an expired key")

    def _header(self):
        envelope = parse_canonical(self.given["request"])
        forms.envelope(envelope)
        raw = unbase64url(envelope["header"])
        header = parse_canonical(raw)
        forms.header(header)
        return envelope, header, sha256(raw).hex()

    def receipt_request(self):
        received = self._find("request.received")
        if received["door"] == "plain":
            ensure("request" not in self.given, "an envelope was sent")
            if "input" not in self.given or "salt" not in self.given:
                skip("no body or no salt")
            ensure(salted(self.given["salt"], self.given["input"]) == received["input_digest"], "another body")
            return
        ensure("input" not in self.given, "a plain body was sent")
        if "request" not in self.given:
            skip("no envelope")
        envelope, header, digest = self._header()
        ensure(digest == received["header_digest"], "another header")
        ensure(sha256(envelope["input"].encode()).hex() == header["input_digest"], "another input")
        ensure(sha256(envelope["instructions"].encode()).hex() == header["instructions_digest"], "other instructions")
        ensure(header["expect"] == received["expect"], "expect is not echoed")
        ensure(header["expect"]["key_set"] == self.k.hex(), "another key set was expected")
        for sent, stated in (("endpoint", "endpoint"), ("workload", "workload"), ("key_id", "transport_key")):
            ensure(header[sent] == received[stated], f"another {stated}")

    def receipt_nonce(self):
        self._nonce_is_echoed()

    def _nonce_is_echoed(self):
        received = self._find("request.received")
        nonce = self._header()[1]["nonce"] if "request" in self.given else self.given.get("nonce")
        if nonce is None:
            skip("no nonce")
        ensure(nonce == received.get("nonce"), "another nonce")
        return True

    def receipt_output(self):
        read, committed, aborted = map(self._find, ("registry.read", "output.committed", "session.aborted"))
        if "output" not in self.given or "salt" not in self.given:
            skip("no output or no salt")
        digest = salted(self.given["salt"], self.given["output"])
        if read:
            ensure(digest == read["reading_digest"], "another reading")
            return
        ensure(committed and not aborted, "nothing was committed to")
        ensure(committed["output_bytes"] == len(self.given["output"]), "another length")
        ensure(digest == committed["output_digest"], "another output")

    def receipt_time(self):
        try:
            self._witnesses()
        except (Refused, Skipped) as error:
            self.witnessed = error
        checkpoint = self._checkpoint()
        self._find("request.received")
        latest = max(each["utc_ms"] for each in self.statements)
        ensure(latest <= checkpoint["time"], "a statement after its checkpoint")
        most = self.policy.get("max_age_ms")
        if most is not None:
            ensure(checkpoint["time"] <= self.given["now_ms"] + 60000, "from the future")
            ensure(self.given["now_ms"] - checkpoint["time"] <= most, "too old")

        try:
            sent = self._nonce_is_echoed() and self.given.get("sent_ms")
        except (Refused, Skipped):
            sent = None
        first, last = self.statements[0]["utc_ms"], self.statements[-1]["utc_ms"]
        ensure(sent is None or first >= sent - 300000, "before the request was sent")
        ensure(self.seen_ms is None or last <= self.seen_ms + 300000, "after witnesses saw it")
        ensure(sent is None or self.seen_ms is None or sent <= self.seen_ms, "seen before it was sent")
        bounds = {"from_ms": sent, "until_ms": self.seen_ms}
        self.claims.update({name: each for name, each in bounds.items() if each is not None})
        if None not in bounds.values():
            self.claims["time"] = "bounded"

    def receipt_fork(self):
        if isinstance(self.witnessed, Exception):
            raise self.witnessed
        if self.seen_ms is None:
            skip("too few witnesses")
        self.claims["fork"] = "witnessed"

    def _witnesses(self):
        """Judged before the time, which they bound; told afterwards."""
        checkpoint = self._checkpoint()
        if "proof" not in self.given:
            skip("no proof")
        leaf = leaf_hash(canonical(self.receipt["leaf"]))
        ledger = unbase64url(self.document["key_set"]["ledger_key"])
        given = self.given["proof"], leaf, self.receipt["index"], checkpoint, ledger
        self.seen_ms = check_witnesses(*given, self.policy, self.given["now_ms"])


def verify(bundle):
    verifier = Verifier(bundle)
    return verifier.run(), verifier.entries, verifier.claims
