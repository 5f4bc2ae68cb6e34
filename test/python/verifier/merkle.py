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
