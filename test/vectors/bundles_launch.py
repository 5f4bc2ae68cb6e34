"""Machines whose workload was chosen at their start: the record of it, PCR 13, and what the configuration says."""
import logs
from bundles_base import ALL
from bundles_boot import LOG, STARTED, VALUES, image, strict
from make import Vectors, drop, put
from verifier.edits import edited
from verifier.encodings import base64url, canonical, sha256
from world import WORKLOAD, Boot, hexes

LAUNCH = "document.pcr_launch"
ZERO, SEPARATOR = bytes(32), sha256(bytes(4))
RECORD = {
    "attributes": [{"digest": hexes(f"attribute {name}"), "name": name} for name in ("sealed-image", "sealed-workload")],
    "image": {
        "config": WORKLOAD["image"],
        "reference": f"europe-west4-docker.pkg.dev/sealed-tests/models/demo_1.0--x@sha256:{hexes('manifest')}",
    },
    "labels": [{"name": "sealed.allow_env_override", "value": "LOG_LEVEL"}], "version": 1, "workload": WORKLOAD["digest"],
}


def closed(record):
    return sha256(sha256(ZERO, sha256(canonical(record))), SEPARATOR)


def launches(j):
    def launched(record=RECORD, pcr=None, **change):
        boot = Boot("launched", pcr={13: closed(record) if pcr is None else pcr}, **change)
        return boot, boot.document(launch=record)

    def bad(name, reason, failed=(LAUNCH,), **change):
        boot, document = launched(**change)
        j.failed(f"a launch {name}", reason, list(failed), boot=boot, document=document)

    boot, document = launched()
    j.verified("a launch", boot=boot, document=document)
    bare = {**RECORD, "attributes": [], "labels": []}
    for name, record in (
        ("without labels", bare),
        ("from localhost", edited(RECORD, put("image", "reference", value=f"localhost/a@sha256:{hexes('m')}"))),
        ("from a port", edited(RECORD, put("image", "reference", value=f"registry:5000/a/b@sha256:{hexes('m')}"))),
    ):
        boot, document = launched(record)
        j.verified(f"a launch {name}", boot=boot, document=document)

    digest = sha256(canonical(RECORD))
    bad("that was not measured", "PCR 13 is zero", pcr=ZERO)
    bad("that was not closed", "no separator", pcr=sha256(ZERO, digest))
    bad("closed before it was measured", "the separator is the last", pcr=sha256(sha256(ZERO, SEPARATOR), digest))
    bad("closed twice", "PCR 13", pcr=sha256(closed(RECORD), SEPARATOR))
    bad("after which something was measured", "PCR 13", pcr=sha256(closed(RECORD), sha256(b"more")))
    bad("before which something was measured", "PCR 13", pcr=sha256(sha256(sha256(ZERO, sha256(b"more")), digest), SEPARATOR))
    bad("measured twice", "PCR 13", pcr=sha256(sha256(sha256(ZERO, digest), digest), SEPARATOR))
    bad("closed as by an error", "four zero bytes", pcr=sha256(sha256(ZERO, digest), sha256(b"\xff" * 4)))
    bad("whose PCR is the digest itself", "PCR 13", pcr=digest)
    bad("of another record", "PCR 13", pcr=closed(bare))
    for name, edit in (
        ("of another image", put("image", "config", value=hexes("another"))),
        ("of another workload file", put("workload", value=hexes("another"))),
    ):
        bad(name, "the configuration has another", record=edited(RECORD, edit))
    two = {**WORKLOAD, "name": "second"}
    base = j.boot.configuration
    bad("of two workloads", "a launch is of one", configuration={**base, "workloads": [WORKLOAD, two]})

    boot, _ = launched()
    j.failed("PCR 13 of a launch that is not told", "the record is missing", [LAUNCH], boot=boot)
    boot = Boot("launched", pcr={13: sha256(ZERO, sha256(b"sysext"))})
    j.failed("an extension in PCR 13", "nobody else's", [LAUNCH], boot=boot)
    for name, record in (("and no launch", None), ("with a launch", RECORD)):
        boot = Boot("launched")
        del boot.pcrs[13]
        j.failed(f"no PCR 13 {name}", "not among the values", [LAUNCH], boot=boot, document=boot.document(launch=record))
    _logged(j)
    _form(j)


