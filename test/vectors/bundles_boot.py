"""Boots that went otherwise: event logs, reference values, places."""
import certificates
import logs
from logs import ACTION, ALGORITHMS, APPLICATION, KERNEL, NO_ACTION, PARTITIONS, SEPARATOR, UKI, le
from make import put
from verifier.encodings import base64url, canonical, sha256
from world import Boot, hexes

LOG, STARTED, VALUES = "document.event_log", "document.boot_application", "document.pcr_reference"


def lies(j):
    _logs(j)
    _applications(j)
    _images(j)
    _places(j)


def image(boot, *pcrs, uki=(UKI, KERNEL), **change):
    rows = [{"digests": [boot.pcrs[i].hex()], "index": i} for i in pcrs or (0, 4, 9, 11)]
    named = {"uki": [each.hex() for each in uki]} if uki else {}
    return {"name": "sealed", "pcrs": rows, "version": "1", **named, **change}


def strict(*images):
    return [put("policy", "evidence", value=["tpm", "event-log"]), put("policy", "images", value=list(images))]


def booted(made, start=bytes(32), **pcr):
    """A boot whose quoted PCRs are those of these events."""
    return Boot(pcr={**logs.values(made, start), **{int(name[1:]): value for name, value in pcr.items()}})


def _logs(j):
    good = logs.events()

    def document(boot, text):
        return boot.document(event_log=base64url(text))

    def ok(name, made=good, text=None, **more):
        boot = booted(made, more.get("start", bytes(32)))
        text = logs.log(made) if text is None else text
        ours = image(boot, uki=more.get("uki", (UKI, KERNEL)))
        j.verified(
            f"an event log {name}", *strict(ours), boot=boot, document=document(boot, text),
            unskipped=[LOG, STARTED, VALUES],
        )

    def bad(name, reason, text=None, made=good, **more):
        boot = booted(made, **more.get("pcr", {}))
        text = logs.log(made) if text is None else text
        # The application's check has nothing to go by.
        j.failed(
            f"an event log {name}", reason, [LOG, *more.get("also", ())], *strict(image(boot)), boot=boot,
            document=document(boot, text), unskipped=[LOG, VALUES],
        )

    ok("of a boot")
    ok("with vendor bytes", text=logs.log(good, logs.first(logs.header(vendor=b"GCE"))))
    only = ((0x000B, 32),)
    ok("of SHA-256 alone", text=logs.log(good, algorithms=only))
    localized = [(0, NO_ACTION, bytes(32), b"StartupLocality\0\3"), *good]
    ok("that began at locality 3", localized, start=bytes(31) + b"\3")
    noted = [(5, NO_ACTION, bytes(32), b"SP800-155 Event3"), *good]
    ok("with an event that extends nothing", noted)
    ok("of the image alone, its kernel not measured", [each for each in good if each[2] != KERNEL])
    j.incomplete(
        "no event log where the policy wants one", "none in the document", *strict(image(j.boot)), unskipped=[VALUES],
    )
    plain = put("document", "event_log", value=base64url(logs.log(good)))
    whole = logs.log(good)
    head, tail = logs.first(logs.header()), whole[len(logs.first(logs.header())) :]
    bad("cut short", "cut", whole[:-1])
    bad("with a byte after", "cut", whole + b"\0")
    bad("that is empty", "no record", b"")
    bad("of SHA-1 alone", "SHA-256 is missing", logs.log(good[:0], algorithms=((0x0004, 20),)))
    bad("whose first record is of another PCR", "first record", logs.first(logs.header(), pcr=1) + tail)
    bad("whose first record is of another type", "first record", logs.first(logs.header(), kind=4) + tail)
    bad("whose first record has a digest", "first record", logs.first(logs.header(), digest=b"\1" * 20) + tail)
    bad("of another format", "name", logs.first(logs.header(name=b"Spec ID Event02\0")) + tail)
    bad("of another version", "version", logs.first(logs.header(version=(1, 2, 0, 2))) + tail)
    bad("of another word size", "word size", logs.first(logs.header(version=(0, 2, 0, 4))) + tail)
    bad("of another class", "class", logs.first(logs.header(class_=2)) + tail)
    bad("with an algorithm twice", "algorithms", logs.first(logs.header((*ALGORITHMS, ALGORITHMS[1]))) + tail)
    bad("with an unknown algorithm", "algorithms", logs.first(logs.header((*ALGORITHMS, (0x0099, 32)))) + tail)
    bad("with a size of another algorithm", "size", logs.first(logs.header(((0x0004, 20), (0x000B, 20), (0x000C, 48)))) + tail)
    bad("with a byte after its header", "left over", logs.first(logs.header() + b"\0") + tail)
    bad("of four billion algorithms", "cut; nothing is allocated", logs.first(logs.header(counted=0xFFFFFFFF)) + tail)
    fewer = b"".join(logs.event(*each, counted=2) for each in good)
    bad("with fewer digests than announced", "number", head + fewer)
    bad("without an event", "PCR values", head + b"".join(logs.event(*each) for each in good[1:]))
    bad("with two events exchanged", "order", logs.log([good[1], good[0], *good[2:]]))
    bad("with an event twice", "PCR values", logs.log([good[0], *good]))
    bad("with an event of another PCR", "PCR values", logs.log([*good, logs.of(9, 13, b"another")]))
    bad("of PCR 24", "there are 24", logs.log([*good, logs.of(24, 13, b"another")]))
    bad("that extends PCR 14", "an application's PCR", logs.log([*good, logs.of(14, 13, b"another")]))
    for own in (8, 13):
        bad(f"that extends PCR {own}", "an application's PCR", logs.log([*good, logs.of(own, 13, b"another")]))
    told = j.boot.configuration, j.boot.k
    for name, event in (("the configuration", (8, 13, sha256(canonical(told[0])), b"x")), ("the key set", (14, 13, told[1], b"x"))):
        text = base64url(logs.log([*good, event]))
        j.failed(
            f"an event log that tells of {name} itself, as it was measured", "ours alone", [LOG], *strict(image(j.boot)),
            document=j.boot.document(event_log=text), unskipped=[LOG, VALUES],
        )
    bad("that extends a PCR that was not quoted", "no value", logs.log([*good, logs.of(10, 13, b"another")]))
    bad("silent on PCR 12", "the value is not zero", pcr={"p12": sha256(b"added")}, also=[VALUES])
    bad("silent on PCR 9", "the value is not zero", logs.log([each for each in good if each[0] != 9]))
    bad("with an event that extends nothing, and a digest", "digest of type 3", logs.log([*good, (5, NO_ACTION, sha256(b"x"), b"x")]))
    bad("with a locality of 4 that was 0", "PCR 0", logs.log([(0, NO_ACTION, bytes(32), b"StartupLocality\0\4"), *good]))
    bad("with a locality of 1", "no such start", logs.log([(0, NO_ACTION, bytes(32), b"StartupLocality\0\1"), *good]))
    late = [good[0], (0, NO_ACTION, bytes(32), b"StartupLocality\0\0"), *good[1:]]
    bad("with a locality too late", "PCR 0 was extended", logs.log(late))
    bad("with a locality twice", "once", logs.log([(0, NO_ACTION, bytes(32), b"StartupLocality\0\0")] * 2 + good))
    bad("with a long locality", "length", logs.log([(0, NO_ACTION, bytes(32), b"StartupLocality\0\0\0"), *good]))
    hidden = [(each[0], SEPARATOR, *each[2:]) if each[1] == APPLICATION else each for each in good]
    bad("whose applications are called separators", "separator's digest", logs.log(hidden))
    renamed = [(each[0], 13, *each[2:]) if each[1] == SEPARATOR else each for each in good]
    bad("whose separators are called something else", "separator's digest", logs.log(renamed))
    dressed = [(*each[:3], b"path of the image") if each[1] == SEPARATOR else each for each in good]
    bad("whose separators have other data", "separator's data", logs.log(dressed))
    fewer = Boot("without PCR 3")
    del fewer.pcrs[3]
    silent = logs.log([each for each in good if each[0] != 3])
    j.failed(
        "an event log silent on a PCR that was not quoted", "PCR 3 is quoted", [LOG], boot=fewer,
        document=fewer.document(event_log=base64url(silent)), unskipped=[LOG],
    )
    j.verified(
        "an event log that nobody asked for", plain, document=j.boot.document(event_log=base64url(whole)), unskipped=[LOG],
    )
    j.failed(
        "a wrong event log that nobody asked for", "judged wherever there is one", [LOG],
        document=j.boot.document(event_log=base64url(whole[:-1])), unskipped=[LOG],
    )


