//! A run that is killed at any of its changes is finished by the next one, with the help of its journal.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use metalk8s_engine::{
    ApplyOptions, Change, Graph, Observer, State, StateError, Step, apply,
    fake::{FakeClock, FakeHost, Unit, World},
    journal::{Journal, Record, RunId, SCHEMA},
    state::{Command, Directory, File, Packages, Service},
};

/// Writes the journal as a conductor does, but to memory.
struct Journaling(Mutex<String>);

impl Journaling {
    fn new() -> Self {
        let run = Record::Run {
            schema: SCHEMA,
            run: RunId::at(at()),
            name: "install".to_owned(),
            version: "0.1.0".to_owned(),
            steps: vec!["all".to_owned()],
            at: at(),
        };
        Self(Mutex::new(run.to_line()))
    }

    fn unsettled(&self) -> ApplyOptions {
        let text = self.0.lock().expect("no test panicked").clone();
        let journal = Journal::parse(text.as_bytes()).expect("the journal is whole");
        ApplyOptions {
            changed_before: journal.unsettled(),
            clock: Arc::new(FakeClock::default()),
            ..ApplyOptions::default()
        }
    }
}

impl Observer for Journaling {
    fn changing(&self, step: &Step, change: &Change) -> Result<(), StateError> {
        let record = Record::Changing { state: step.id.clone(), summary: change.summary.clone(), at: at() };
        self.0.lock().expect("no test panicked").push_str(&record.to_line());
        Ok(())
    }
}

fn at() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH
}

fn graph() -> Graph {
    let mut graph = Graph::default();
    let packages = BTreeMap::from([("kubelet".to_owned(), Some("1.35.4".to_owned()))]);
    let package = State::Packages(Packages { packages, hold: true, only_from: Vec::new() });
    let package = graph.add("package", package);
    let folder = graph.add("folder", State::Directory(Directory::new("/etc/kubelet", 0o755)));
    let config = graph.add("config", State::File(File::text("/etc/kubelet/config", "a: b\n")));
    let drop_in = graph.add("drop-in", State::File(File::text("/etc/kubelet/drop-in", "c\n")));
    let unit = graph.add("unit", State::Service(Service::running("kubelet.service")));
    let told = graph.add(
        "told",
        State::Command(Command {
            argv: vec!["tell".to_owned()],
            creates: None,
            unless: None,
            only_if: None,
            only_on_change: true,
            environment: BTreeMap::new(),
            directory: None,
            timeout_seconds: 10,
        }),
    );
    graph.require_all(&config, [&package, &folder]);
    graph.require(&drop_in, &folder);
    graph.watch(&unit, &config);
    graph.watch(&unit, &drop_in);
    graph.watch(&told, &unit);
    graph
}

/// The package's own scripts start the unit before it is configured, as Debian's do.
fn host() -> FakeHost {
    let mut world = World::default();
    world.offered.insert("kubelet".to_owned(), "1.35.4".to_owned());
    world
        .units
        .insert("kubelet.service".to_owned(), Unit { running: true, enabled: true, ..Unit::default() });
    FakeHost::new(world)
}

/// What must be the same however often a run was killed: everything but how often things were restarted.
fn result(host: &FakeHost) -> World {
    let mut world = host.world();
    for unit in world.units.values_mut() {
        assert!(unit.starts > 0, "the unit still runs with its old configuration");
        unit.starts = 1;
    }
    assert!(!world.ran.is_empty(), "nobody was told");
    world.ran.dedup();
    world
}

#[tokio::test]
async fn a_run_killed_at_any_change_is_finished_by_the_next() {
    let graph = graph();
    let undisturbed = host();
    let report = apply(&graph, &undisturbed, &Journaling::new(), &ApplyOptions::default()).await;
    let changes = report.expect("the graph has an order").totals.changed;
    assert_eq!(changes, 6);
    for at in 0..changes {
        let host = host();
        let journal = Journaling::new();
        host.freeze_after(at);
        let options = journal.unsettled();
        tokio::select! {
            _ = apply(&graph, &host, &journal, &options) => panic!("killed at change {at}, the run went on"),
            () = host.frozen() => host.thaw(),
        }
        let again =
            apply(&graph, &host, &journal, &journal.unsettled()).await.expect("the graph has an order");
        assert!(again.is_success(), "killed at change {at}: {again:#?}");
        assert_eq!(result(&host), result(&undisturbed), "killed at change {at}");
    }
}
