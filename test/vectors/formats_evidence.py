"""Vectors of keys and evidence: key sets, transport keys, attestation keys, quotes, measurements, event logs, policies."""
import hashlib

import logs
from cosigned_proof import proof_vectors
from formats_wire import SPKI, hexes
from make import Vectors, drop, put
from seeded import ed_key, some
from verifier.edits import edited
from verifier.encodings import base64url, canonical, sha256
from world import WORKLOAD, Boot, attest, binding, policy, quote_record, tpm_public, tpm_signature

RSA, EC = Boot(), Boot("elliptic", ak="ec")


def key_set_vectors():
    base = RSA.key_set
    v = Vectors("key_set", "Key set", "Key sets: `base` with edits. `expect` is K.", base=base)
    for name, edits in (("with TLS", []), ("without TLS", [drop("tls_spki_digest")])):
        v.good(name, edits=edits, expect={"k": sha256(canonical(edited(base, *edits))).hex()})
    v.bad("no ledger key", "a member is missing", edits=[drop("ledger_key")])
    v.bad("a ledger key of 31 bytes", "width", edits=[put("ledger_key", value=base64url(bytes(31)))])
    v.bad("a padded ledger key", "spelling", edits=[put("ledger_key", value=base["ledger_key"] + "=")])
    v.bad("a digest in upper case", "spelling", edits=[put("tls_spki_digest", value=hexes("x").upper())])
    v.bad("an unknown member", "no such member", edits=[put("transport_key", value=hexes("x"))])
    v.bad("version 2", "version", edits=[put("version", value=2)])
    v.bad("no version", "a member is missing", edits=[drop("version")])
    return v


def transport_key_vectors():
    base = RSA.transport[0]
    v = Vectors(
        "transport_key", "Key set", "Records of transport keys, `base` with edits, under `common.key_set`.",
        common={"key_set": RSA.key_set}, base=base,
    )
    v.good("a record", edits=[])
    shifted = RSA.transport_key(start=1, end=2)
    v.good("another validity, signed", edits=[put(name, value=value) for name, value in shifted.items()])
    foreign = RSA.transport_key(signer=ed_key("stranger"))["signature"]
    for name, reason, *edits in (
        ("signed by another", "signature", put("signature", value=foreign)),
        ("another end", "signature", put("not_after_ms", value=base["not_after_ms"] + 1)),
        ("another beginning", "signature", put("not_before_ms", value=base["not_before_ms"] - 1)),
        ("another id", "id", put("id", value=hexes("x"))),
        ("another key", "id", put("spki", value=base64url(some("another spki", 64)))),
        ("another key under its own id", "signature", put("spki", value=base64url(b"x")), put("id", value=sha256(b"x").hex())),
        ("a signature of 63 bytes", "width", put("signature", value=base64url(bytes(63)))),
        ("no signature", "a member is missing", drop("signature")),
        ("an unknown member", "no such member", put("use", value="enc")),
        ("a validity as text", "type", put("not_after_ms", value=str(base["not_after_ms"]))),
        ("version 2", "version", put("version", value=2)),
    ):
        v.bad(name, reason, edits=list(edits))
    unprefixed = RSA.ledger.sign(canonical({name: value for name, value in base.items() if name != "signature"}))
    v.bad("signed without the purpose before it", "signature", edits=[put("signature", value=base64url(unprefixed))])
    return v


