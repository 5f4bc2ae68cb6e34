"""Every object of the specification, member by member."""
import ipaddress
import re

from .encodings import Refused, ensure
from .shapes import (
    Maybe, big, boolean, by, digest, encoded, exactly, hexed, ident, integer, listing, name, pattern, record, text, word,
)

METERING = word("required", "optional")
SEAL_POLICY = word("request", "epoch", "permanent")
KEPT = word("epoch", "permanent")
VERSION = word(1)

expect = record(key_set=digest, metering=METERING, seal_policy=SEAL_POLICY, workload=digest)
header = record(
    endpoint=pattern(r"/[a-z0-9/_-]{1,63}"), expect=expect, input_digest=digest, instructions_digest=digest,
    issued_ms=integer(), key_id=digest, nonce=exactly(32), stream=boolean, suite=word("rsa-oaep-256/fernet"),
    version=VERSION, workload=name,
)
token = pattern(r"[A-Za-z0-9_-]+={0,2}")


def instructions_token(value):
    token(value)
    ensure(len(value) <= 8192, "instructions are too long")


envelope = record(
    header=encoded(4096), input=token, instructions=instructions_token,
    keys=record(action=encoded(512), input=encoded(512)),
)
action = by(
    "type",
    update=record(type=word("update")),
    read=record(after=Maybe(integer(1)), type=word("read")),
    write=record(capability=name, polarity=word("positive", "negative"), type=word("write")),
)
instructions = record(action=action, audience=digest, input_digest=digest, nonce=encoded(32))
jws_header = record(alg=word("EdDSA"), kid=ident, typ=word("sealed-instructions+jws"))

REASONS = word(
    "activations.invalid", "activations.missing", "client.gone", "deadline", "embassy.restarted", "internal.error",
    "registry.refused", "relay.lost", "replica.lost", "seal.breached", "seal.failed", "workload.failed",
    "workload.refused", "workload.too_large",
)
UNSEALED = word("system", "privileges", "software")
reading_of_seal = dict(dropped_packets=integer(), rejected_packets=integer(), ruleset_digest=digest)

found_sealed = dict(
    **reading_of_seal, generation=integer(), image=digest, replica=integer(0, 255), sessions_before=integer(),
    probes=record(age_ms=integer(), blocked=integer(), reached=integer()),
)
company = dict(sessions_overlapping=integer(), tenants=integer(1))


def _statement(**members):
    return record(seq=integer(0, 63), type=text(64), utc_ms=integer(), mono_us=big, **members)


statement = by(
    "type",
    **{
        "request.received": _statement(
            caller=text(64), door=word("envelope", "plain"), endpoint=text(64), expect=Maybe(expect),
            header_digest=Maybe(digest), input_digest=Maybe(digest), nonce=Maybe(encoded(64)),
            operation=word("update", "write", "read"), transport_key=Maybe(digest), workload=name,
            workload_digest=digest,
        ),
        "seal.enforced": _statement(
            **found_sealed, **company, egress_open_ms=integer(), epoch=Maybe(ident), policy=SEAL_POLICY
        ),
        "seal.joined": _statement(**found_sealed, **company, epoch=ident, policy=KEPT, read_mono_us=big),
        "seal.absent": _statement(reason=UNSEALED),
        "tpm.absent": _statement(),
        "input_key.revealed": _statement(to=word("relay", "workload")),
        "activations.observed": _statement(
            content_digest=digest, hidden=integer(1), layers=integer(1), model=digest, tokens=integer(1)
        ),
        "registry.applied": _statement(
            attribution=name, changes=listing(digest, 0, 256), metered=boolean, operation=word("update", "write"),
            registry_version=integer(),
        ),
        "seal.checked": _statement(**reading_of_seal),
        "output.committed": _statement(output_bytes=integer(), output_digest=digest, status=integer(100, 599)),
        "seal.released": _statement(sealed_us=big),
        "seal.kept": _statement(**company, epoch=ident, sealed_us=big),
        "response.released": _statement(to=word("gateway")),
        "registry.read": _statement(authority=ident, reading_digest=digest, registry_version=integer()),
        "session.aborted": _statement(
            at=word("sealed", "revealed", "committed"), output_bytes=integer(), reason=REASONS
        ),
        "epoch.begun": _statement(
            **reading_of_seal, generation=integer(), image=digest, policy=KEPT, replica=integer(0, 255)
        ),
        "epoch.ended": _statement(how=word("released", "destroyed"), reason=Maybe(REASONS)),
    },
)
session_leaf = record(
    kind=word("session"), session=ident, statements=listing(statement, 2, 32), version=VERSION
)
epoch_leaf = record(epoch=ident, kind=word("epoch"), statements=listing(statement, 2, 3), version=VERSION)
boot_leaf = record(
    gap=Maybe(record(counter_database=big, counter_tpm=big)), key_set=digest, kind=word("boot"), started_ms=integer(), version=VERSION,
    previous=Maybe(record(checkpoint_digest=digest, origin=text(128), root=digest, size=integer())),
)
leaf = by("kind", session=session_leaf, epoch=epoch_leaf, boot=boot_leaf)
later_leaf = by("kind", session=session_leaf, epoch=epoch_leaf)

