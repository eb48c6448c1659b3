//! Controllers of control groups, of either hierarchy.

use std::{collections::BTreeSet, fs};

/// The names of the controllers that the kernel offers.
pub(super) fn collect() -> Vec<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut names = unified(&read("/sys/fs/cgroup/cgroup.controllers"));
    names.extend(first(&read("/proc/cgroups")));
    names.into_iter().collect()
}

/// `cgroup.controllers` (cgroups(7)): names with spaces between.
fn unified(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// `/proc/cgroups`: lines of name, hierarchy, number of groups, and whether it is enabled.
fn first(text: &str) -> BTreeSet<String> {
    let enabled = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next().filter(|name| !name.starts_with('#'))?.to_owned();
        (words.nth(2) == Some("1")).then_some(name)
    };
    text.lines().filter_map(enabled).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enabled_controllers_are_found_in_both_forms() {
        let both = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(unified("cpuset cpu io memory pids\n"), both(&["cpuset", "cpu", "io", "memory", "pids"]));
        let text =
            "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t5\t1\nmemory\t4\t5\t0\npids\t5\t5\t1\n";
        assert_eq!(first(text), both(&["cpu", "pids"]));
    }
}