def attestation_key_vectors():
    v = Vectors("attestation_key", "Attestation key", "TPMT_PUBLIC, base64url. `expect` is the TPM's name of the key.")
    for name, boot in (("RSA", RSA), ("P-256", EC)):
        public = tpm_public(boot.ak)
        v.good(name, public=base64url(public), expect={"name": (b"\0\x0b" + sha256(public)).hex()})
    rsa, point = tpm_public(RSA.ak), tpm_public(EC.ak)
    stated = tpm_public(RSA.ak, exponent=65537)
    v.good("RSA with its exponent stated", public=base64url(stated), expect={"name": (b"\0\x0b" + sha256(stated)).hex()})
    guarded = tpm_public(EC.ak, policy=sha256(b"policy"))
    v.good("P-256 with a policy", public=base64url(guarded), expect={"name": (b"\0\x0b" + sha256(guarded)).hex()})
    usual = 0x00050072
    for kind, key in (("RSA", RSA.ak), ("P-256", EC.ak)):
        for bit, what in ((1, "fixedTPM"), (4, "fixedParent"), (5, "sensitiveDataOrigin"), (16, "restricted"), (18, "sign")):
            v.bad(f"{kind} without {what}", "attribute", public=base64url(tpm_public(key, usual & ~(1 << bit))))
        v.bad(f"{kind} that may decrypt", "attribute", public=base64url(tpm_public(key, usual | 1 << 17)))
        v.bad(f"{kind} named with SHA-1", "name algorithm", public=base64url(tpm_public(key, name_alg=4)))
        v.bad(f"{kind} named with SHA-384", "name algorithm", public=base64url(tpm_public(key, name_alg=0xC)))
        v.bad(f"{kind} with a scheme over SHA-384", "scheme hash", public=base64url(tpm_public(key, scheme_hash=0xC)))
        v.bad(f"{kind} with a symmetric algorithm", "no parent key", public=base64url(tpm_public(key, symmetric=6)))
        v.bad(f"{kind} with a byte after", "left over", public=base64url(tpm_public(key) + b"\0"))
        v.bad(f"{kind} cut short", "cut", public=base64url(tpm_public(key)[:-1]))
        v.bad(f"{kind} with a policy of 65 bytes", "64 at most", public=base64url(tpm_public(key, policy=bytes(65))))
    v.bad("RSA with exponent 3", "exponent", public=base64url(tpm_public(RSA.ak, exponent=3)))
    v.bad("RSA of a scheme of P-256", "scheme", public=base64url(rsa.replace(b"\0\x14\0\x0b", b"\0\x18\0\x0b", 1)))
    v.bad("P-256 on another curve", "curve", public=base64url(point.replace(b"\0\x18\0\x0b\0\3", b"\0\x18\0\x0b\0\4", 1)))
    v.bad("P-256 with a key derivation", "KDF", public=base64url(point.replace(b"\0\3\0\x10\0\x20", b"\0\3\0\x20\0\x20", 1)))
    v.bad("P-256 off the curve", "no point", public=base64url(point[:-1] + bytes([point[-1] ^ 1])))
    v.bad("nothing", "cut", public="")
    return v


