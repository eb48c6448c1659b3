//! Checking file states that need no change: what a second run spends most of its states on.

use criterion::{Criterion, criterion_group, criterion_main};
use metalk8s_engine::{Hands, State, state::File};
use metalk8s_host::Host;

const FILES: usize = 1_000;

fn unchanged(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let host = Host::in_root_with_programs(folder.path().join("root"), folder.path().join("programs"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    let states: Vec<State> = (0..FILES)
        .map(|number| {
            State::File(File::text(format!("/etc/many/{number}"), format!("line {number}\n").repeat(20)))
        })
        .collect();
    let changes = |apply: bool| {
        runtime.block_on(async {
            let mut changes = 0;
            for state in &states {
                if let Some(change) = host.check(state).await.expect("the file can be checked") {
                    changes += 1;
                    if apply {
                        host.apply(state, &change).await.expect("the file can be written");
                    }
                }
            }
            changes
        })
    };
    assert_eq!(changes(true), FILES);
    criterion.bench_function("1000 unchanged files", |bencher| {
        bencher.iter(|| assert_eq!(changes(false), 0));
    });
}

criterion_group!(benches, unchanged);
criterion_main!(benches);