key_set = record(ledger_key=exactly(32), tls_spki_digest=Maybe(digest), version=VERSION)
transport_key = record(
    id=digest, not_after_ms=integer(), not_before_ms=integer(), signature=exactly(64), spki=encoded(1024),
    version=VERSION,
)
quote = record(attest=encoded(1024), signature=encoded(1024))


def destination(value):
    ensure(isinstance(value, str) and re.fullmatch(r"[0-9a-f:.]{2,45}(/(0|[1-9][0-9]*))?", value), "an address")
    try:
        ipaddress.ip_interface(value)
    except ValueError:
        raise Refused("no IP address or block") from None


egress = record(address=destination, port=integer(1, 65535), protocol=word("tcp", "udp"))
configuration = record(
    attribution=name,
    authorities=listing(record(id=ident, public_key=exactly(32))),
    metering=METERING,
    unsealed=Maybe(UNSEALED),
    version=VERSION,
    workloads=listing(
        record(
            activations=word("none", "safetensors"), digest=digest, egress=listing(egress), image=digest,
            models=Maybe(listing(text(128), 1, 16)), name=name, prefix_cache=word("off", "unknown"),
            seal_policy=SEAL_POLICY, weights=Maybe(listing(digest, 1, 8)),
        )
    ),
)
REGISTRY = r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[1-9][0-9]{0,4})?"
PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"


def reference(value):
    text(512)(value)
    found = re.fullmatch(rf"({REGISTRY})(?:/{PART})+@sha256:[0-9a-f]{{64}}", value)
    ensure(found and (re.search("[.:]", found[1]) or found[1] == "localhost"), "an image reference")


launch = record(
    attributes=listing(record(digest=digest, name=name), 0, 16), image=record(config=digest, reference=reference),
    labels=listing(record(name=name, value=text(4096)), 0, 16), version=VERSION, workload=digest,
)
_document = record(
    ak=Maybe(record(chain=listing(encoded(8192), 0, 6), public=encoded(1024))),
    configuration=configuration,
    event_log=Maybe(encoded(262144)),
    key_set=key_set,
    launch=Maybe(launch),
    pcrs=listing(record(digest=digest, index=integer(0, 23)), 0, 24),
    quote=Maybe(quote),
    started_ms=integer(),
    tee_report=Maybe(
        record(
            certificates=Maybe(listing(encoded(8192), 0, 4)), event_log=Maybe(encoded(262144)),
            kind=word("sev-snp", "tdx"), report=encoded(16384),
        )
    ),
    transport_keys=listing(transport_key, 1, 4),
    version=VERSION,
)