def _applications(j):
    good = logs.events()

    def judged(name, outcome, reason, made, ours=None):
        boot = booted(made)
        document = boot.document(event_log=base64url(logs.log(made)))
        ours = ours(boot) if ours else image(boot)
        edits = strict(ours)
        if outcome == "failed":
            j.failed(name, reason, [STARTED], *edits, boot=boot, document=document, unskipped=[LOG, STARTED, VALUES])
        elif outcome == "verified":
            j.verified(name, *edits, boot=boot, document=document, unskipped=[LOG, STARTED, VALUES])
        else:
            j.incomplete(name, reason, *edits, boot=boot, document=document, unskipped=[LOG, VALUES])

    tdx = logs.events(application=2)
    judged("applications in PCR 2", "verified", None, tdx)
    for name, pcr in (("PCR 4", 4), ("PCR 2", 2)):
        more = [*good, (pcr, APPLICATION, hexes_(f"more {pcr}"), b"path")]
        judged(f"one application more in {name}", "failed", "not the image's", more)
        other = [each if each[2] != UKI else (pcr, APPLICATION, hexes_("another"), b"path") for each in good]
        judged(f"another image in {name}", "failed", "not the image's", other)
    judged("the kernel before the image", "failed", "order", [each for each in good if each[2] not in (UKI, KERNEL)] + [
        (4, APPLICATION, KERNEL, b"k"), (4, APPLICATION, UKI, b"u"),
    ])
    judged("the kernel alone", "failed", "the image is the first", [each for each in good if each[2] != UKI])
    judged("no application", "failed", "one at least", [each for each in good if each[1] != APPLICATION])
    judged("an application called something else", "failed", "its data does not make its digest", [
        each if each[2] != KERNEL else (4, 13, KERNEL, b"path of the kernel") for each in good
    ])
    for pcr in (5, 9):
        judged(f"an application of PCR {pcr}, which is none", "verified", None, [*good, (pcr, APPLICATION, hexes_("elsewhere"), b"path")])
    judged("remarks in PCRs 2 and 4", "verified", None, [*good, *((pcr, NO_ACTION, bytes(32), b"a remark") for pcr in (2, 4))])
    judged("an unknown event in PCR 4", "failed", "it may be an application", [*good, logs.of(4, 13, b"x")])
    judged("an unknown event in PCR 2", "failed", "it may be an application", [*good, logs.of(2, 8, b"option ROM")])
    judged("an action that is no text", "failed", "it may be an application", [*good, logs.of(4, ACTION, b"\x7fELF")])
    judged("an action that says nothing", "verified", None, [*good, logs.of(4, ACTION, b"")])
    judged("a partition table that is none", "failed", "it may be an application", [*good, logs.of(4, PARTITIONS, b"MZ")])
    judged("a partition table in PCR 4", "verified", None, [*good, logs.of(4, PARTITIONS, b"EFI PART" + bytes(8))])
    judged("an image of which no application is named", "incomplete", "nothing to compare with", good, lambda boot: image(boot, uki=None))
    boot, log = j.boot, base64url(logs.log(good))
    two = [image(boot, uki=(hexes_("another"),), version="1"), image(boot, version="2")]
    j.verified("the second of two images that fit, by its applications", *strict(*two), document=boot.document(event_log=log), unskipped=[LOG, STARTED, VALUES])
    unnamed = [two[0], image(boot, uki=None, version="2")]
    j.incomplete("the second of two images that fit, of which no application is named", "nothing to compare with", *strict(*unnamed), document=boot.document(event_log=log), unskipped=[LOG, VALUES])
    judged("another image's application", "failed", "not this image's", good, lambda boot: image(boot, uki=(hexes_("another"),)))


