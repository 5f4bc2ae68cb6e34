"""A bundle of which everything is judged, save TEE evidence, which nobody asked for."""
import certificates
import logs
from bundles_base import USUAL
from bundles_boot import booted, image, place, strict
from cosigned_proof import proof_text
from formats_log import cosign, witness
from formats_wire import NOW_MS
from make import put
from seeded import some
from verifier.encodings import base64url, canonical
from verifier.merkle import leaf_hash
from world import Session, merkle, merkle_path, note


def _proof(boot, session, size=12, index=3):
    hashes = [leaf_hash(f"leaf {i}".encode()) for i in range(size)]
    hashes[index] = leaf_hash(canonical(session.leaf))
    body = boot.body(size, merkle(hashes), counter=42, time=NOW_MS - 1000)
    signed = note(body, boot.origin, boot.ledger) + cosign(body, "one", NOW_MS // 1000)
    return proof_text(index, merkle_path(hashes, index), signed)


def honest(j):
    events = logs.events()
    boot = booted(events)
    session, nonce = Session(boot), some("challenge nonce", 32)
    leaf = certificates.leaf(boot.ak.public_key(), place=place())
    chain = [base64url(each) for each in (leaf, certificates.middle(), certificates.root())]
    ak = {"chain": chain, "public": j.document["ak"]["public"]}
    fresh = {"index": 0, "path": [], "size": 1, "quote": boot.quote("challenge", leaf_hash(nonce))}
    j.verified(
        "everything but TEE evidence", *strict(image(boot)), put("proof", value=_proof(boot, session)),
        put("policy", "witnesses", value={"keys": [witness("one")[1]], "quorum": 1}), put("sent_ms", value=NOW_MS - 11000),
        put("policy", "instances", value={"zones": ["europe-west4-a"]}), put("policy", "max_age_ms", value=5000),
        put("challenge", value={"nonce": base64url(nonce), "answer": fresh}), boot=boot, session=session,
        document=boot.document(ak=ak, event_log=base64url(logs.log(events))),
        unskipped=[each for each in USUAL if "tee_" not in each],
    )