def quote_vectors():
    purposes = {"keys": sha256(b""), "checkpoint": sha256(b"body"), "challenge": sha256(b"root")}
    pcrs = {str(i): value.hex() for i, value in sorted(RSA.pcrs.items())}
    v = Vectors(
        "quote", "Quote", "Quotes of the keys in `common`, over `common.pcrs`, bound to `k` for `purpose` and `x`, all checked in the "
        "section's order. The ECDSA signatures take their k as RFC 6979 says, RSASSA has no randomness.",
        common={
            "k": RSA.k.hex(), "keys": {"rsa": base64url(tpm_public(RSA.ak)), "ec": base64url(tpm_public(EC.ak))}, "pcrs": pcrs,
        },
    )
    keys = {"rsa": RSA.ak, "ec": EC.ak}

    def given(kind="rsa", purpose="keys", said=None, signer=None, signature=None, extra=None, **change):
        x = purposes[purpose]
        data = attest(extra or binding(purpose, RSA.k, x), change.pop("pcrs", RSA.pcrs), **change)
        made = quote_record(keys[signer or kind], data)
        return {"key": kind, **made, **(signature or {}), "purpose": said or purpose, "x": purposes[said or purpose].hex()}

    for kind in keys:
        for purpose in purposes:
            v.good(f"{kind}, {purpose}", **given(kind, purpose), expect={"reset": 7, "restart": 0})
    v.good("another boot", **given(reset=2**32 - 1, restart=2**32 - 1), expect={"reset": 2**32 - 1, "restart": 2**32 - 1})
    v.good("a clock that is not safe", **given(safe=0), expect={"reset": 7, "restart": 0})
    # A TPM leaves zeros out before short integers: an attest is sought whose r or s begins with one.
    for clock in range(2000):
        data = attest(binding("keys", RSA.k, purposes["keys"]), RSA.pcrs, clock=clock)
        full, short = tpm_signature(EC.ak, data), tpm_signature(EC.ak, data, short=True)
        if len(short) < len(full):
            break
    assert len(short) < len(full)
    both = {"attest": base64url(data), "purpose": "keys", "x": purposes["keys"].hex(), "key": "ec"}
    v.good("integers without zeros before them", **both, signature=base64url(short), expect={"reset": 7, "restart": 0})
    v.good("integers with zeros before them", **both, signature=base64url(full), expect={"reset": 7, "restart": 0})
    raw = tpm_signature(RSA.ak, attest(binding("keys", RSA.k, purposes["keys"]), RSA.pcrs))
    point = tpm_signature(EC.ak, attest(binding("keys", RSA.k, purposes["keys"]), RSA.pcrs))

    def bad(name, reason, **change):
        v.bad(name, reason, **given(**change))

    for kind, other in (("rsa", "ec"), ("ec", "rsa")):
        bad(f"{kind}, signed by the other", "scheme", kind=kind, signer=other)
        good = raw if kind == "rsa" else point
        for name, reason, value in (
            ("one bit of the signature", "signature", good[:-1] + bytes([good[-1] ^ 1])),
            ("a byte after the signature", "left over", good + b"\0"),
            ("a signature cut short", "cut", good[:-1]),
            ("no signature", "cut", b""),
            ("a signature over SHA-384", "hash", good[:2] + b"\0\x0c" + good[4:]),
        ):
            bad(f"{kind}, {name}", reason, kind=kind, signature={"signature": base64url(value)})
        for said in ("checkpoint", "challenge"):
            bad(f"{kind}, for {said} and made for keys", "purpose", kind=kind, said=said)
    bad("r of 33 bytes", "32 at most", kind="ec", signature={"signature": base64url(point[:4] + b"\0\x21\0" + point[6:])})
    bad("r and s zero", "signature", kind="ec", signature={"signature": base64url(point[:4] + b"\0\1\0\0\1\0")})
    for name, reason, change in (
        ("not made by a TPM", "magic", {"magic": 0xFF544346}),
        ("a certification", "type", {"type": 0x8017}),
        ("a byte after", "left over", {"after": b"\0"}),
        ("no selection", "one", {"selection": b"\0\0\0\0"}),
        ("two selections", "one", {"selection": b"\0\0\0\2\0\x0b\3\xff\xfb\0\0\4\3\xff\xfb\0"}),
        ("the SHA-1 bank", "bank", {"selection": b"\0\0\0\1\0\4\3\xff\xfb\0"}),
        ("a selection of two bytes", "three", {"selection": b"\0\0\0\1\0\x0b\2\xff\xfb"}),
        ("a selection of four bytes", "three", {"selection": b"\0\0\0\1\0\x0b\4\xff\xfb\0\0"}),
        ("one PCR more", "selection", {"selection": b"\0\0\0\1\0\x0b\3\xff\xff\0"}),
        ("one PCR less", "selection", {"selection": b"\0\0\0\1\0\x0b\3\xfe\xfb\0"}),
        ("PCR 16 too", "selection", {"selection": b"\0\0\0\1\0\x0b\3\xff\xfb\1"}),
        ("another digest", "PCR digest", {"digest": sha256(b"x")}),
        ("a digest of 31 bytes", "width", {"digest": bytes(31)}),
        ("no digest", "width", {"digest": b""}),
        ("values in another order", "ascending", {"digest": sha256(*(RSA.pcrs[i] for i in sorted(RSA.pcrs, reverse=True)))}),
        ("a strange flag", "safe is 0 or 1", {"safe": 2}),
        ("a caller's data", "extraData", {"extra": some("a caller's", 32)}),
        ("data with a byte after", "extraData", {"extra": binding("keys", RSA.k, purposes["keys"]) + b"\0"}),
        ("bound to other keys", "K", {"extra": binding("keys", EC.k, purposes["keys"])}),
        ("bound without K", "K", {"extra": sha256(b"sealed/quote/keys/v1\0", purposes["keys"])}),
    ):
        bad(name, reason, **change)
    return v


