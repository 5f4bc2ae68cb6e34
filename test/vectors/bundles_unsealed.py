"""A machine that cannot seal, honest about it; and lies that would have its receipts pass, or a sealed machine's go for its own."""
import json

from bundles_base import ALL, NO_STATEMENTS, after
from bundles_boot import strict
from bundles_launch import RECORD
from make import drop, put
from verifier.edits import edited
from verifier.encodings import base64url, canonical, sha256, unbase64url
from world import Boot, Session, hexes

NOTHING_VOUCHES = [
    f"document.{name}" for name in ("ak", "quote_signature", "quote_selection", "quote_binding", "pcr_key_set", "pcr_configuration", "pcr_launch", "configuration")
]
NO_CHAIN = ["document.ak_chain"]
NO_QUOTE = [f"receipt.quote_{name}" for name in ("signature", "selection", "binding")]
FAILED = [*NOTHING_VOUCHES, *NO_QUOTE, "receipt.boot", "receipt.configuration"]


def unsealed(j):
    boot = Boot("unsealed", unsealed="privileges")
    _honest(j, boot)
    _policies(j, boot)
    _documents(j, boot)
    _downgrades(j, boot)
    _upgrades(j, boot)


def _session(boot, label, **change):
    return Session(boot, label, unsealed=boot.unsealed, **change)


def _honest(j, boot):
    def fails(name, *edits, skipped=(), boot=boot, **change):
        j.failed(f"an unsealed machine: {name}", "no seal and no TPM", FAILED, *edits, boot=boot, skipped=[*NO_CHAIN, *skipped], **change)

    fails("an update", session=_session(boot, "unsealed update"))
    fails("a write", session=_session(boot, "unsealed write", operation="write"))
    fails("a reading", session=_session(boot, "unsealed read", operation="read", output=b'{"authority":"x"}'))
    fails("the plain door", session=_session(boot, "unsealed plain", door="plain"))
    for at in range(3, 7):
        gone = _session(boot, f"unsealed, aborted {at}", abort=at)
        fails(f"aborted after {at} statements", drop("output"), session=gone, skipped=["receipt.output"])
    for why in ("system", "software"):
        other = Boot(f"unsealed {why}", unsealed=why)
        fails(f"for want of {why}", boot=other, session=_session(other, f"unsealed {why}"))


def _policies(j, boot):
    """None that can be written accepts it."""
    session = _session(boot, "unsealed under policies")
    every = put("policy", "seal_policies", value=["request", "epoch", "permanent"])
    lenient = [every, put("policy", "authorities", value=[]), put("policy", "metering", value="optional")]
    case = {"boot": boot, "session": session, "skipped": NO_CHAIN}
    j.failed("an unsealed machine under the most lenient policy", "there is none that asks for no TPM", FAILED, *lenient, **case)
    image = {"name": "any", "pcrs": [{"digests": [hexes("x")], "index": 15}], "version": "1"}
    j.failed("an unsealed machine under the strictest policy", "no PCR fits", [*FAILED, "document.pcr_reference"], *strict(image), unskipped=["document.pcr_reference"], **case)


