"""What each format of protocol/vectors/ is run through: a function of a case and its file."""
import functools
import hashlib
import json
import pathlib

from cryptography.hazmat.primitives.serialization import load_der_private_key

from . import event_log, event_stream, forms, tpm, weights, wire
from .audit import Failed, audit
from .cosigned import cosigned_at, open_cosigned, parse_proof
from .ear import ear_of
from .edits import edited
from .encodings import base64url, canonical, ensure, parse_canonical, salted, sha256, unbase64url, unhex
from .epochs import check_epochs
from .merkle import check_consistency, leaf_hash, root_from_path
from .note import open_checkpoint
from .session import check_grammar
from .tiles import inclusion_path, leaves_of, parse_path
from .verdict import check_transport_key, verify

VECTORS = pathlib.Path(__file__).resolve().parents[3] / "protocol" / "vectors"


def _json(case, _):
    if "deep" in case:
        parse_canonical(b"[" * case["deep"] + b"]" * case["deep"])
        return None
    return {"value": parse_canonical(bytes.fromhex(case["hex"]) if "hex" in case else case["text"].encode())}


def _encoding(case, _):
    read = (lambda text: unhex(text, 32)) if case["encoding"] == "digest" else unbase64url
    return {"bytes": read(case["text"]).hex()}


def _splice(case, _):
    if case["operation"] == "splice":
        return {"spliced": wire.splice(case["answer"].encode(), case["receipt"]).decode()}
    answer, receipt = wire.unsplice(case["spliced"].encode())
    return {"answer": answer.decode(), "receipt": receipt}


def _event_splice(case, _):
    if case["operation"] == "splice":
        return {"spliced": event_stream.splice(case["stream"].encode(), case["receipt"]).decode()}
    stream, receipt = event_stream.unsplice(case["spliced"].encode())
    return {"stream": stream.decode(), "receipt": receipt}


def _header(case, file):
    raw = canonical(edited(file["base"], *case["edits"]))
    forms.header(parse_canonical(raw))
    return {"digest": sha256(raw).hex()}


@functools.cache
def _private_key(pkcs8):
    return load_der_private_key(unbase64url(pkcs8), None)


def _envelope(case, file):
    return wire.open_envelope(_private_key(file["common"]["private_key"]), case["envelope"].encode())


def _response(case, file):
    common = [unbase64url(file["common"][name]) for name in ("response_secret", "header_digest")]
    return {"frames": wire.open_response(*common, unbase64url(case["answer"]))}


def _digest(case, _):
    header_digest = bytes.fromhex(case["header_digest"])
    salt = wire.derive(unbase64url(case["response_secret"]), header_digest, b"sealed/salt/v1")
    ensure(salted(salt, unbase64url(case["content"])) == case["stated"], "another digest")
    return {"salt": base64url(salt)}


def _instructions(case, file):
    authorities = {each["id"]: unbase64url(each["public_key"]) for each in file["common"]["authorities"]}
    return wire.read_instructions(case["text"], file["common"]["request"], authorities)


def _bundle(case, file):
    given = edited(file["base"], *case["edits"])
    for name in ("request", "input", "salt", "output"):
        if name in given:
            given[name] = unbase64url(given[name])
    if isinstance(given["receipt"], dict):
        given["receipt"] = base64url(canonical(given["receipt"]))
    if "challenge" in given:
        given["challenge"]["nonce"] = unbase64url(given["challenge"]["nonce"])
    return given


def _verdict(case, file):
    outcome, entries, _ = verify(_bundle(case, file))
    named = lambda wanted: [id_ for id_, result, _, _ in entries if result == wanted]
    return {"failed": named("fail"), "outcome": outcome, "skipped": named("skip")}


@functools.cache
def _verdicts():
    file = json.loads((VECTORS / "verdict.json").read_text())
    return file, {case["name"]: case for case in file["cases"]}


def _ear_bundle(case, file):
    verdicts, named = _verdicts()
    given = _bundle(named[case["bundle"]], verdicts)
    outcome, entries, claims = verify(given)
    checks = [{"id": id_, "required": required, "result": result} for id_, result, required, _ in entries]
    verdict = {"checks": checks, "claims": claims, "outcome": outcome}
    return ear_of(verdict, given["policy"], file["common"]["verifier"], given["now_ms"])


