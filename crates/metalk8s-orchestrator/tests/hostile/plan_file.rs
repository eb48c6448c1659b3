//! Read: each digest is that of its changes, and written again it is the same; with another digest or without
//! one of its changes it is refused. Refused: the line exists, and what is said to be wrong is. Shared with
//! the fuzz target `plan_file`.

use std::{os::fd::AsRawFd, path::Path};

use metalk8s_engine::{Agreed, ChangeSet, PendingKind};
use metalk8s_orchestrator::plans::{PlanFile, PlanFileError};

use self::one_file::file_with;

#[path = "../../../../fuzz/one_file.rs"]
mod one_file;

/// The newest version of files that is read.
const SCHEMA: u32 = 1;

pub(crate) fn check(bytes: &[u8]) {
    let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
    match read(bytes) {
        Ok(plan) => check_plan(&plan),
        Err(PlanFileError::NoPlan { source, .. }) => {
            assert!((1..=lines).contains(&source.line()), "of {lines} lines: {source}");
        }
        Err(PlanFileError::Newer { found, .. }) => assert!(found > SCHEMA),
        Err(PlanFileError::Changed { node, .. }) => {
            let plan: PlanFile = serde_json::from_slice(bytes).expect("only a digest of it is wrong");
            assert!(!is_whole(&plan.nodes[&node].changes), "{node:?}");
        }
        Err(err @ PlanFileError::File { .. }) => panic!("{err:?}"),
    }
}

fn check_plan(plan: &PlanFile) {
    assert!(plan.schema <= SCHEMA);
    assert_eq!(read(&written(plan)).expect("what is written is read"), *plan);
    for (name, node) in &plan.nodes {
        assert!(is_whole(&node.changes), "{name:?}");
        let order = node.order(true);
        assert_eq!(Agreed::digest_of(&order.changes), order.digest);
        check_refused(plan, name, |changes| changes.digest.push('0'));
        if !node.changes.changes.is_empty() {
            check_refused(plan, name, |changes| drop(changes.changes.pop()));
            check_refused(plan, name, |changes| changes.changes[0].digest.push('0'));
            if node.changes.changes[0].kind != PendingKind::Unknown {
                check_refused(plan, name, |changes| changes.changes[0].kind = PendingKind::Unknown);
            }
        }
    }
}

/// Changed like this, it is refused for the sake of this node.
fn check_refused(plan: &PlanFile, name: &str, change: impl FnOnce(&mut ChangeSet)) {
    let mut changed = plan.clone();
    change(&mut changed.nodes.get_mut(name).expect("it is one of the plan").changes);
    match read(&written(&changed)) {
        Err(PlanFileError::Changed { node, .. }) => assert_eq!(node, name),
        outcome => panic!("`{name}` of a plan was changed: {outcome:?}"),
    }
}

fn is_whole(changes: &ChangeSet) -> bool {
    Agreed::digest_of(&changes.agreed()) == changes.digest
}

fn written(plan: &PlanFile) -> Vec<u8> {
    serde_json::to_vec_pretty(plan).expect("what was read can be written")
}

fn read(bytes: &[u8]) -> Result<PlanFile, PlanFileError> {
    let file = file_with(bytes);
    PlanFile::read(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())))
}
