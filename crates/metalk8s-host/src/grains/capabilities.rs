//! What this process may do (capabilities(7)).

/// Lowering the score of the out-of-memory killer, among others.
pub(crate) const CAP_SYS_RESOURCE: u32 = 24;

/// Whether the effective set of /proc/self/status has a capability.
pub(crate) fn has(status: &str, capability: u32) -> bool {
    status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok())
        .is_some_and(|set| set & (1 << capability) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_of_the_effective_set_is_a_capability() {
        let status = "Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t000001fffeffffff\n";
        assert!(has(status, 16));
        assert!(!has(status, CAP_SYS_RESOURCE));
        assert!(!has("", 16));
    }
}
