"""RFC 6962 hashes and RFC 9162 section 2.1.3.2."""
from .encodings import ensure, sha256


def leaf_hash(leaf):
    return sha256(b"\0", leaf)


def node_hash(left, right):
    return sha256(b"\1", left, right)


def root_from_path(leaf, index, size, path):
    ensure(index < size, "index outside the tree")
    fn, sn, root = index, size - 1, leaf
    for node in path:
        ensure(sn > 0, "path is too long")
        if fn & 1 or fn == sn:
            root = node_hash(node, root)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = node_hash(root, node)
        fn, sn = fn >> 1, sn >> 1
    ensure(sn == 0, "path is too short")
    return root


def check_consistency(old, new, old_root, root, proof):
    """RFC 9162 section 2.1.4.2, and the two cases that it leaves out."""
    ensure(old <= new, "the log shrank")
    if old == 0 or old == new:
        ensure(not proof, "proof is too long")
        ensure(old or old_root == sha256(b""), "no root of the empty tree")
        ensure(old < new or old_root == root, "one size, two roots")
        return
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    ensure(path, "proof is too short")
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = path[0]
    for node in path[1:]:
        ensure(sn > 0, "proof is too long")
        if fn & 1 or fn == sn:
            first, second = node_hash(node, first), node_hash(node, second)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node_hash(second, node)
        fn, sn = fn >> 1, sn >> 1
    ensure(sn == 0, "proof is too short")
    ensure(first == old_root and second == root, "other roots")
