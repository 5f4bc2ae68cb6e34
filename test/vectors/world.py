"""A boot as an embassy would show it: keys, attestation document, log, receipts. All of it made by hand from SPEC.md."""
import base64

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

import certificates
import logs
from formats_wire import HEADER, NOW_MS, SPKI, authority, envelope, hexes
from seeded import ec_key, ecdsa, ed_key, rsa_key, some
from verifier.encodings import base64url, canonical, salted, sha256
from verifier.merkle import leaf_hash, node_hash
from verifier.weights import model_of
from verifier.wire import derive

AK_ATTRIBUTES = 0x00050072
WORKLOAD = {
    "activations": "safetensors", "digest": HEADER["expect"]["workload"], "egress": [], "image": hexes("image"),
    "name": "demo", "prefix_cache": "off", "seal_policy": "request",
}

EPOCH = hexes("epoch")[:32]


def u16(value):
    return value.to_bytes(2, "big")


def u32(value):
    return value.to_bytes(4, "big")


def sized(data):
    return u16(len(data)) + data


def is_rsa(key):
    return not isinstance(key, ec.EllipticCurvePrivateKey)


def tpm_public(key, attributes=AK_ATTRIBUTES, name_alg=0x000B, policy=b"", symmetric=0x0010, scheme_hash=0x000B, exponent=0):
    head = u16(name_alg) + u32(attributes) + sized(policy) + u16(symmetric)
    if is_rsa(key):
        numbers = key.public_key().public_numbers()
        bits = numbers.n.bit_length()
        modulus = numbers.n.to_bytes(bits // 8, "big")
        return u16(0x0001) + head + u16(0x0014) + u16(scheme_hash) + u16(bits) + u32(exponent) + sized(modulus)
    numbers = key.public_key().public_numbers()
    point = sized(numbers.x.to_bytes(32, "big")) + sized(numbers.y.to_bytes(32, "big"))
    return u16(0x0023) + head + u16(0x0018) + u16(scheme_hash) + u16(0x0003) + u16(0x0010) + point


def bitmap(indices):
    bits = sum(1 << i for i in indices)
    return bits.to_bytes(3, "little")


def pcr_digest(pcrs):
    return sha256(*(pcrs[i] for i in sorted(pcrs)))


def attest(extra, pcrs, reset=7, restart=0, **change):
    selection = change.get("selection", u32(1) + u16(0x000B) + b"\3" + bitmap(pcrs))
    return (
        u32(change.get("magic", 0xFF544347)) + u16(change.get("type", 0x8018))
        + sized(b"\0\x0b" + sha256(b"qualified signer")) + sized(extra)
        + (change.get("clock", 123456)).to_bytes(8, "big") + u32(reset) + u32(restart) + bytes([change.get("safe", 1)])
        + bytes.fromhex("2016051100162800") + selection + sized(change.get("digest", pcr_digest(pcrs)))
        + change.get("after", b"")
    )


def tpm_signature(key, data, short=False):
    if is_rsa(key):
        return u16(0x0014) + u16(0x000B) + sized(key.sign(data, padding.PKCS1v15(), hashes.SHA256()))
    parts = [n.to_bytes(32, "big") for n in ecdsa(key, data)]
    return u16(0x0018) + u16(0x000B) + b"".join(sized(each.lstrip(b"\0") if short else each) for each in parts)


def quote_record(key, data):
    return {"attest": base64url(data), "signature": base64url(tpm_signature(key, data))}


def binding(purpose, k, x):
    return sha256(f"sealed/quote/{purpose}/v1\0".encode(), k, x)


def raw_public(key):
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def merkle(hashes_):
    """Root over leaf hashes, RFC 6962 section 2.1."""
    if len(hashes_) == 1:
        return hashes_[0]
    k = 1
    while 2 * k < len(hashes_):
        k *= 2
    return node_hash(merkle(hashes_[:k]), merkle(hashes_[k:]))


def merkle_path(hashes_, index):
    if len(hashes_) == 1:
        return []
    k = 1
    while 2 * k < len(hashes_):
        k *= 2
    if index < k:
        return [*merkle_path(hashes_[:k], index), merkle(hashes_[k:])]
    return [*merkle_path(hashes_[k:], index - k), merkle(hashes_[:k])]


def note(body, name, key, mark=b"\1", blob=None):
    public = raw_public(key)
    blob = sha256(name.encode(), b"\n", mark, public)[:4] + key.sign(body.encode()) if blob is None else blob
    return f"{body}\n\u2014 {name} {base64.b64encode(blob).decode()}\n"


class Boot:
    """One boot. What is not given is good; `pcr` replaces PCR values, `configuration` the measured configuration, `unsealed`
    says why it has neither seal nor TPM."""

    def __init__(self, label="boot", ak="rsa", reset=7, restart=0, pcr=None, configuration=None, tls=True, unsealed=None):
        self.unsealed = unsealed
        self.ledger = ed_key("ledger " + label)
        # One machine, whatever it booted, and a stranger's.
        machine = "ak stranger" if label == "stranger" else "ak"
        self.ak = rsa_key(machine) if ak == "rsa" else ec_key(machine)
        self.reset, self.restart, self.started = reset, restart, NOW_MS - 3600000
        self.key_set = {"ledger_key": base64url(raw_public(self.ledger)), "version": 1}
        if tls:
            self.key_set["tls_spki_digest"] = hexes("tls " + label)
        self.k = sha256(canonical(self.key_set))
        _, raw, ident = authority("one")
        self.configuration = configuration or {
            "attribution": "cosine-max-1", "authorities": [{"id": ident, "public_key": base64url(raw)}],
            "metering": "required", "version": 1, "workloads": [WORKLOAD],
        }
        if unsealed:
            self.configuration = {**self.configuration, "unsealed": unsealed}
        self.pcrs = {15: sha256(f"pcr 15 {label}".encode()), **logs.values(logs.events())}
        self.pcrs[14] = sha256(bytes(32), self.k)
        self.pcrs[8] = sha256(bytes(32), sha256(canonical(self.configuration)))
        self.pcrs.update(pcr or {})
        self.name = b"\0\x0b" + sha256(tpm_public(self.ak))
        self.transport = [self.transport_key()]

    def transport_key(self, spki=SPKI, start=None, end=None, signer=None, ident=None):
        record = {
            "id": ident or sha256(spki).hex(), "not_after_ms": end or self.started + 86400000,
            "not_before_ms": start or self.started, "spki": base64url(spki), "version": 1,
        }
        signed = b"sealed/transport-key/v1\0" + canonical(record)
        return {**record, "signature": base64url((signer or self.ledger).sign(signed))}

    def quote(self, purpose, x, pcrs=None, key=None, extra=None, **change):
        moment = {"reset": self.reset, "restart": self.restart, **change}
        data = attest(extra or binding(purpose, self.k, x), pcrs or self.pcrs, **moment)
        return quote_record(key or self.ak, data)

    def document(self, **change):
        made = {
            "ak": {
                "chain": [base64url(each) for each in certificates.chain(self.ak.public_key())],
                "public": base64url(tpm_public(self.ak)),
            },
            "configuration": self.configuration, "key_set": self.key_set,
            "pcrs": [{"digest": value.hex(), "index": i} for i, value in sorted(self.pcrs.items())],
            "quote": self.quote("keys", sha256(b"")), "started_ms": self.started, "transport_keys": self.transport,
            "version": 1, **change,
        }
        if self.unsealed:
            made |= {"ak": None, "pcrs": [], "quote": None}
        return {name: value for name, value in made.items() if value is not None}

    @property
    def origin(self):
        return "sealed/" + self.k.hex()[:16]

    def body(self, size, root, **change):
        at = {
            "origin": self.origin, "state": hexes("state"), "counter": 41, "time": NOW_MS - 5000,
            "name": self.name.hex(), "reset": self.reset, "restart": self.restart, **change,
        }
        boot = "absent" if self.unsealed else f"{at['name']} {at['reset']} {at['restart']}"
        return (
            f"{at['origin']}\n{size}\n{base64.b64encode(root).decode()}\nstate {at['state']}\ncounter {at['counter']}\n"
            f"time {at['time']}\nboot {boot}\n"
        )

    def receipt(self, leaf, document, size=7, index=3, spell=canonical, **change):
        """base64url of the receipt of a leaf among `size`; `body` changes the checkpoint, others the receipt's members."""
        leaves = [leaf_hash(f"leaf {i}".encode()) for i in range(size)]
        leaves[index] = leaf_hash(canonical(leaf))
        body = self.body(size, merkle(leaves), **change.pop("body", {}))
        made = {
            "checkpoint": note(body, self.origin, self.ledger), "document": sha256(canonical(document)).hex(),
            "index": index, "leaf": leaf, "path": [base64url(each) for each in merkle_path(leaves, index)],
            "quote": None if self.unsealed else self.quote("checkpoint", sha256(body.encode())), "version": 1, **change,
        }
        return base64url(spell({name: value for name, value in made.items() if value is not None}))


class Session:
    """One session through the envelope door or the plain one, and what its client holds."""

    def __init__(
        self, boot, label="session", door="envelope", operation="update", output=b'{"choices":[]}', abort=None, epoch=None,
        policy="epoch", unsealed=None,
    ):
        self.epoch = epoch
        expect = {**HEADER["expect"], "key_set": boot.k.hex(), "seal_policy": policy if epoch else "request"}
        header = {**HEADER, "expect": expect, "nonce": base64url(some("nonce " + label, 32))}
        body = b"" if operation == "read" else b'{"messages":[]}'
        self.door, self.output, self.input = door, output, body
        if door == "envelope":
            self.request, made = envelope(label, body, header=header)
            self.salt = derive(made["response secret"], sha256(made["raw"]), b"sealed/salt/v1")
            opened = {
                "expect": expect, "header_digest": sha256(made["raw"]).hex(), "nonce": header["nonce"],
                "transport_key": sha256(SPKI).hex(),
            }
        else:
            self.salt = some("salt " + label, 32)
            opened = {"input_digest": salted(self.salt, body), "nonce": header["nonce"]}
        self.nonce = header["nonce"]
        received = {
            "type": "request.received", "caller": hexes("caller"), "door": door, "endpoint": HEADER["endpoint"],
            "operation": operation, "workload": "demo", "workload_digest": WORKLOAD["digest"], **opened,
        }
        seal = {"dropped_packets": 0, "rejected_packets": 3, "ruleset_digest": hexes("ruleset")}
        model = model_of(next((each for each in boot.configuration["workloads"] if each["name"] == "demo"), WORKLOAD))
        whole = [
            received,
            {
                "type": "seal.enforced", **seal, "egress_open_ms": 0, "generation": 1, "image": WORKLOAD["image"],
                "policy": "request", "probes": {"age_ms": 900, "blocked": 12, "reached": 0}, "replica": 0,
                "sessions_before": 4, "sessions_overlapping": 0, "tenants": 1,
            },
            {"type": "input_key.revealed", "to": "relay"},
            {
                "type": "activations.observed", "content_digest": hexes("activations"), "hidden": 64, "layers": 4,
                "model": model, "tokens": 17,
            },
            {
                "type": "registry.applied", "attribution": "cosine-max-1", "changes": [hexes("change")], "metered": True,
                "operation": "write" if operation == "write" else "update", "registry_version": 3,
            },
            {"type": "seal.checked", **seal},
            {
                "type": "output.committed", "output_bytes": len(output), "output_digest": salted(self.salt, output),
                "status": 200,
            },
            {"type": "seal.released", "sealed_us": "81234"},
            {"type": "response.released", "to": "gateway"},
        ]
        if epoch:
            tenants = 1 if policy == "permanent" else 2
            whole[1] = {**whole[1], "epoch": EPOCH, "policy": policy, "sessions_overlapping": 2, "tenants": tenants}
            whole[7] = {"type": "seal.kept", "epoch": EPOCH, "sealed_us": "81234", "sessions_overlapping": 3, "tenants": tenants}
        if epoch == "joined":
            del whole[1]["egress_open_ms"]
            whole[1] |= {"type": "seal.joined", "read_mono_us": "4999999000"}
        if operation == "read":
            ident = authority("one")[2]
            answered = {"authority": ident, "reading_digest": salted(self.salt, output), "registry_version": 3}
            whole = [received, {"type": "registry.read", **answered}, whole[-1]]
        if unsealed:
            of_seal = ("seal.enforced", "seal.checked", "seal.released")
            absent = [] if operation == "read" else [{"type": "seal.absent", "reason": unsealed}]
            rest = [each for each in whole[1:] if each["type"] not in of_seal]
            whole = [received, *absent, {"type": "tpm.absent"}, *rest]
        if abort is not None:
            states = ("sealed", "revealed", "revealed", "revealed", "committed", "committed")
            ended = {"at": states[abort - 2], "output_bytes": 0, "reason": "client.gone"}
            whole = [*whole[:abort], {"type": "session.aborted", **ended}]
        times = {"seq": 0, "utc_ms": NOW_MS - 10000, "mono_us": "5000000000"}
        self.statements = [
            {**each, "seq": i, "utc_ms": times["utc_ms"] + i, "mono_us": str(int(times["mono_us"]) + 1000 * i)}
            for i, each in enumerate(whole)
        ]
        self.leaf = {
            "kind": "session", "session": some("id " + label, 16).hex(), "statements": self.statements, "version": 1,
        }


def epoch_leaf(**change):
    """The leaf of an epoch that its sessions stand in with room to spare."""
    seal = {"dropped_packets": 0, "rejected_packets": 3, "ruleset_digest": hexes("ruleset")}
    replica = {"generation": 1, "image": WORKLOAD["image"], "policy": "epoch", "replica": 0}
    whole = [
        ({"type": "epoch.begun", **seal, **replica}, 500),
        ({"type": "seal.checked", **seal}, 20000),
        ({"type": "epoch.ended", "how": "released"}, 20001),
    ]
    statements = [
        {**each, "seq": i, "utc_ms": NOW_MS - 10000 + after // 1000, "mono_us": str(5000000000 + after)}
        for i, (each, after) in enumerate(whole)
    ]
    return {"epoch": EPOCH, "kind": "epoch", "statements": statements, "version": 1, **change}


def policy(**change):
    made = {
        "ak_roots": [sha256(certificates.root()).hex()], "authorities": [authority("one")[2]], "evidence": ["tpm"],
        "images": [], "metering": "required", "name": "vectors", "seal_policies": ["request"], "version": 1,
        "workloads": [WORKLOAD["digest"]], **change,
    }
    return {name: value for name, value in made.items() if value is not None}
