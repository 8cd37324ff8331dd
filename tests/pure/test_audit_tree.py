"""Merkle trees are those of RFC 9162, and every leaf's path leads to the root and to no other."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.audit.tree import ProvingTree, Tree, leaf_hash, node_hash, root_of

LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Of the first 0 to 8 leaves: the test vectors of the Certificate Transparency reference implementation."""


def plain_root(leaves: list[bytes]) -> bytes:
    """The definition of section 2.1.1, word for word."""
    if len(leaves) <= 1:
        return leaf_hash(leaves[0]) if leaves else Tree().root()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(plain_root(leaves[:split]), plain_root(leaves[split:]))


def plain_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """The definition of section 2.1.3.1, word for word."""
    if len(leaves) == 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return [*plain_path(index, leaves[:split]), plain_root(leaves[split:])]
    return [*plain_path(index - split, leaves[split:]), plain_root(leaves[:split])]


def test_the_roots_are_those_of_the_reference_implementation():
    tree = Tree()
    roots = [tree.root().hex()]
    for leaf in LEAVES:
        tree.append(leaf_hash(leaf))
        roots.append(tree.root().hex())

    assert roots == ROOTS


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 140), st.data())
def test_roots_and_paths_are_those_of_the_definition(size: int, data: st.DataObject):
    leaves = [b"%d" % number for number in range(size)]
    index = data.draw(st.integers(0, size - 1))
    tree = ProvingTree()
    for number, leaf in enumerate(leaves):
        tree.append(leaf_hash(leaf), wanted=number == index or number % 3 == 0)

    assert tree.root() == plain_root(leaves)
    assert tree.path(index) == plain_path(index, leaves)
    assert root_of(leaf_hash(leaves[index]), index, size, tree.path(index)) == tree.root()


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 140), st.data())
def test_another_leaf_place_or_path_leads_to_another_root(size: int, data: st.DataObject):
    index = data.draw(st.integers(0, size - 1))
    tree = ProvingTree()
    for number in range(size):
        tree.append(leaf_hash(b"%d" % number), wanted=number == index)
    path, leaf, root = tree.path(index), leaf_hash(b"%d" % index), tree.root()
    at = data.draw(st.integers(0, len(path) - 1))
    other = data.draw(st.integers(0, size - 1).filter(lambda number: number != index))

    assert root_of(leaf_hash(b"x"), index, size, path) != root
    assert root_of(leaf, other, size, path) != root
    assert root_of(leaf, index, size, [*path[:at], leaf_hash(b"x"), *path[at + 1 :]]) != root
    assert root_of(leaf, index, size, path[:-1]) != root
    assert root_of(leaf, index, size, [*path, leaf]) is None


@pytest.mark.parametrize("before", [0, 1, 5, 8, 13])
def test_a_tree_goes_on_from_its_peaks_without_the_leaves_before(before: int):
    whole = Tree()
    for number in range(before):
        whole.append(leaf_hash(b"%d" % number))
    rest = ProvingTree(whole.size, whole.peaks)
    for number in range(before, 21):
        whole.append(leaf_hash(b"%d" % number))
        rest.append(leaf_hash(b"%d" % number), wanted=number == 17)

    assert rest.root() == whole.root()
    assert root_of(leaf_hash(b"17"), 17, 21, rest.path(17)) == whole.root()


def test_peaks_that_are_not_those_of_the_size_are_refused():
    with pytest.raises(ValueError, match="a tree of 3 leaves has 2 peaks; given are 1"):
        Tree(3, [leaf_hash(b"")])


def test_no_path_proves_a_leaf_outside_the_tree():
    assert root_of(leaf_hash(b"a"), 1, 1, []) is None
    assert root_of(leaf_hash(b"a"), -1, 1, []) is None
    assert root_of(leaf_hash(b"a"), 0, 2, [b"short"]) is None
