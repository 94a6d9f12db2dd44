//! Trees of hashes, as RFC 6962 has them.

use crate::sha256;

/// The hash of a leaf or of a subtree.
pub type Hash = [u8; 32];

/// The hash of the leaf of `body`.
#[must_use]
pub fn leaf(body: &[u8]) -> Hash {
    sha256(&[&[0], body].concat())
}

fn node(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], &left[..], &right[..]].concat())
}

/// The largest power of two that is smaller than `size`.
fn split(size: usize) -> usize {
    size.next_power_of_two() / 2
}

/// The hash of the tree.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(&[]),
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&root(left), &root(right))
        }
    }
}

/// The proof that the leaf at `index` is in the tree.
#[must_use]
pub fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut hashes, sibling) = if index < left.len() {
        (path(index, left), root(right))
    } else {
        (path(index - left.len(), right), root(left))
    };
    hashes.push(sibling);
    hashes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_the_root() {
        let leaves: Vec<Hash> = (0..7u8).map(|byte| leaf(&[byte])).collect();
        // The last leaf of seven stands alone at the lowest level.
        let hashes = path(6, &leaves);
        assert_eq!(hashes.len(), 2);
        assert_eq!(node(&hashes[1], &node(&hashes[0], &leaves[6])), root(&leaves));
        assert_eq!(path(0, &leaves).len(), 3);
        assert_eq!(split(2), 1);
        assert_eq!(split(5), 4);
        assert_eq!(split(8), 4);
    }
}
