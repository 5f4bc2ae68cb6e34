"""Verdicts over whole bundles: receipt, document, policy and what the client holds; honest ones, and lies of many kinds.

Each lie is made with the real keys wherever a hostile operator would have them, so that only the checks named in
`failed` can notice. `skipped` names every check that could not be made.
"""
import bundles_boot
import bundles_document
import bundles_ear
import bundles_epoch
import bundles_launch
import bundles_receipt
import bundles_snp
import bundles_tdx
import bundles_unsealed
import bundles_whole
import cosigned_proof
from bundles_base import Judge
from make import drop, put
from seeded import some
from verifier.encodings import base64url
from verifier.merkle import leaf_hash, node_hash
from world import Boot, Session, hexes


def honest(j):
    j.verified("an envelope, everything given")
    ec = Boot("elliptic", ak="ec")
    j.verified("an attestation key on P-256", boot=ec)
    j.verified("no TLS at the gateway", boot=Boot("without tls", tls=False))
    nothing = ["receipt.request", "receipt.nonce", "receipt.output"]
    j.verified("nothing but receipt and document", drop("request"), drop("salt"), drop("output"), skipped=nothing)
    j.verified("no salt", drop("salt"), skipped=["receipt.output"])
    plain = Session(j.boot, "plain", "plain")
    j.verified("the plain door", session=plain)
    j.verified("the plain door, no body", drop("input"), session=plain, skipped=["receipt.request"])
    j.verified("the plain door, no nonce", drop("nonce"), session=plain, skipped=["receipt.nonce"])
    j.verified("a write", session=Session(j.boot, "write", operation="write"))
    j.verified("a reading", session=Session(j.boot, "read", operation="read", output=b'{"authority":"x"}'))
    for at in range(2, 8):
        aborted = Session(j.boot, f"aborted {at}", abort=at)
        j.verified(f"aborted after {at} statements", drop("output"), session=aborted, skipped=["receipt.output"])
    j.verified("no output", session=Session(j.boot, "no output", output=b""))
    for size, index in ((1, 0), (2, 1), (8, 0), (8, 7), (9, 8), (100, 64)):
        j.verified(f"leaf {index} of {size}", size=size, index=index)
    j.verified("a checkpoint as old as the policy allows", put("policy", "max_age_ms", value=5000))
    j.verified("several authorities asked for none", put("policy", "authorities", value=[]))


def challenged(j):
    nonce, others = some("challenge nonce", 32), [leaf_hash(b"other nonce %d" % i) for i in range(2)]
    root = node_hash(node_hash(others[0], leaf_hash(nonce)), others[1])
    path = [each.hex() for each in others]

    def answer(x=root, **change):
        return {"index": 1, "path": path, "quote": j.boot.quote("challenge", x, clock=999999), "size": 3, **change}

    def case(made, sent=nonce):
        return put("challenge", value={"nonce": base64url(sent), "answer": made})

    fresh = {"unskipped": ["document.challenge"]}
    j.verified("a challenge answered", case(answer()), **fresh)
    lone = {"index": 0, "path": [], "size": 1, "quote": j.boot.quote("challenge", leaf_hash(nonce))}
    j.verified("a lone challenge answered", case(lone), **fresh)
    stranger = Boot("stranger")
    for name, reason, made in (
        ("of another nonce", "the path leads elsewhere", (answer(), some("another nonce", 32))),
        ("with a path too long", "length of the path", (answer(path=[*path, hexes("more")]),)),
        ("with a path too short", "length of the path", (answer(path=path[:1]),)),
        ("at another index", "the path leads elsewhere", (answer(index=0),)),
        ("at an index outside", "the index is not below the size", (answer(index=3),)),
        ("with a quote of another purpose", "purpose", (answer(quote=j.boot.quote("checkpoint", root)),)),
        ("with a quote of another key", "signature", (answer(quote=j.boot.quote("challenge", root, key=stranger.ak)),)),
        ("with other PCR values", "PCR digest", (answer(quote=j.boot.quote("challenge", root, pcrs=stranger.pcrs)),)),
        ("with a member more", "no such member", (answer(more=0),)),
        ("with a quote with a member more", "no such member", (answer(quote={**answer()["quote"], "more": 0}),)),
        ("with a hash in upper case", "spelling", (answer(path=[path[0].upper(), path[1]]),)),
        ("of another boot", "resetCount", (answer(quote=j.boot.quote("challenge", root, reset=8)),)),
        ("after a resume", "restartCount", (answer(quote=j.boot.quote("challenge", root, restart=1)),)),
        ("with the document's own quote", "not fresh", (answer(quote=j.document["quote"]),)),
    ):
        j.failed(f"a challenge {name}", reason, ["document.challenge"], case(*made), **fresh)


def vectors():
    j = Judge(
        "verdict", "Verdict", "Bundles and their verdicts: `base` with edits. `expect` holds the outcome and the ids of the "
        "checks that failed and of those that were skipped. Bytes are base64url. A receipt is what travels, or the object "
        "that it encodes; the document too is shown as an object.",
    )
    honest(j)
    challenged(j)
    bundles_document.lies(j)
    bundles_boot.lies(j)
    bundles_launch.launches(j)
    bundles_receipt.lies(j)
    bundles_epoch.epochs(j)
    cosigned_proof.lies(j)
    bundles_snp.lies(j)
    bundles_tdx.lies(j)
    bundles_whole.honest(j)
    bundles_unsealed.unsealed(j)
    return [bundles_launch.record_vectors(), j.vectors, bundles_ear.vectors(j.vectors)]