def record_vectors():
    v = Vectors("launch", "Launch", "`stated` is the value of PCR 13 after a launch of which `value` is the record.")
    digest = sha256(canonical(RECORD))
    v.good("a launch", value=RECORD, stated=closed(RECORD).hex(), expect={"digest": digest.hex()})
    for name, stated in (
        ("not closed", sha256(ZERO, digest)), ("nothing", ZERO), ("closed twice", sha256(closed(RECORD), SEPARATOR)),
        ("closed first", sha256(sha256(ZERO, SEPARATOR), digest)), ("the digest itself", digest),
        ("both at once", sha256(ZERO, digest, SEPARATOR)), ("closed by nothing", sha256(sha256(ZERO, digest), bytes(4))),
    ):
        v.bad(f"a launch, {name}", "PCR value", value=RECORD, stated=stated.hex())
    return v


def _logged(j):
    boot = Boot("launched", pcr={13: closed(RECORD)})

    def log(*more):
        return {"launch": RECORD, "event_log": base64url(logs.log([*logs.events(), *more]))}

    policy = strict(image(boot))
    made = [LOG, STARTED, VALUES]
    j.verified("a launch after a boot that is logged", *policy, boot=boot, document=boot.document(**log()), unskipped=made)
    told = [(13, 13, sha256(canonical(RECORD)), b"x"), logs.of(13, logs.SEPARATOR, bytes(4))]
    j.failed(
        "an event log that tells of the launch itself, as it was measured", "ours alone", [LOG], *policy, boot=boot,
        document=boot.document(**log(*told)), unskipped=[LOG, VALUES],
    )


def _form(j):
    from bundles_base import ALL

    rest = [each for each in ALL if each != "document.form"]
    manifest = f"@sha256:{hexes('m')}"

    def form(name, reason, *edits):
        record = edited(RECORD, *edits)
        j.failed(
            f"a launch's record {name}", reason, ["document.form"], put("document", "launch", value=record), skipped=rest
        )

    def reference(name, reason, value):
        form(name, reason, put("image", "reference", value=value))

    form("with a member more", "unknown member", put("more", value=1))
    for member in RECORD:
        form(f"without {member}", "member missing", drop(member))
    form("with an attribute's value", "only its digest", put("attributes", 0, "value", value="x"))
    form("with 17 attributes", "16 at most", put("attributes", value=RECORD["attributes"][:1] * 17))
    form("with 17 labels", "16 at most", put("labels", value=RECORD["labels"] * 17))
    form("with a label of 4,097 characters", "too long", put("labels", 0, "value", value="x" * 4097))
    form("of version 2", "version", put("version", value=2))
    reference("with a tag", "a digest", "registry.example/demo:latest")
    reference("with a tag and a digest", "a digest alone", f"registry.example/demo:latest{manifest}")
    reference("without a registry", "a host", f"demo{manifest}")
    reference("with a folder for a registry", "a host has a dot or a port", f"library/demo{manifest}")
    reference("with a registry in upper case", "lower case", f"Registry.example/demo{manifest}")
    reference("with a scheme", "no URL", f"https://registry.example/demo{manifest}")
    reference("with an empty part", "a name", f"registry.example//demo{manifest}")
    reference("with a way up", "a name", f"registry.example/../demo{manifest}")
    reference("with a digest in upper case", "lower case", f"registry.example/demo{manifest[:-1]}A")
    reference("with a digest of another kind", "SHA-256", f"registry.example/demo@sha512:{'0' * 128}")
    reference("with a line end", "a name", f"registry.example/demo{manifest}\n")