def _statement(case, file):
    forms.statement(parse_canonical(canonical(edited(file["base"][case["type"]], *case["edits"]))))


def _grammar(case, file):
    named = [{**file["common"][each], "seq": i, "mono_us": "0"} for i, each in enumerate(case["order"])]
    if "g" in case["order"]:
        named = [{**each, "operation": "read"} if "operation" in each else each for each in named]
    for each in named:
        forms.statement(each)
    check_grammar(named)


def _leaf(case, file):
    raw = canonical(edited(file["base"][case["of"]], *case["edits"]))
    forms.leaf(parse_canonical(raw))
    return {"hash": leaf_hash(raw).hex()}


def _inclusion(case, _):
    leaf, root, *path = map(bytes.fromhex, (case["leaf"], case["root"], *case["path"]))
    ensure(root_from_path(leaf, case["index"], case["size"], path) == root, "another root")


def _consistency(case, _):
    roots = bytes.fromhex(case["from_root"]), bytes.fromhex(case["root"])
    check_consistency(case["from"], case["size"], *roots, [bytes.fromhex(each) for each in case["proof"]])


def _tile(case, file):
    log = edited(file["base"], *case["edits"])
    leaves = leaves_of(log["tiles"], log["size"], bytes.fromhex(log["root"]))
    return {"path": [each.hex() for each in inclusion_path(leaves, case["prove"])]}


def _state(case, _):
    chain = bytes(32)
    for each in case["signatures"]:
        chain = sha256(chain, canonical(each))
    said = {"coverage": case["coverage"], "meters": case["meters"], "registry_version": len(case["signatures"])}
    state = sha256(b"sealed/state/v1\0", chain, canonical(said)).hex()
    ensure(case.get("stated", state) == state, "another state")
    return {"state": state}


def _checkpoint(case, file):
    found = open_checkpoint(case["note"], unbase64url(file["common"]["ledger_key"]))
    del found["body"]
    return {**found, "root": found["root"].hex(), "counter": str(found["counter"])}


def _cosignature(case, file):
    checkpoint, lines = open_cosigned(case["note"], unbase64url(file["common"]["ledger_key"]))
    seen = [(each["name"], cosigned_at(checkpoint, lines, each)) for each in file["common"]["witnesses"]]
    return {"seen": [{"name": name, "seconds": at} for name, at in seen if at is not None]}


def _reading(case, file):
    forms.reading(parse_canonical(canonical(edited(file["base"], *case["edits"]))))


def _replay(case, _):
    left = {}
    for leaf in case["leaves"]:
        ensure(leaf["session"] not in left, "two leaves of one session")
        left[leaf["session"]] = list(leaf["changes"])
    total, sums = sum(map(len, left.values())), {}
    for opening in case["openings"]:
        said = {name: opening[name] for name in ("capability", "millionths", "session")}
        digest = salted(unbase64url(opening["salt"]), canonical(said))
        ensure(digest in left.get(opening["session"], ()), "opens nothing")
        left[opening["session"]].remove(digest)
        sums[opening["capability"]] = sums.get(opening["capability"], 0) + opening["millionths"]
    return {"changes": total, "opened": len(case["openings"]), "sums": sums}


def _epochs(case, file):
    leaves = edited(file["base"], *case["edits"])["leaves"]
    for each in leaves:
        forms.later_leaf(parse_canonical(canonical(each)))
    return check_epochs(leaves)


def _attribution(case, _):
    use = wire.attribute(case["observed"], case["signatures"])
    ensure(case.get("stated", use) == use, "another use")
    return {"use": use}


def _key_set(case, file):
    raw = canonical(edited(file["base"], *case["edits"]))
    forms.key_set(parse_canonical(raw))
    return {"k": sha256(raw).hex()}


def _transport_key(case, file):
    record = edited(file["base"], *case["edits"])
    forms.transport_key(record)
    check_transport_key(record, unbase64url(file["common"]["key_set"]["ledger_key"]))