def measurement_vectors():
    v = Vectors("measurement", "Measurements", "`stated` is the value of the PCR after `of` was measured, and nothing else.")
    zero = bytes(32)
    for of, value, pcr in (("key_set", RSA.key_set, 14), ("configuration", RSA.configuration, 8)):
        digest = sha256(canonical(value))
        v.good(of, of=of, value=value, stated=sha256(zero, digest).hex(), expect={"digest": digest.hex(), "pcr": pcr})
        for name, stated in (
            ("the digest itself", digest), ("nothing", zero), ("twice", sha256(sha256(zero, digest), digest)),
            ("after something", sha256(sha256(zero, sha256(b"x")), digest)), ("hashed again", sha256(zero, sha256(digest))),
            ("from ones", sha256(b"\xff" * 32, digest)),
        ):
            v.bad(f"{of}, {name}", "PCR value", of=of, value=value, stated=stated.hex())
    base = RSA.configuration
    for name, reason, *edits in (
        ("an unknown member", "no such member", put("debug", value=True)),
        ("no metering", "a member is missing", drop("metering")),
        ("a workload without its egress", "a member is missing", drop("workloads", 0, "egress")),
        ("egress by name", "an address, no name", put("workloads", 0, "egress", value=[{"address": "example.org", "port": 443, "protocol": "tcp"}])),
        ("egress by a block of 33 bits", "32 at most", put("workloads", 0, "egress", value=[{"address": "10.0.0.0/33", "port": 443, "protocol": "tcp"}])),
        ("egress by port 0", "from 1", put("workloads", 0, "egress", value=[{"address": "10.0.0.1", "port": 0, "protocol": "tcp"}])),
        ("egress by ICMP", "no such word", put("workloads", 0, "egress", value=[{"address": "10.0.0.1", "port": 1, "protocol": "icmp"}])),
        ("an authority's key of 31 bytes", "width", put("authorities", 0, "public_key", value=base64url(bytes(31)))),
        ("an authority's id of 15 bytes", "width", put("authorities", 0, "id", value="00" * 15)),
        ("weights of nothing", "one at least", put("workloads", 0, "weights", value=[])),
        ("nine weights", "eight at most", put("workloads", 0, "weights", value=[hexes(f"root {i}") for i in range(9)])),
        ("weights by a root of 31 bytes", "width", put("workloads", 0, "weights", value=["00" * 31])),
        ("unknown activations", "no such word", put("workloads", 0, "activations", value="onnx")),
    ):
        value = edited(base, *edits)
        stated = sha256(zero, sha256(canonical(value))).hex()
        v.bad(f"configuration, {name}", reason, of="configuration", value=value, stated=stated)
    value = edited(base, put("workloads", 0, "weights", value=[hexes("root 1"), hexes("root 0")]))
    digest = sha256(canonical(value))
    v.good("a workload with weights", of="configuration", value=value, stated=sha256(zero, digest).hex(), expect={"digest": digest.hex(), "pcr": 8})
    for name, address in (("an address", "192.0.2.1"), ("a block", "192.0.2.0/24"), ("a block from within", "192.0.2.7/24"), ("an address of version 6", "2001:db8::1"), ("a block of version 6", "2001:db8::/32")):
        rule = {"address": address, "port": 443, "protocol": "tcp"}
        value = edited(base, put("workloads", value=[{**WORKLOAD, "egress": [rule]}]))
        digest = sha256(canonical(value))
        v.good(f"egress to {name}", of="configuration", value=value, stated=sha256(zero, digest).hex(), expect={"digest": digest.hex(), "pcr": 8})
    return v