def document(value):
    _document(value)
    there = {"ak", "event_log", "launch", "quote", "tee_report"} & set(value)
    if "unsealed" in value["configuration"]:
        ensure(not there and not value["pcrs"], "evidence of a machine that says it has none")
    else:
        ensure({"ak", "quote"} <= there, "no key or no quote")


challenge = record(
    index=integer(0, 65535), path=listing(digest, 0, 16), quote=quote, size=integer(1, 65536)
)
_receipt = record(
    checkpoint=text(2048), document=digest, index=integer(), leaf=session_leaf, path=listing(exactly(32), 0, 48),
    quote=Maybe(quote), version=VERSION,
)


def receipt(value):
    _receipt(value)
    absent = any(each["type"] == "tpm.absent" for each in value["leaf"]["statements"])
    ensure(("quote" in value) != absent, "a quote, or tpm.absent")


capability = pattern(r"[0-9a-f]{32}/[a-z0-9][a-z0-9._-]{0,63}")
_reading = record(
    authority=ident,
    coverage=record(
        boots=integer(), egress_open_ms=integer(), origin=text(128), output_bytes_unmetered=integer(),
        references=listing(record(capability=capability, count=integer(), model=digest)), registry_version=integer(),
        rollbacks=integer(), sessions=integer(), sessions_unmetered=integer(),
    ),
    meters=listing(record(capability=capability, millionths=integer())),
    next=Maybe(integer(1)),
    openings=listing(
        record(capability=capability, millionths=integer(), salt=exactly(32), session=ident), 0, 1000
    ),
    version=VERSION,
)
names = listing(text(64), 1)
witness = record(name=pattern(r"[!-*,-~]{1,128}"), public_key=exactly(32))
measurements = listing(hexed(48), 1)
level = Maybe(integer(0, 255))
tee = record(
    snp=Maybe(
        record(
            allow_smt=Maybe(boolean), measurements=Maybe(measurements), roots=Maybe(listing(digest, 1)),
            min_tcb=Maybe(record(bootloader=level, fmc=level, microcode=level, snp=level, tee=level)),
        )
    ),
    tdx=Maybe(
        record(
            mr_seam=Maybe(measurements), mrtd=Maybe(measurements), roots=Maybe(listing(digest, 1)),
            rtmrs=Maybe(listing(record(digests=measurements, index=integer(0, 3)), 1)),
        )
    ),
)
_policy = record(
    ak_roots=listing(digest, 1), authorities=listing(ident), evidence=listing(word("tpm", "event-log", "tee", "sev-snp", "tdx")),
    images=listing(
        record(
            name=text(64), pcrs=listing(record(digests=listing(digest, 1), index=integer(0, 23)), 1),
            uki=Maybe(listing(digest, 1)), version=text(64),
        )
    ),
    instances=Maybe(record(projects=Maybe(names), zones=Maybe(names))),
    max_age_ms=Maybe(integer(1)), metering=METERING, name=text(64), seal_policies=listing(SEAL_POLICY, 1),
    tee=Maybe(tee), version=VERSION, witnesses=Maybe(record(keys=listing(witness, 0, 16), quorum=integer(0, 16))),
    workloads=listing(digest),
)


def _distinct(values):
    ensure(len(set(values)) == len(values), "one stands twice")


def reading(value):
    _reading(value)
    _distinct([row["capability"] for row in value["meters"]])
    for row in [*value["meters"], *value["openings"], *value["coverage"]["references"]]:
        ensure(row["capability"].startswith(value["authority"] + "/"), "another authority's capability")


def policy(value):
    _policy(value)
    ensure("tpm" in value["evidence"], "evidence without tpm")
    for image in value["images"]:
        _distinct([row["index"] for row in image["pcrs"]])
    if "witnesses" in value:
        keys = value["witnesses"]["keys"]
        ensure(value["witnesses"]["quorum"] <= len(keys), "more than there are")
        _distinct([each["name"] for each in keys])
        _distinct([each["public_key"] for each in keys])