def _documents(j, boot):
    rest = [each for each in ALL if each != "document.form"]

    def form(name, reason, document):
        j.failed(f"an unsealed machine’s document {name}", reason, ["document.form"], put("document", value=document), skipped=rest)

    sealed, open_ = j.boot.document(), boot.document()
    form("with a sealed one's quote", "evidence of none", {**open_, "quote": sealed["quote"]})
    form("with a sealed one's attestation key", "evidence of none", {**open_, "ak": sealed["ak"]})
    form("with a sealed one's key and quote", "evidence of none", {**open_, "ak": sealed["ak"], "quote": sealed["quote"]})
    form("with a sealed one's PCR values", "evidence of none", {**open_, "pcrs": sealed["pcrs"]})
    form("with an event log", "evidence of none", {**open_, "event_log": base64url(b"log")})
    form("with a launch", "evidence of none", {**open_, "launch": RECORD})
    form("with a report by a processor", "evidence of none", {**open_, "tee_report": {"kind": "sev-snp", "report": ""}})
    form("for a reason of its own", "no such word", {**open_, "configuration": {**boot.configuration, "unsealed": "never"}})
    form("for no reason", "no such word", {**open_, "configuration": {**boot.configuration, "unsealed": None}})
    both = Boot("both", configuration={**j.boot.configuration, "unsealed": "software"}).document()
    form("that a TPM measured and quoted", "a machine has a TPM or says that it has none", both)
    for member in ("ak", "quote"):
        document = {name: value for name, value in sealed.items() if name != member}
        j.failed(f"a sealed machine's document without {member}", "taken off", ["document.form"], put("document", value=document), skipped=rest)
    bare = {name: value for name, value in sealed.items() if name not in ("ak", "quote")}
    bare = {**bare, "pcrs": []}
    j.failed("a sealed machine's document without its evidence", "taken off", ["document.form"], put("document", value=bare), skipped=rest)
    said = {**bare, "configuration": {**j.boot.configuration, "unsealed": "software"}}
    # Whoever strips a genuine document and says so keeps every signature of the ledger key: nothing that counts.
    j.failed(
        "a sealed machine's document made one of an unsealed one", "no TPM", [*NOTHING_VOUCHES, "receipt.document", "receipt.quote_selection", "receipt.configuration"],
        put("document", value=said), skipped=[*NO_CHAIN, "receipt.quote_signature", "receipt.boot"], unskipped=[],
    )


def _opened(text):
    return json.loads(unbase64url(text))


def _downgrades(j, boot):
    """A sealed machine's receipt passed off as one that needs no quote."""
    genuine, form = _opened(j.base["receipt"]), after("receipt.form")

    def bad(name, reason, failed, receipt, *edits, skipped=()):
        receipt = {member: value for member, value in receipt.items() if value is not None}
        j.failed(f"a downgrade: {name}", reason, failed, put("receipt", value=base64url(canonical(receipt))), *edits, skipped=skipped)

    bad("the quote taken off", "the leaf does not say tpm.absent", ["receipt.form"], {**genuine, "quote": None}, skipped=form)
    open_ = _session(j.boot_as_unsealed, "downgraded").leaf
    bad("the leaf made an unsealed one, its quote kept", "tpm.absent and a quote", ["receipt.form"], {**genuine, "leaf": open_}, skipped=form)
    held = ["receipt.request", "receipt.nonce", "receipt.output"]
    bad("an unsealed leaf in its place, the quote taken off", "not in the log", ["receipt.inclusion", *NO_QUOTE, "receipt.boot", "receipt.configuration", *held], {**genuine, "leaf": open_, "quote": None})
    said = edited(j.session.leaf, put("statements", 7, value={**_bare(j.session.statements[7]), "type": "tpm.absent"}))
    bad("tpm.absent said somewhere, the quote taken off", "order of statements", ["receipt.grammar", "receipt.inclusion", *NO_QUOTE, "receipt.boot"], {**genuine, "leaf": said, "quote": None}, skipped=NO_STATEMENTS)
    # With the ledger key in hand, outside of the machine: everything is signed, and no TPM can be had to quote it.
    session = _session(j.boot_as_unsealed, "with the ledger key")
    told = _opened(j.boot_as_unsealed.receipt(session.leaf, j.document))
    given = [put(name, value=value) for name, value in j.held(session).items()]
    bad("signed anew by the ledger key", "the document has a TPM", [*NO_QUOTE, "receipt.boot", "receipt.configuration"], told, *given)
    sealed_note = _opened(j.boot.receipt(session.leaf, j.document))
    bad("signed anew, with the boot of the sealed machine", "no quote", [*NO_QUOTE, "receipt.boot", "receipt.configuration"], {**sealed_note, "quote": None}, *given)
    bad("an unsealed session with a genuine quote", "tpm.absent and a quote", ["receipt.form"], sealed_note, skipped=form)
    read = Session(j.boot_as_unsealed, "read with the ledger key", operation="read", output=b"{}", unsealed="software")
    told = _opened(j.boot_as_unsealed.receipt(read.leaf, j.document))
    given = [put(name, value=value) for name, value in j.held(read).items()]
    bad("a reading that no TPM counted", "tpm.absent", [*NO_QUOTE, "receipt.boot", "receipt.configuration"], told, *given)