def event_log_vectors():
    v = Vectors(
        "event_log", "Event log", "Logs, base64url; `expect` is the value of each PCR of which the log speaks, and the applications "
        "started; `zeros` are that many bytes `00` behind the log. What a verifier makes of them with quoted values and images is "
        "tried in the verdicts.",
    )

    def good(name, made, text=None, start=bytes(32)):
        pcrs = {}
        for pcr, kind, digest, _ in made:
            if kind != logs.NO_ACTION:
                first = start if pcr == 0 else b"\xff" * 32 if 17 <= pcr <= 22 else bytes(32)
                pcrs[pcr] = sha256(pcrs.get(pcr, first), digest)
        started = [each[2].hex() for each in made if each[1] == logs.APPLICATION]
        values = {str(pcr): value.hex() for pcr, value in sorted(pcrs.items())}
        v.good(name, log=base64url(logs.log(made) if text is None else text), expect={"applications": started, "pcrs": values})

    made = logs.events()
    good("a boot", made)
    good("a boot that measures applications into PCR 2", logs.events(application=2))
    good("no event", [])
    good("a launch register", [logs.of(17, 13, b"launch")])
    good("locality 3", [(0, logs.NO_ACTION, bytes(32), b"StartupLocality\0\3"), *made], start=bytes(31) + b"\3")
    good("SHA-256 alone", made, logs.log(made, algorithms=((0x000B, 32),)))
    good("five algorithms", made, logs.log(made, algorithms=((4, 20), (0xB, 32), (0xC, 48), (0xD, 64), (0x12, 32))))
    rest = b"\xff" * 4
    good("a separator of ones", [logs.of(5, logs.SEPARATOR, rest), *made])
    remarks = [(pcr, logs.NO_ACTION, bytes(32), b"a remark") for pcr in (2, 4, 10)]
    good("events that extend nothing, where nothing else is", remarks)
    good("events that extend nothing among applications", [*remarks, *made])
    good("2,048 events behind the first record", [logs.of(5, 13, b"x")] * 2048, logs.log([logs.of(5, 13, b"x")] * 2048, algorithms=((0x000B, 32),)))

    def filled(size):
        """A log of one event that fills it up to `size`: what is cut off behind its head, and how many zeros that is."""
        head = logs.first(logs.header()) + logs.event(5, 13, sha256(b"x"), b"")[:-4]
        zeros = size - len(head) - 4
        return {"log": base64url(head + logs.le(zeros, 4)), "zeros": zeros}

    pcrs = {"5": sha256(bytes(32), sha256(b"x")).hex()}
    v.good("262,144 bytes", **filled(262144), expect={"applications": [], "pcrs": pcrs})
    v.bad("262,145 bytes", "262,144 at most", **filled(262145))
    good("vendor bytes", [], logs.first(logs.header(vendor=b"x" * 200)))
    whole, head = logs.log(made), logs.first(logs.header())
    for name, reason, text in (
        ("cut short", "cut", whole[:-1]),
        ("a byte after", "cut", whole + b"\0"),
        ("nothing", "no record", b""),
        ("a header of 257 bytes", "256 at most", logs.first(logs.header(vendor=b"x" * (257 - len(logs.header()))))),
        ("a digest twice", "each algorithm once", head + logs.event(5, 13, sha256(b"x"), b"x", ((4, 20), (0xB, 32), (0xB, 32)))),
        ("an algorithm that was not announced", "each algorithm once", head + logs.event(5, 13, sha256(b"x"), b"x", ((4, 20), (0xB, 32), (0xD, 64)))),
        ("one digest less", "each algorithm once", head + logs.event(5, 13, sha256(b"x"), b"x", ((4, 20), (0xB, 32)))),
        ("PCR 24", "there are 24", logs.log([logs.of(24, 13, b"x")])),
        ("an event of 4 GiB", "cut; nothing is allocated", head + logs.event(5, 13, sha256(b"x"), b"")[:-4] + b"\xff" * 4),
        ("a separator with other data", "separator", logs.log([(5, logs.SEPARATOR, sha256(bytes(4)), b"x")])),
        ("a separator with another digest", "separator", logs.log([(5, logs.SEPARATOR, sha256(b"x"), b"x")])),
        ("a separator's digest elsewhere", "separator", logs.log([(5, 13, sha256(bytes(4)), bytes(4))])),
        ("an action that may be an application", "printable", logs.log([logs.of(4, logs.ACTION, b"\x80")])),
        ("another event in PCR 4", "it may be an application", logs.log([logs.of(4, 13, b"x")])),
        ("a locality twice", "once", logs.log([(0, logs.NO_ACTION, bytes(32), b"StartupLocality\0\0")] * 2)),
        ("a locality in another PCR", "PCR 0", logs.log([(5, logs.NO_ACTION, bytes(32), b"StartupLocality\0\0")])),
        ("a locality of no length", "length", logs.log([(0, logs.NO_ACTION, bytes(32), b"StartupLocality\0")])),
        ("an event that extends nothing, and a digest of SHA-1", "zero in every bank", head + logs.event(5, logs.NO_ACTION, bytes(32), b"x").replace(b"\4\0" + bytes(20), b"\4\0\1" + bytes(19), 1)),
        ("a locality behind an event of PCR 0", "before", logs.log([logs.of(0, 8, b"x"), (0, logs.NO_ACTION, bytes(32), b"StartupLocality\0\0")])),
        ("2,049 events", "2,048 at most", logs.log([logs.of(5, 13, b"x")] * 2049, algorithms=((0x000B, 32),))),
    ):
        v.bad(name, reason, log=base64url(text))
    return v


