"""Lies in SEV-SNP reports, by hand from SPEC.md. The report's ECDSA takes its k as RFC 6979 says."""
import hashlib

import certificates
import der
from make import put
from seeded import P384, ec_key, ecdsa, pss, some
from verifier.encodings import base64url, sha256
from world import tpm_public

AMD = "1.3.6.1.4.1.3704.1"
CHIP = some("chip", 64)
MEASUREMENT = some("measurement", 48)
NAMES = ("form", "chain", "signature", "binding", "tcb", "guest", "reference", "event_log")
ALL = [f"document.tee_{name}" for name in NAMES]
VCEK = ec_key("vcek", P384)


def le(value, size):
    return value.to_bytes(size, "little")


def levels(bootloader=3, tee=0, snp=20, microcode=209):
    return bytes((bootloader, tee, 0, 0, 0, 0, snp, microcode))


def turin(fmc=1, bootloader=3, tee=0, snp=20, microcode=209):
    return bytes((fmc, bootloader, tee, snp, 0, 0, 0, microcode))


def report(data, key=VCEK, version=3, policy=0x30000 & ~0x10000, **change):
    tcb = change.get("tcb", levels())
    family = bytes((0x19, 0x11, 1)) if version >= 3 else bytes(3)
    made = b"".join((
        le(version, 4), le(1, 4), le(policy, 8), some("family and image", 32), le(change.get("vmpl", 0), 4),
        le(change.get("algorithm", 1), 4), change.get("current", tcb), le(change.get("platform", 0x25), 8),
        le(change.get("flags", 0), 4), change.get("zero", bytes(4)), data, MEASUREMENT, some("host data and ids", 192),
        change.get("reported", tcb), change.get("cpuid", family), bytes(21), change.get("chip", CHIP),
        change.get("committed", tcb), change.get("firmware", bytes((21, 55, 1, 0))),
        change.get("kept", bytes((21, 55, 1, 0))), change.get("launch", tcb),
        change.get("mitigation", some("mitigation", 16) if version >= 5 else bytes(16)), bytes(152),
    ))
    assert len(made) == 0x2A0
    r, s = (n.to_bytes(48, "little") for n in ecdsa(key, made, P384))
    return made + r + change.get("behind_r", bytes(24)) + s + bytes(24) + change.get("tail", bytes(368))


def integer(value):
    return bytes((2, 1, value)) if value < 0x80 else bytes((2, 2, 0, value))


def vcek(chip=CHIP, extra=(), without=(), key=VCEK, fmc=None, **change):
    stated = {"3.1": 3, "3.2": 0, "3.3": 20, "3.4": 0, "3.8": 209, **change.pop("stated", {})}
    if fmc is not None:
        stated["3.9"] = fmc
    listed = [(f"{AMD}.{oid}", integer(value), False) for oid, value in stated.items() if oid not in without]
    listed += [(f"{AMD}.4", chip, False)] if chip is not None else []
    listed += [(f"{AMD}.{oid}", value, False) for oid, value in extra]
    listed += change.pop("marked", ())
    return certificates.leaf(key.public_key(), usage=None, extensions=listed, **change)


