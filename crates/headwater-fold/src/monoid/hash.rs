//! The one hash of the sketches. It is a part of their byte form: it must never change.

use xxhash_rust::xxh3::xxh3_64;

/// XXH3 of 64 bits without a seed (Y. Collet, xxHash, specification of XXH3).
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// Another hash out of a hash (the finaliser of MurmurHash3, a bijection).
pub(super) fn again(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_of_the_specification() {
        // The empty input is in xxHash's own tests; the others hold this crate to what it has written.
        assert_eq!(hash(b""), 0x2d06_8005_38d3_94c2);
        let golden = [hash(b"a"), hash(b"headwater"), hash(&[7; 300]), again(1)];
        assert_eq!(golden, GOLDEN);
    }

    const GOLDEN: [u64; 4] = [
        0xe6c6_32b6_1e96_4e1f,
        12_101_969_290_544_522_905,
        10_010_457_796_725_363_795,
        12_994_781_566_227_106_604,
    ];
}