def hexes_(label):
    return bytes.fromhex(hexes(label))


def _images(j):
    value = j.boot.pcrs[4].hex()

    def named(*rows):
        images = [{"name": f"image {i}", "pcrs": each, "version": "1"} for i, each in enumerate(rows)]
        return put("policy", "images", value=images)

    def row(index, *digests):
        return {"digests": list(digests), "index": index}

    j.verified("a reference value", named([row(4, value)]), unskipped=[VALUES])
    j.verified("one of several reference values", named([row(4, hexes("x"), value)]), unskipped=[VALUES])
    j.verified("one of several images", named([row(4, hexes("x"))], [row(4, value)]), unskipped=[VALUES])
    j.verified("an image that names PCR 12 as zero", named([row(4, value), row(12, "00" * 32)]), unskipped=[VALUES])

    def bad(name, edit, **more):
        j.failed(f"reference values: {name}", "no image fits", [VALUES], edit, unskipped=[VALUES], **more)

    bad("another", named([row(4, hexes("x"))]))
    bad("of another PCR", named([row(5, value)]))
    bad("of a PCR that was not quoted", named([row(10, "00" * 32)]))
    bad("parts of two images", named([row(4, value), row(5, hexes("x"))], [row(4, hexes("x")), row(5, j.boot.pcrs[5].hex())]))
    bad("an image that names PCR 13 otherwise", named([row(4, value), row(13, hexes("x"))]))
    boot = Boot(pcr={12: sha256(b"added")})
    bad("PCR 12 is not zero, and no image names it", named([row(4, boot.pcrs[4].hex())]), boot=boot)
    boot = Boot("without PCR 12")
    del boot.pcrs[12]
    bad("PCR 12 was not quoted, and no image names it", named([row(4, boot.pcrs[4].hex())]), boot=boot)
    for rows in ((4, 9), (4, 11), (4,)):
        j.incomplete(
            f"an image that names PCRs {rows} alone, where the event log is wanted", "9 and 11 pin what was booted",
            *strict(image(j.boot, *rows)), document=j.boot.document(event_log=base64url(logs.log(logs.events()))),
            unskipped=[LOG],
        )
    for kind in ("tee", "sev-snp", "tdx"):
        j.incomplete(f"a policy that wants evidence of kind {kind}", "none", put("policy", "evidence", value=["tpm", kind]))
    j.incomplete(
        "a policy that wants the event log, and names no image", "none",
        put("policy", "evidence", value=["tpm", "event-log"]),
    )


