//! What is said about a state besides its wish: guards, how often it is tried, whether its failure ends all.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use metalk8s_engine::{
    ApplyOptions, Clock, Graph, Guard, Outcome, Report, RequisiteKind, Retry, State, apply, check_all,
    fake::{Call, FailOn, Failure, FakeClock, FakeHost},
    state::{Command, File},
    test,
};

fn file(path: &str) -> State {
    State::File(File::text(path, "x"))
}

/// Keeps a state from being dealt with where a path exists.
fn where_missing(path: &str) -> Guard {
    let command = Command {
        argv: Vec::new(),
        creates: Some(path.into()),
        unless: None,
        only_if: None,
        only_on_change: false,
        environment: [].into(),
        directory: None,
        timeout_seconds: 10,
    };
    Guard { because: format!("{path} exists"), command }
}

fn options() -> ApplyOptions {
    ApplyOptions { clock: Arc::new(FakeClock::default()), ..ApplyOptions::in_order() }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn run(graph: &Graph, host: &FakeHost) -> Report {
    block_on(apply(graph, host, &(), &options())).unwrap()
}

fn fails(host: &FakeHost, label: &str, times: u32) {
    host.fail(Failure {
        label: label.to_owned(),
        on: FailOn::Apply,
        times,
        retryable: false,
        passes_within: None,
    });
}

#[test]
fn a_guard_leaves_a_state_alone_and_says_why() {
    let mut graph = Graph::default();
    let guarded = graph.add("guarded", file("/a"));
    graph.guard(&guarded, where_missing("/there"));
    let watcher = graph.add("watcher", file("/b"));
    graph.depend(&watcher, RequisiteKind::OnChanges, &guarded);
    let host = FakeHost::default();
    host.change_world(|world| world.write("/there", ""));
    let tested = block_on(test(&graph, &host, &options())).unwrap();
    let report = run(&graph, &host);
    for report in [&tested, &report] {
        let guarded = report.get("guarded").unwrap();
        assert_eq!((&guarded.outcome, guarded.result), (&Outcome::NotNeeded, Some(true)));
        assert_eq!(guarded.comment, "not needed, because /there exists");
        assert_eq!(report.get("watcher").unwrap().outcome, Outcome::NotNeeded);
    }
    assert_eq!(host.world().text("/a"), None);
    assert!(host.world().ran.is_empty(), "a guard's own command never runs");

    host.change_world(|world| world.files.clear());
    assert_eq!(run(&graph, &host).totals.changed, 2);
}

#[test]
fn what_a_guard_leaves_alone_is_not_about_to_change() {
    let mut graph = Graph::default();
    let before = graph.add("before", file("/before"));
    let guarded = graph.add("guarded", file("/a"));
    graph.guard(&guarded, where_missing("/there"));
    graph.depend(&before, RequisiteKind::Prereq, &guarded);
    let host = FakeHost::default();
    host.change_world(|world| world.write("/there", ""));
    assert!(block_on(check_all(&graph, &host, &options())).unwrap().is_clean());
    assert_eq!(run(&graph, &host).totals.changed, 0);
}

#[test]
fn a_state_is_tried_as_often_as_it_says_whatever_the_failure() {
    let mut graph = Graph::default();
    let id = graph.add("flaky", file("/a"));
    graph.retry(&id, Retry { attempts: 3, interval_seconds: 7 });
    let host = FakeHost::default();
    fails(&host, "/a", 2);
    let clock = Arc::new(FakeClock::default());
    let options = ApplyOptions { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..ApplyOptions::in_order() };
    let report = block_on(apply(&graph, &host, &(), &options)).unwrap();
    assert!(report.is_success());
    assert_eq!(clock.elapsed().as_secs(), 14);

    let host = FakeHost::default();
    fails(&host, "/a", 3);
    assert!(!run(&graph, &host).is_success());
    let tries = host.calls().into_iter().filter(|call| matches!(call, Call::Apply(_))).count();
    assert_eq!(tries, 3);
}

#[test]
fn a_failure_that_stops_the_run_keeps_everything_after_it_from_running() {
    let mut graph = Graph::default();
    graph.add("before", file("/before"));
    let stops = graph.add("stops", file("/stops"));
    graph.stop_at_failure_of(&stops);
    graph.add("after", file("/after"));
    let handler = graph.add("handler", file("/handler"));
    graph.depend(&handler, RequisiteKind::OnFail, &stops);
    let host = FakeHost::default();
    fails(&host, "/stops", 1);
    let report = run(&graph, &host);
    let because = Outcome::NotRun { because: stops };
    let outcome = |id: &str| report.get(id).unwrap().outcome.clone();
    assert_eq!(outcome("before"), Outcome::Changed);
    assert_eq!((outcome("after"), outcome("handler")), (because.clone(), because));
    assert_eq!(host.world().text("/after"), None);
    assert!(run(&graph, &host).get("after").unwrap().is_changed());
}

#[test]
fn rules_of_a_step_survive_being_stored_and_old_graphs_have_none() {
    let mut graph = Graph::default();
    let id = graph.add("a", file("/a"));
    let bare = serde_json::to_string(&graph).unwrap();
    assert!(!bare.contains("guards") && !bare.contains("retry") && !bare.contains("stops_run"), "{bare}");
    assert_eq!(serde_json::from_str::<Graph>(&bare).unwrap(), graph);
    graph.guard(&id, where_missing("/x"));
    graph.retry(&id, Retry { attempts: 2, interval_seconds: 1 });
    graph.stop_at_failure_of(&id);
    let stored = serde_json::to_string(&graph).unwrap();
    assert_eq!(serde_json::from_str::<Graph>(&stored).unwrap(), graph);
}
