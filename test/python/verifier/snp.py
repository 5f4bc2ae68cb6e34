"""SEV-SNP reports (SPEC.md, "TEE evidence")."""
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from .chain import check_signed
from .der import signature_algorithm
from .encodings import Refused, ensure

AMD = "1.3.6.1.4.1.3704.1"
AMD_ROOTS = [
    "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
    "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
    "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
]
MILAN = ("bootloader", "tee", None, None, None, None, "snp", "microcode")
TURIN = ("fmc", "bootloader", "tee", "snp", None, None, None, "microcode")


def _zero(data, what="reserved bytes"):
    ensure(not any(data), what)


def _tcb(data, layout):
    _zero(bytes(value for value, name in zip(data, layout) if name is None))
    return {name: value for value, name in zip(data, layout) if name}


def at_least(tcb, least):
    return all(tcb.get(name, -1) >= value for name, value in least.items())


class Report:
    def __init__(self, data):
        ensure(len(data) == 1184, "length")
        number = lambda at, size: int.from_bytes(data[at : at + size], "little")
        version = number(0, 4)
        ensure(2 <= version <= 5, "version")
        policy = number(8, 8)
        ensure(policy >> 17 & 1 and not policy >> 26, "guest policy")
        self.smt, self.migration, self.debug = (policy >> bit & 1 for bit in (16, 18, 19))
        self.vmpl = number(0x30, 4)
        ensure(number(0x34, 4) == 1, "signature algorithm")
        ensure(not number(0x40, 8) & ~0xBF, "platform info")
        flags = number(0x48, 4)
        ensure(not flags >> 5, "flags")
        self.masked, self.signer = flags >> 1 & 1, flags >> 2 & 7
        _zero(data[0x4C:0x50])
        self.report_data, self.measurement = data[0x50:0x90], data[0x90:0xC0]
        layout = MILAN
        if version >= 3:
            ensure(data[0x188] in (0x19, 0x1A), "family")
            layout = TURIN if data[0x188] == 0x1A else MILAN
            _zero(data[0x18B:0x1A0])
        else:
            _zero(data[0x188:0x1A0])
        self.turin = layout is TURIN
        self.chip = data[0x1A0:0x1E0]
        at = {"current": 0x38, "reported": 0x180, "committed": 0x1E0, "launch": 0x1F0}
        self.tcb = {name: _tcb(data[start : start + 8], layout) for name, start in at.items()}
        _zero((data[0x1EB], data[0x1EF]))
        self.firmware = [tuple(reversed(data[start : start + 3])) for start in (0x1E8, 0x1EC)]
        _zero(data[0x208 if version >= 5 else 0x1F8 : 0x2A0])
        _zero(data[0x2D0:0x2E8] + data[0x318:0x330] + data[0x330:])
        self.signed = data[:0x2A0]
        self.signature = [int.from_bytes(data[start : start + 48], "little") for start in (0x2A0, 0x2E8)]


class Judge:
    tcb_is_judged = True

    def __init__(self, record, certificates, report, policy, now_ms):
        self.report = Report(report)
        ensure(len(certificates) == 3, "VCEK, ASK and ARK")
        ensure("event_log" not in record, "an SNP report has no event log")
        self.certificates, self.now = certificates, now_ms
        self.policy = policy.get("tee", {}).get("snp", {})
        self.referenced = "measurements" in self.policy
        for each in certificates:
            signature_algorithm(each)
        try:
            self.vcek = x509.load_der_x509_certificate(certificates[0])
        except ValueError:
            raise Refused("no certificate") from None
        self.report_data, self.measured = self.report.report_data, self.report.measurement.hex()

    def chain(self):
        check_signed(self.certificates, self.policy.get("roots", AMD_ROOTS), self.now)

    def signature(self):
        ensure(self.report.signer == 0, "not signed by a VCEK")
        key = self.vcek.public_key()
        ensure(isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP384R1), "no key on P-384")
        try:
            der = utils.encode_dss_signature(*self.report.signature)
            key.verify(der, self.report.signed, ec.ECDSA(hashes.SHA384()))
        except InvalidSignature:
            raise Refused("the VCEK did not sign this") from None

    def _stated(self, oid):
        found = [each.value.value for each in self.vcek.extensions if each.oid.dotted_string == f"{AMD}.{oid}"]
        return found[0] if found else None

    def _level(self, oid, absent=None):
        der = self._stated(oid)
        if der is None and absent is not None:
            return absent
        ensure(der is not None and der[:2] in (b"\2\1", b"\2\2") and len(der) == 2 + der[1], "a patch level")
        content = der[2:]
        ensure((len(content) == 1 and content[0] < 0x80) or (content[0] == 0 and content[1] >= 0x80), "an INTEGER of a byte")
        return content[-1]

    def tcb(self):
        ensure(self._stated("5") is None, "a VLEK")
        for n in (4, 5, 6, 7):
            ensure(self._level(f"3.{n}", 0) == 0, "a reserved level")
        names = {"bootloader": 1, "tee": 2, "snp": 3, "microcode": 8, **({"fmc": 9} if self.report.turin else {})}
        ensure(self.report.turin or self._stated("3.9") is None, "FMC elsewhere than on Turin")
        levels = {name: self._level(f"3.{n}") for name, n in names.items()}
        chip = self._stated("4")
        ensure(chip is not None and len(chip) == (8 if self.report.turin else 64), "chip id")
        ensure(not self.report.masked, "CHIP_ID is masked")
        ensure(chip.ljust(64, b"\0") == self.report.chip, "another chip")
        tcb = self.report.tcb
        ensure(levels == tcb["reported"], "other levels than reported")
        for name in ("committed", "reported", "launch"):
            ensure(at_least(tcb["current"], tcb[name]), f"{name} is above current")
            ensure(at_least(tcb[name], self.policy.get("min_tcb", {})), f"{name} is below the policy's")
        ensure(self.report.firmware[0] >= self.report.firmware[1], "older firmware than committed")

    def guest(self):
        ensure(not self.report.debug and not self.report.migration, "debugging or migration")
        ensure(not self.report.smt or self.policy.get("allow_smt"), "SMT")
        ensure(self.report.vmpl == 0, "VMPL")

    def reference(self):
        if not self.referenced:
            return "no measurements"
        ensure(self.report.measurement.hex() in self.policy["measurements"], "another measurement")

    def event_log(self):
        return "no log of its own"