def _der(tag, content):
    size = bytes([len(content)]) if len(content) < 128 else bytes([0x81, len(content)])
    return bytes([tag]) + size + content


def place(zone="europe-west4-a", project="sealed-tests", production=b"\xff", inner=None, **change):
    """Google's extension, DER by hand."""
    number = change.get("number", _der(2, b"\x12\x34"))
    flags = b"" if production is None else _der(0xA1, _der(1, production))
    sealed = _der(0xA0, _der(0x30, _der(0xA0, _der(2, b"\0")) + flags if inner is None else inner))
    text = _der(0x0C, zone.encode()) + number + _der(0x0C, project.encode()) + _der(2, b"\0\xff" + bytes(7)) + _der(0x0C, b"vm-1")
    return _der(0x30, text + change.get("properties", sealed) + change.get("more", b"")) + change.get("after", b"")


def _places(j):
    public, where = j.boot.ak.public_key(), ["document.instance"]

    def document(value, **change):
        leaf = certificates.leaf(public, place=value, **change)
        chain = [base64url(each) for each in (leaf, certificates.middle(), certificates.root())]
        return j.boot.document(ak={"chain": chain, "public": j.document["ak"]["public"]})

    def wanted(**instances):
        return put("policy", "instances", value=instances)

    here = wanted(projects=["sealed-tests"], zones=["europe-west4-a", "europe-west4-b"])
    j.verified("a place", document=document(place()), unskipped=where)
    j.verified("a place that the policy accepts", here, document=document(place()), unskipped=where)
    j.verified("a place with further flags", here, unskipped=where, document=document(place(
        inner=_der(0xA1, _der(1, b"\xff")) + _der(0xA2, _der(1, b"\0")) + _der(0xA5, _der(1, b"\xff"))
    )))
    for name, value in (("not of production", place(production=b"\0")), ("without flags", place(properties=b"")), ("without the flag", place(production=None))):
        j.verified(f"a place {name}, where nobody asks", document=document(value))
        j.failed(f"a place {name}", "it does not count", where, here, document=document(value), unskipped=where)
    j.failed("no place", "the certificate names none", where, here, unskipped=where)
    j.failed("another zone", "zone", where, here, document=document(place(zone="us-central1-a")), unskipped=where)
    j.failed("another project", "project", where, here, document=document(place(project="other")), unskipped=where)
    for name, value in (
        ("with a byte after", place(after=b"\0")),
        ("with a member more", place(more=_der(2, b"\1"))),
        ("with a negative number", place(number=_der(2, b"\x80"))),
        ("with a number of 65 bits", place(number=_der(2, b"\1" + bytes(8)))),
        ("with a number spelled too long", place(number=_der(2, b"\0\1"))),
        ("with a boolean of BER", place(production=b"\1")),
        ("with a seventh flag", place(inner=_der(0xA1, _der(1, b"\xff")) + _der(0xA6, _der(1, b"\0")))),
        ("with flags out of order", place(inner=_der(0xA2, _der(1, b"\0")) + _der(0xA1, _der(1, b"\xff")))),
        ("whose zone is no name", place(zone="Europe West")),
        ("cut short", place()[:-1]),
        ("that is empty", b""),
    ):
        j.failed(f"a place {name}", "malformed", where, document=document(value), unskipped=where)
    j.verified("a critical place", here, document=document(place(), critical=True), unskipped=where)