def policy_vectors():
    image = {"name": "sealed", "pcrs": [{"digests": [hexes("pcr 9")], "index": 9}, {"digests": [hexes("pcr 11")], "index": 11}], "uki": [hexes("uki")], "version": "1"}
    key = {"name": "witness.example/w", "public_key": base64url(bytes(32))}
    base = policy(
        images=[image], instances={"projects": ["sealed-tests"], "zones": ["europe-west4-a"]}, max_age_ms=86400000,
        tee={"snp": {"measurements": ["00" * 48], "min_tcb": {"snp": 20}}, "tdx": {"mrtd": ["00" * 48]}},
        witnesses={"keys": [key], "quorum": 1}, evidence=["tpm", "event-log", "tee"],
    )
    v = Vectors("policy", "Policy", "Policy files: `base` with edits.", base=base)
    v.good("every member", edits=[])
    for member in ("instances", "max_age_ms", "tee", "witnesses"):
        v.good(f"no {member}", edits=[drop(member)])
    v.good("no authority, no image, no workload", edits=[put(name, value=[]) for name in ("authorities", "images", "workloads")])
    v.good("an image without applications", edits=[drop("images", 0, "uki")])
    v.good("places of any zone", edits=[drop("instances", "zones")])
    v.good("no quorum", edits=[put("witnesses", "quorum", value=0)])
    for member in base:
        if member not in ("instances", "max_age_ms", "tee", "witnesses"):
            v.bad(f"no {member}", "a member is missing", edits=[drop(member)])
    for name, reason, *edits in (
        ("an unknown member", "no such member", put("skip_quote", value=True)),
        ("no root", "one at least", put("ak_roots", value=[])),
        ("a root in upper case", "spelling", put("ak_roots", value=[hexes("x").upper()])),
        ("evidence without tpm", "tpm is always required", put("evidence", value=["event-log"])),
        ("unknown evidence", "no such word", put("evidence", value=["tpm", "gpu"])),
        ("no seal policy", "one at least", put("seal_policies", value=[])),
        ("an unknown seal policy", "no such word", put("seal_policies", value=["none"])),
        ("an age of nothing", "from 1", put("max_age_ms", value=0)),
        ("version 2", "version", put("version", value=2)),
        ("a name of 65", "64 at most", put("name", value="a" * 65)),
        ("an image without PCRs", "one at least", put("images", 0, "pcrs", value=[])),
        ("an image with a PCR twice", "each once", put("images", 0, "pcrs", 1, "index", value=9)),
        ("an image with PCR 24", "there are 24", put("images", 0, "pcrs", 0, "index", value=24)),
        ("a PCR without digests", "one at least", put("images", 0, "pcrs", 0, "digests", value=[])),
        ("an image with no application", "one at least", put("images", 0, "uki", value=[])),
        ("no project", "one at least", put("instances", "projects", value=[])),
        ("a quorum above the keys", "as many as there are", put("witnesses", "quorum", value=2)),
        ("a witness twice", "each once", put("witnesses", "keys", value=[key, {**key, "public_key": base64url(b"\1" * 32)}])),
        ("a witness's key twice", "each once", put("witnesses", "keys", value=[key, {**key, "name": "other"}])),
        ("a witness with a space in its name", "name", put("witnesses", "keys", 0, "name", value="a b")),
        ("a witness with a plus in its name", "name", put("witnesses", "keys", 0, "name", value="a+b")),
        ("a measurement of 32 bytes", "width", put("tee", "snp", "measurements", value=["00" * 32])),
        ("a patch level of 256", "255 at most", put("tee", "snp", "min_tcb", "snp", value=256)),
        ("an unknown patch level", "no such member", put("tee", "snp", "min_tcb", "kernel", value=1)),
        ("no measurement", "one at least", put("tee", "tdx", "mrtd", value=[])),
        ("RTMR 4", "0 to 3", put("tee", "tdx", "rtmrs", value=[{"digests": ["00" * 48], "index": 4}])),
    ):
        v.bad(name, reason, edits=list(edits))
    return v


def report_data_vectors():
    v = Vectors("report_data", "TEE evidence", "REPORT_DATA for an attestation key and K, in hex; `stated` is that of a report.")
    public = tpm_public(EC.ak)
    right = hashlib.sha512(b"sealed/report/v1\0" + sha256(public) + EC.k)
    given = {"ak_public": base64url(public), "k": EC.k.hex()}
    v.good("a report", **given, stated=right.hexdigest())
    for name, data in (
        ("of another key set", b"sealed/report/v1\0" + sha256(public) + RSA.k),
        ("of another attestation key", b"sealed/report/v1\0" + sha256(tpm_public(RSA.ak)) + EC.k),
        ("without its purpose", sha256(public) + EC.k),
        ("in another order", b"sealed/report/v1\0" + EC.k + sha256(public)),
    ):
        v.bad(name, "REPORT_DATA", **given, stated=hashlib.sha512(data).hexdigest())
    return v


def vectors():
    return [
        key_set_vectors(), transport_key_vectors(), attestation_key_vectors(), quote_vectors(), measurement_vectors(),
        event_log_vectors(), policy_vectors(), report_data_vectors(), proof_vectors(),
    ]