def _bare(statement):
    return {name: statement[name] for name in ("mono_us", "seq", "utc_ms")}


def _upgrades(j, boot):
    """An unsealed machine's receipt passed off as a sealed one's."""
    stranger = Boot("stranger")
    claimed = Session(boot, "claims a seal")

    def bad(name, reason, failed, *edits, skipped=(), session=claimed, **change):
        j.failed(f"an upgrade: {name}", reason, failed, *edits, boot=boot, session=session, skipped=skipped, **change)

    form = after("receipt.form")
    bad("a seal claimed, without a quote", "a quote is missing", ["receipt.form", *NOTHING_VOUCHES], skipped=[*NO_CHAIN, *form])
    quote = stranger.quote("checkpoint", sha256(b"x"))
    other = [each for each in FAILED if each not in ("receipt.quote_signature",)]
    bad("a seal claimed, with a stranger's quote", "another machine's", other, quote=quote, skipped=[*NO_CHAIN, "receipt.quote_signature"])
    truth = _session(boot, "tells the truth")
    bad("its own session, with a stranger's quote", "tpm.absent and a quote", ["receipt.form", *NOTHING_VOUCHES], session=truth, quote=quote, skipped=[*NO_CHAIN, *form])
    # Under a genuine document its signatures are another log's.
    there = put("document", value=j.document)
    bad(
        "under a sealed machine's document", "another key",
        ["receipt.document", "receipt.checkpoint_signature", *NO_QUOTE[:2], "receipt.configuration", "receipt.request"], there,
        session=truth, skipped=["receipt.inclusion", "receipt.quote_binding", "receipt.boot", "receipt.time"],
    )

    def grammar(name, reason, statements):
        told = [{**each, "seq": i, "mono_us": str(1000 * i)} for i, each in enumerate(statements)]
        leaf = {**truth.leaf, "statements": told}
        bad(name, reason, [*(each for each in FAILED if each != "receipt.configuration"), "receipt.grammar"], session=truth, leaf=leaf, skipped=[*NO_CHAIN, *NO_STATEMENTS])

    whole, of_seal = truth.statements, {each["type"]: each for each in j.session.statements}
    absent = {each["type"]: each for each in whole}
    grammar("no seal.absent", "it stands with tpm.absent", [each for each in whole if each["type"] != "seal.absent"])
    grammar("tpm.absent first", "order", [whole[0], whole[2], whole[1], *whole[3:]])
    grammar("a seal and none", "one or the other", [whole[0], of_seal["seal.enforced"], *whole[1:]])
    grammar("none, and a seal", "one or the other", [*whole[:3], of_seal["seal.enforced"], *whole[3:]])
    grammar("a seal, and no TPM", "one or the other", [whole[0], of_seal["seal.enforced"], *whole[2:]])
    at = next(i for i, each in enumerate(whole) if each["type"] == "output.committed")
    grammar("checked where nothing is", "no seal was there", [*whole[:at], of_seal["seal.checked"], *whole[at:]])
    grammar("released where nothing was sealed", "no seal was there", [*whole[: at + 1], of_seal["seal.released"], *whole[at + 1 :]])
    grammar("tpm.absent twice", "once", [*whole[:3], absent["tpm.absent"], *whole[3:]])
    lone = [each for each in whole if each["type"] != "tpm.absent"]
    lone = {**truth.leaf, "statements": [{**each, "seq": i, "mono_us": str(1000 * i)} for i, each in enumerate(lone)]}
    bad("seal.absent without tpm.absent", "a quote is missing", ["receipt.form", *NOTHING_VOUCHES], session=truth, leaf=lone, skipped=[*NO_CHAIN, *form])
    lone_quoted = j.boot.receipt(lone, j.document)
    j.failed(
        "an upgrade: seal.absent alone, quoted by a sealed machine", "order", ["receipt.grammar"], put("receipt", value=lone_quoted),
        skipped=NO_STATEMENTS,
    )
