"""The checks of TEE evidence (SPEC.md, "TEE evidence")."""
import hashlib

from . import snp, tdx
from .encodings import ensure, sha256, unbase64url


class TeeChecks:
    """Part of the verifier."""

    def _tee_required(self, name, asked):
        if "tee_report" not in self.document:
            return asked
        if name == "tee_tcb":
            return self.tee is None or self.tee.tcb_is_judged
        return name != "tee_reference" or asked or self.tee is None or self.tee.referenced

    def document_tee_form(self):
        record, kinds = self.document["tee_report"], {"sev-snp", "tdx"} & set(self.policy["evidence"])
        ensure(kinds <= {record["kind"]}, "evidence of another kind")
        report, rest = unbase64url(record["report"]), (self.policy, self.given["now_ms"])
        if record["kind"] == "tdx":
            self.tee = tdx.Judge(record, report, *rest)
        else:
            certificates = [unbase64url(each) for each in record.get("certificates", ())]
            self.tee = snp.Judge(record, certificates, report, *rest)

    def _tee(self):
        return self._needs(self.tee, "the report")

    def _told(self, unmade):
        if unmade:
            self.skip(unmade)

    def document_tee_chain(self):
        self._tee().chain()

    def document_tee_signature(self):
        self._tee().signature()

    def document_tee_binding(self):
        data = b"sealed/report/v1\0" + sha256(unbase64url(self.document["ak"]["public"])) + self.k
        ensure(self._tee().report_data == hashlib.sha512(data).digest(), "bound to something else")
        self.claims["tee"] = {"kind": self.document["tee_report"]["kind"], "measurement": self._tee().measured}

    def document_tee_tcb(self):
        self._told(self._tee().tcb())

    def document_tee_guest(self):
        self._tee().guest()

    def document_tee_reference(self):
        self._told(self._tee().reference())

    def document_tee_event_log(self):
        self._told(self._tee().event_log())