def _attestation_key(case, _):
    return {"name": tpm.AttestationKey(unbase64url(case["public"])).name.hex()}


def _quote(case, file):
    key = tpm.AttestationKey(unbase64url(file["common"]["keys"][case["key"]]))
    tpm.check_signature(key, case)
    attest = tpm.opened(case)
    tpm.check_selection(attest, {int(i): bytes.fromhex(each) for i, each in file["common"]["pcrs"].items()})
    tpm.check_binding(attest, case["purpose"], bytes.fromhex(file["common"]["k"]), bytes.fromhex(case["x"]))
    return {"reset": attest.reset, "restart": attest.restart}


def _measurement(case, _):
    {"key_set": forms.key_set, "configuration": forms.configuration}[case["of"]](case["value"])
    digest = sha256(canonical(case["value"]))
    ensure(sha256(bytes(32), digest).hex() == case["stated"], "another value")
    return {"digest": digest.hex(), "pcr": {"key_set": 14, "configuration": 8}[case["of"]]}


def _launch(case, _):
    forms.launch(case["value"])
    digest = sha256(canonical(case["value"]))
    ensure(sha256(sha256(bytes(32), digest), sha256(bytes(4))).hex() == case["stated"], "another value")
    return {"digest": digest.hex()}


def _event_log(case, _):
    events = event_log.parse(unbase64url(case["log"]) + bytes(case.get("zeros", 0)))
    values = {str(pcr): value.hex() for pcr, value in sorted(event_log.replay(events).items())}
    return {"applications": event_log.applications(events), "pcrs": values}


def _policy(case, file):
    forms.policy(edited(file["base"], *case["edits"]))


def _report_data(case, _):
    data = b"sealed/report/v1\0" + sha256(unbase64url(case["ak_public"])) + bytes.fromhex(case["k"])
    ensure(hashlib.sha512(data).hexdigest() == case["stated"], "another")


def _tlog_proof(case, _):
    index, path, checkpoint = parse_proof(case["proof"])
    return {"index": index, "path": [each.hex() for each in path], "checkpoint": checkpoint}


def _audit(case, file):
    try:
        return audit(**edited(file["base"], *case["edits"]))
    except Failed as failed:
        return {"check": failed.check, "code": failed.code}


def _weights_volume(case, _):
    if case["of"] == "length":
        blocks = weights.data_blocks(case["bytes"])
        return {"blocks": blocks, "salt": weights.salt_of(blocks).hex()}
    if case["of"] == "root":
        data = weights.blocks_of(case["runs"])
        made = weights.root_of(data, weights.salt_of(len(data))).hex()
    else:
        made = weights.model_of(case)
    ensure(made == case["stated"], "another")


def _ear(case, file):
    ear, wanted = ear_of(**edited(file["base"], *case["edits"])), edited(file["common"]["ear"], *case["expect"]["edits"])
    same = json.dumps(ear, sort_keys=True) == json.dumps(wanted, sort_keys=True)
    return case["expect"] if same else {"ear": ear}


RUNNERS = {
    "json": _json, "encoding": _encoding, "splice": _splice, "event_splice": _event_splice, "header": _header, "envelope": _envelope,
    "response": _response, "digest": _digest, "instructions": _instructions,
    "verdict": _verdict, "statement": _statement, "grammar": _grammar, "leaf": _leaf, "inclusion": _inclusion,
    "consistency": _consistency, "checkpoint": _checkpoint, "cosignature": _cosignature, "reading": _reading, "replay": _replay,
    "epochs": _epochs, "attribution": _attribution, "key_set": _key_set, "transport_key": _transport_key,
    "attestation_key": _attestation_key, "quote": _quote, "measurement": _measurement, "launch": _launch, "event_log": _event_log,
    "policy": _policy, "report_data": _report_data, "tlog_proof": _tlog_proof,
    "tile": _tile, "tile_path": lambda case, _: parse_path(case["path"]), "state": _state,
    "weights_volume": _weights_volume, "audit": _audit, "ear": _ear, "ear_bundle": _ear_bundle,
}