def lies(j):
    k, public = j.boot.k, tpm_public(j.boot.ak)
    data = hashlib.sha512(b"sealed/report/v1\0" + sha256(public) + k).digest()
    chain = [vcek(), certificates.middle(), certificates.root()]
    roots = [sha256(certificates.root()).hex()]

    def document(raw, listed, **more):
        record = {"certificates": [base64url(each) for each in listed], "kind": "sev-snp", "report": base64url(raw), **more}
        return j.boot.document(tee_report=record, quote=j.boot.quote("keys", sha256(raw)))

    def wanted(evidence=("tpm", "tee"), **snp):
        named = {"measurements": [MEASUREMENT.hex()], "roots": roots, **snp}
        named = {name: value for name, value in named.items() if value is not None}
        return [put("policy", "evidence", value=list(evidence)), put("policy", "tee", value={"snp": named})]

    made = [each for each in ALL if each != "document.tee_event_log"]

    def ok(name, raw=None, listed=chain, policy=None, **more):
        raw = report(data) if raw is None else raw
        j.verified(f"SNP: {name}", *(policy or wanted()), document=document(raw, listed, **more), unskipped=made)

    def bad(name, reason, of, raw=None, listed=chain, policy=None, **more):
        raw = report(data) if raw is None else raw
        failed = [f"document.tee_{each}" for each in of.split()]
        # Where the form fails there is nothing for the others to judge.
        judged = ["document.tee_form"] if of == "form" else made
        edits = policy or wanted()
        j.failed(f"SNP: {name}", reason, failed, *edits, document=document(raw, listed, **more), unskipped=judged)

    ok("a report")
    ok("asked for by its kind", policy=wanted(("tpm", "sev-snp")))
    ok("nobody asked for it", policy=wanted(("tpm",)))
    ok("of version 2", report(data, version=2))
    ok("of version 5", report(data, version=5))
    on = turin()
    ok("of Turin", report(data, tcb=on, cpuid=bytes((0x1A, 2, 1)), chip=CHIP[:8] + bytes(56)), [vcek(CHIP[:8], fmc=1), *chain[1:]])
    ok("with more current than reported", report(data, current=levels(snp=21)))
    ok("SMT where the policy allows it", report(data, policy=0x30000), policy=wanted(allow_smt=True))
    ok("at the policy's least levels", policy=wanted(min_tcb={"bootloader": 3, "tee": 0, "snp": 20, "microcode": 209}))
    j.incomplete(
        "SNP: no reference value", "no measurement to compare with", *wanted(measurements=None),
        document=document(report(data), chain), unskipped=[each for each in made if each != "document.tee_reference"],
    )

    def form(name, reason, raw=None, **more):
        bad(name, reason, "form", raw, **more)

    form("of version 1", "version", report(data, version=1))
    form("of version 6", "version", report(data, version=6))
    form("a byte short", "length", report(data)[:-1])
    form("a byte long", "length", report(data) + b"\0")
    form("a policy without bit 17", "always one", report(data, policy=0))
    form("a policy with bit 26", "reserved", report(data, policy=0x20000 | 1 << 26))
    form("another signature algorithm", "1 alone", report(data, algorithm=2))
    form("bit 6 of platform info", "reserved", report(data, platform=0x40))
    form("bit 8 of platform info", "reserved", report(data, platform=0x100))
    form("bit 5 of the flags", "reserved", report(data, flags=0x20))
    form("bytes behind the flags", "zero", report(data, zero=b"\1\0\0\0"))
    form("an unknown family", "19 or 1a", report(data, cpuid=bytes((0x17, 1, 1))))
    form("a family in version 2", "zero before version 3", report(data, version=2, cpuid=bytes((0x19, 1, 1))))
    form("mitigation vectors in version 3", "zero before version 5", report(data, mitigation=b"\1" + bytes(15)))
    form("a reserved patch level", "zero", report(data, reported=bytes((3, 0, 1, 0, 0, 0, 20, 209))))
    form("firmware with a fourth part", "zero", report(data, firmware=bytes((21, 55, 1, 1))))
    form("bytes behind r", "zero", report(data, behind_r=b"\1" + bytes(23)))
    form("bytes behind the signature", "zero", report(data, tail=bytes(367) + b"\1"))
    form("evidence of another kind than asked for", "kind", policy=wanted(("tpm", "tdx")))
    form("two certificates", "three", listed=chain[1:])
    form("four certificates", "three", listed=[*chain, chain[-1]])
    form("no certificate", "three", listed=[])
    form("with an event log", "SNP has none", event_log="AA")
    form("with certificates that are none", "DER", listed=[b"\x30\0", *chain[1:]])
    form("with a root that is no certificate", "DER", listed=[*chain[:2], b"\x30\0"])
    salted = der.resigned(vcek(), lambda tbs: pss(certificates.MIDDLE, tbs, "vcek"), der.pss())
    ok("a VCEK under RSASSA-PSS, as AMD signs it", listed=[salted, *chain[1:]])
    j.incomplete(
        "SNP: reference values of the other kind alone", "no measurement to compare with", *wanted(measurements=None),
        put("policy", "tee", "tdx", value={"mrtd": ["00" * 48]}), document=document(report(data), chain),
        unskipped=[each for each in made if each != "document.tee_reference"],
    )
    j.failed(
        "SNP: evidence of both kinds asked for", "it is of one", ["document.tee_form"], *wanted(("tpm", "sev-snp", "tdx")),
        document=document(report(data), chain), unskipped=["document.tee_form"],
    )
    bad("another root", "root", "chain", policy=wanted(roots=None))
    bad("a VCEK of another issuer", "signature", "chain", listed=[vcek(signer=certificates.OTHER), *chain[1:]])
    odd = [(f"{AMD}.99", b"\5\0", True)]
    bad("a VCEK with an unknown critical extension", "not understood", "chain", listed=[vcek(marked=odd), *chain[1:]])
    bad("an ASK with an unknown critical extension", "not understood", "chain", listed=[chain[0], certificates.middle(extensions=odd), chain[2]])
    bad("another VCEK", "signature", "signature", report(data, key=ec_key("another vcek", P384)))
    twisted = bytearray(report(data))
    twisted[0x2A0] ^= 1
    bad("one bit of the signature", "signature", "signature", bytes(twisted))
    for n, name in ((1, "a VLEK"), (7, "nobody")):
        bad(f"signed by {name}", "signing key", "signature", report(data, flags=n << 2))
    small = [vcek(key=ec_key("small vcek")), *chain[1:]]
    bad("a VCEK on P-256", "curve", "signature", listed=small)
    for name, other in (("another attestation key", hashlib.sha512(b"sealed/report/v1\0" + sha256(b"x") + k).digest()), ("zeros", bytes(64))):
        bad(f"bound to {name}", "REPORT_DATA", "binding", report(other))
    bad("CHIP_ID masked", "masked", "tcb", report(data, flags=2))
    bad("another chip", "CHIP_ID", "tcb", report(data, chip=some("another chip", 64)))
    for part in ("bootloader", "snp", "microcode"):
        low = {"bootloader": 2, "snp": 19, "microcode": 208}[part]
        high = {"bootloader": 4, "snp": 21, "microcode": 210}[part]
        for of in ("committed", "launch"):
            bad(f"{of} {part} above current", "levels", "tcb", report(data, **{of: levels(**{part: high})}))
        bad(f"current {part} below reported", "levels", "tcb", report(data, current=levels(**{part: low})))
        bad(f"reported {part} that is not the VCEK's", "levels", "tcb", report(data, reported=levels(**{part: low})))
        bad(f"{part} below the policy's", "levels", "tcb", policy=wanted(min_tcb={part: high}))
        bad(f"launch {part} below the policy's", "levels", "tcb", report(data, launch=levels(**{part: low})), policy=wanted(min_tcb={part: low + 1}))
    bad("a policy's level that Milan has not", "FMC", "tcb", policy=wanted(min_tcb={"fmc": 0}))
    bad("older firmware than committed", "firmware", "tcb", report(data, firmware=bytes((20, 55, 1, 0))))
    bad("an older minor firmware", "firmware", "tcb", report(data, firmware=bytes((22, 54, 1, 0))))
    ok("newer firmware than committed", report(data, firmware=bytes((0, 56, 1, 0))))
    for name, reason, leaf in (
        ("without its chip", "CHIP_ID", vcek(chip=None)),
        ("with its chip in another OCTET STRING", "raw bytes", vcek(chip=b"\4\x40" + CHIP)),
        ("with a short chip", "CHIP_ID", vcek(chip=CHIP[:8])),
        ("without a level", "levels", vcek(without=("3.3",))),
        ("with a reserved level", "zero or absent", vcek(stated={"3.4": 1})),
        ("with FMC on Milan", "Turin alone", vcek(fmc=0)),
        ("that names a provider", "a VLEK", vcek(extra=[("5", b"\x0c\3GCP")])),
    ):
        bad(f"a VCEK {name}", reason, "tcb", listed=[leaf, *chain[1:]])
    long = vcek(without=("3.2",), extra=[("3.2", bytes((2, 2, 0, 0)))])
    bad("a VCEK with a level spelled too long", "INTEGER of one byte", "tcb", listed=[long, *chain[1:]])
    bad("debugging", "guest policy", "guest", report(data, policy=0x20000 | 1 << 19))
    bad("a migration agent", "guest policy", "guest", report(data, policy=0x20000 | 1 << 18))
    bad("SMT", "the policy does not allow it", "guest", report(data, policy=0x30000))
    bad("VMPL 1", "VMPL", "guest", report(data, vmpl=1))
    bad("another measurement", "MEASUREMENT", "reference", policy=wanted(measurements=["00" * 48]))
    raw = report(data)
    unquoted = j.boot.document(tee_report={"certificates": [base64url(each) for each in chain], "kind": "sev-snp", "report": base64url(raw)})
    j.failed("SNP: a report that the TPM did not quote", "the keys quote", ["document.quote_binding"], *wanted(), document=unquoted, unskipped=made)
