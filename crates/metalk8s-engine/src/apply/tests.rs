use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::{
    ApplyOptions, Chain, Change, Graph, Hands, Observer, Outcome, Planned, Report, RequisiteKind, State,
    StateError, StateId, Step, apply, check_all,
    fake::{Call, FailOn, Failure, FakeClock, FakeHost, Unit, World},
    state::{Command, Condition, Contents, File, Packages, Service, Wait},
    test,
};

fn options() -> ApplyOptions {
    ApplyOptions { clock: Arc::new(FakeClock::default()), ..ApplyOptions::default() }
}

fn run(graph: &Graph, host: &FakeHost) -> Report {
    run_with(graph, host, &options())
}

fn run_with(graph: &Graph, host: &FakeHost, options: &ApplyOptions) -> Report {
    block_on(apply(graph, host, &(), options)).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn file(path: &str) -> State {
    State::File(File::text(path, "new\n"))
}

fn command(words: &str) -> Command {
    Command { timeout_seconds: 10, ..Command::new(words.split(' ').map(str::to_owned).collect()) }
}

fn service(name: &str) -> State {
    State::Service(Service::running(name))
}

fn running(names: &[&str]) -> World {
    let unit = Unit { running: true, enabled: true, ..Unit::default() };
    World { units: names.iter().map(|name| ((*name).to_owned(), unit.clone())).collect(), ..World::default() }
}

fn failure(label: &str, on: FailOn, times: u32, retryable: bool) -> Failure {
    Failure { label: label.to_owned(), on, times, retryable, passes_within: None }
}

fn outcomes(report: &Report) -> Vec<(&str, &Outcome)> {
    let mut outcomes: Vec<_> = report.steps.iter().map(|step| (step.id.as_str(), &step.outcome)).collect();
    outcomes.sort_by_key(|(id, _)| *id);
    outcomes
}

fn because(graph: &Graph, id: &str) -> Outcome {
    Outcome::NotRun { because: graph.get(id).unwrap().id.clone() }
}

#[test]
fn what_was_applied_is_found_true_the_second_time() {
    let mut graph = Graph::default();
    let config = graph.add("config", file("/etc/x"));
    let unit = graph.add("unit", service("x.service"));
    graph.watch(&unit, &config);
    let host = FakeHost::new(running(&["x.service"]));
    let first = run(&graph, &host);
    assert_eq!(first.totals.changed, 2);
    assert_eq!(host.world().units["x.service"].starts, 1, "the unit restarted once");
    let second = run(&graph, &host);
    assert_eq!((second.totals.changed, second.totals.succeeded), (0, 2));
    assert_eq!(host.world().units["x.service"].starts, 1);
}

#[test]
fn a_running_service_that_is_only_enabled_still_reacts_and_a_started_one_does_not() {
    let mut graph = Graph::default();
    let config = graph.add("config", file("/etc/x"));
    for name in ["off.service", "on.service"] {
        let unit = graph.add(name, service(name));
        graph.watch(&unit, &config);
    }
    let mut world = running(&["off.service", "on.service"]);
    for (name, unit) in &mut world.units {
        unit.running = name == "on.service";
        unit.enabled = false;
    }
    let host = FakeHost::new(world);
    let report = run(&graph, &host);
    let starts = host.world().units.into_values().map(|unit| unit.starts).collect::<Vec<_>>();
    assert_eq!(starts, [1, 1]);
    assert_eq!(report.get("off.service").unwrap().comment, "start off.service");
    assert_eq!(report.get("on.service").unwrap().comment, "set up on.service, restart on.service");
}

#[test]
fn what_requires_a_failed_state_is_not_run_and_names_the_first_that_failed() {
    let mut graph = Graph::default();
    let a = graph.add("a", file("/a"));
    let b = graph.add("b", file("/b"));
    let c = graph.add("c", file("/c"));
    graph.add("d", file("/d"));
    graph.require(&b, &a);
    graph.require(&c, &b);
    let host = FakeHost::default();
    host.fail(failure("/a", FailOn::Apply, 1, false));
    let report = run(&graph, &host);
    let not_run = because(&graph, "a");
    assert_eq!(
        outcomes(&report),
        [("a", &Outcome::Failed), ("b", &not_run), ("c", &not_run), ("d", &Outcome::Changed)]
    );
    assert_eq!(report.get("c").unwrap().comment, "not run, because `a` failed");
    assert_eq!(report.get("a").unwrap().causes, ["a failure was injected"]);
    assert_eq!((report.totals.failed, report.totals.not_run, report.is_success()), (3, 2, false));
}

#[test]
fn onchanges_runs_only_when_something_changed() {
    let mut graph = Graph::default();
    let config = graph.add("config", file("/etc/x"));
    let reload = graph.add("reload", State::Command(command("reload x")));
    graph.depend(&reload, RequisiteKind::OnChanges, &config);
    let host = FakeHost::default();
    assert_eq!(run(&graph, &host).get("reload").unwrap().outcome, Outcome::Changed);
    assert_eq!(run(&graph, &host).get("reload").unwrap().outcome, Outcome::NotNeeded);
    assert_eq!(host.world().ran.len(), 1);
}

#[test]
fn onfail_runs_only_when_something_failed() {
    let mut graph = Graph::default();
    let config = graph.add("config", file("/etc/x"));
    let rescue = graph.add("rescue", State::Command(command("rescue")));
    graph.depend(&rescue, RequisiteKind::OnFail, &config);
    let host = FakeHost::default();
    assert_eq!(run(&graph, &host).get("rescue").unwrap().outcome, Outcome::NotNeeded);
    host.fail(failure("/etc/x", FailOn::Check, 1, false));
    assert_eq!(run(&graph, &host).get("rescue").unwrap().outcome, Outcome::Changed);
}

#[test]
fn prereq_comes_before_a_change_and_only_then() {
    let mut graph = Graph::default();
    let config = graph.add("config", file("/etc/x"));
    let stop = graph.add("stop", State::Command(command("stop x")));
    graph.depend(&stop, RequisiteKind::Prereq, &config);
    let host = FakeHost::default();
    let first = run(&graph, &host);
    assert_eq!(first.steps[0].id.as_str(), "stop");
    assert_eq!(first.totals.changed, 2);
    let second = run(&graph, &host);
    assert_eq!(second.get("stop").unwrap().outcome, Outcome::NotNeeded);
    host.change_world(|world| world.write("/etc/x", "old"));
    host.fail(failure("stop x", FailOn::Apply, 1, false));
    assert_eq!(outcomes(&run(&graph, &host))[0], ("config", &because(&graph, "stop")));
}

#[test]
fn a_passing_failure_is_tried_again_and_a_lasting_one_is_not() {
    let mut graph = Graph::default();
    graph.add("a", file("/a"));
    graph.add("b", file("/b"));
    let host = FakeHost::default();
    host.fail(failure("/a", FailOn::Apply, 2, true));
    host.fail(failure("/b", FailOn::Apply, 1, false));
    let report = run(&graph, &host);
    assert_eq!(outcomes(&report), [("a", &Outcome::Changed), ("b", &Outcome::Failed)]);
}

#[test]
fn a_failure_that_something_else_mends_is_tried_until_its_time_is_over() {
    let mut graph = Graph::default();
    graph.add("a", file("/a"));
    let applied = |times| {
        let host = FakeHost::default();
        let passes_within = Some(Duration::from_secs(60));
        host.fail(Failure { passes_within, ..failure("/a", FailOn::Apply, times, true) });
        let report = run(&graph, &host);
        (report.is_success(), host.calls().iter().filter(|call| matches!(call, Call::Apply(_))).count())
    };
    assert_eq!(applied(10), (true, 11));
    // Pauses of 0.2, 0.4, 0.8, 1.6, 3.2 s, then of 5 s until 60 s are over.
    assert_eq!(applied(1000), (false, 17));
}

#[test]
fn a_change_whose_first_attempt_failed_half_way_is_reported() {
    let mut graph = Graph::default();
    let config = graph.add("config", file("/etc/x"));
    let unit = graph.add("unit", service("x.service"));
    graph.watch(&unit, &config);
    let host = FakeHost::new(running(&["x.service"]));
    host.fail(failure("/etc/x", FailOn::AfterApply, 1, true));
    assert_eq!(run(&graph, &host).totals.changed, 2, "the unit reacts to a change that needed two attempts");
}

#[test]
fn a_wait_looks_until_the_condition_holds() {
    let mut graph = Graph::default();
    let until = Condition::NodeReady("n1".to_owned());
    graph.add("ready", State::Wait(Wait { until: until.clone(), deadline_seconds: 60 }));
    let host = FakeHost::default();
    host.change_world(|world| world.conditions.insert(until.to_string(), 10));
    host.fail(failure("Node n1", FailOn::Check, 2, true));
    let report = run(&graph, &host);
    assert_eq!(report.steps[0].comment, "holds after 8 s");
    assert_eq!((report.totals.changed, host.calls().len()), (0, 13));
}

#[test]
fn a_wait_ends_at_its_deadline_and_says_what_it_saw_last() {
    #[derive(Default)]
    struct Waits(Mutex<Vec<(String, Duration)>>);
    impl Observer for Waits {
        fn waiting(&self, _step: &Step, still: &str, since: Duration) {
            self.0.lock().unwrap().push((still.to_owned(), since));
        }
    }
    let mut graph = Graph::default();
    let until = Condition::Socket("/run/x.sock".into());
    graph.add("socket", State::Wait(Wait { until: until.clone(), deadline_seconds: 5 }));
    let host = FakeHost::default();
    host.change_world(|world| world.conditions.insert(until.to_string(), 1000));
    let waits = Waits::default();
    let report = block_on(apply(&graph, &host, &waits, &options())).unwrap();
    let step = &report.steps[0];
    assert_eq!(step.comment, "waited 5 s until /run/x.sock accepts connections, in vain");
    assert!(step.causes[0].ends_with("looks until /run/x.sock accepts connections"), "{:?}", step.causes);
    let waits = waits.0.into_inner().unwrap();
    let first: Vec<u128> = waits.iter().take(4).map(|(_, since)| since.as_millis()).collect();
    assert_eq!(first, [0, 50, 150, 350]);
}

#[test]
fn states_that_wait_do_not_keep_others_from_running() {
    let mut graph = Graph::default();
    let host = FakeHost::default();
    for number in 0..20 {
        let until = Condition::NodeReady(format!("n{number}"));
        host.change_world(|world| world.conditions.insert(until.to_string(), 1000));
        graph.add(format!("wait {number}"), State::Wait(Wait { until, deadline_seconds: 5 }));
    }
    graph.add("file", file("/a"));
    let report = run(&graph, &host);
    assert_eq!((report.totals.failed, report.totals.changed), (20, 1));
    let calls = host.calls();
    let applied = calls.iter().position(|call| matches!(call, Call::Apply(_))).unwrap();
    assert!(applied < 50, "the file was written after {applied} of {} calls", calls.len());
}

#[test]
fn a_change_that_cannot_be_journalled_is_not_made() {
    struct Full;
    impl Observer for Full {
        fn changing(&self, _step: &Step, _change: &Change) -> Result<(), StateError> {
            Err(StateError::new("could not write the journal"))
        }
    }
    let mut graph = Graph::default();
    graph.add("a", file("/a"));
    let host = FakeHost::default();
    let report = block_on(apply(&graph, &host, &Full, &options())).unwrap();
    assert_eq!(report.steps[0].comment, "could not write the journal");
    assert_eq!(host.world(), World::default());
}

#[test]
fn after_a_kill_those_who_watch_react_to_what_the_killed_run_changed() {
    let mut graph = Graph::default();
    let config = graph.add("config", file("/etc/x"));
    let unit = graph.add("unit", service("x.service"));
    graph.watch(&unit, &config);
    let host = FakeHost::new(running(&["x.service"]));
    host.freeze_after(0);
    let killed = options();
    block_on(async {
        tokio::select! {
            _ = apply(&graph, &host, &(), &killed) => panic!("the run should have been frozen"),
            () = host.frozen() => {}
        }
    });
    host.thaw();
    let again = ApplyOptions { changed_before: [config].into(), ..options() };
    let plan = block_on(check_all(&graph, &host, &again)).unwrap();
    assert_eq!(plan.text(false), "! unit: Service x.service reacts to config\n\n2 states: 1 to change\n");
    let report = run_with(&graph, &host, &again);
    assert_eq!(report.get("config").unwrap().outcome, Outcome::Unchanged);
    assert_eq!(host.world().units["x.service"].starts, 1);
}

#[test]
fn states_run_in_the_order_they_were_added_when_one_at_a_time() {
    let mut graph = Graph::default();
    let names: Vec<String> = (0..20).map(|number| format!("/f{number}")).collect();
    for name in names.iter().rev() {
        graph.add(name.clone(), file(name));
    }
    let host = FakeHost::default();
    run_with(&graph, &host, &ApplyOptions { clock: options().clock, ..ApplyOptions::in_order() });
    let applied: Vec<Call> = host.calls().into_iter().filter(|call| matches!(call, Call::Apply(_))).collect();
    let expected: Vec<Call> = names.iter().rev().map(|name| Call::Apply(format!("File {name}"))).collect();
    assert_eq!(applied, expected);
}

#[test]
fn independent_states_are_worked_on_at_the_same_time() {
    let mut graph = Graph::default();
    for name in ["/a", "/b", "/c"] {
        graph.add(name, file(name));
    }
    let host = FakeHost::default();
    run(&graph, &host);
    let first: Vec<Call> = host.calls().into_iter().take(3).collect();
    assert!(first.iter().all(|call| matches!(call, Call::Check(_))), "{first:?}");
}

#[test]
fn each_state_goes_to_the_first_hands_that_take_it() {
    struct OnlyFiles(FakeHost);
    #[async_trait::async_trait]
    impl Hands for OnlyFiles {
        fn takes(&self, state: &State) -> bool {
            matches!(state, State::File(_))
        }
        async fn check(&self, state: &State) -> Result<Option<Change>, StateError> {
            self.0.check(state).await
        }
        async fn apply(&self, state: &State, change: &Change) -> Result<Change, StateError> {
            self.0.apply(state, change).await
        }
        async fn react(&self, state: &State) -> Result<Option<Change>, StateError> {
            self.0.react(state).await
        }
    }
    let mut graph = Graph::default();
    graph.add("a", file("/a"));
    graph.add("b", State::Command(command("b")));
    let (files, rest) = (OnlyFiles(FakeHost::default()), FakeHost::default());
    let hands = Chain::new(vec![&files, &rest]);
    assert!(block_on(apply(&graph, &hands, &(), &options())).unwrap().is_success());
    assert_eq!((files.0.world().files.len(), rest.world().files.len(), rest.world().ran.len()), (1, 0, 1));
    let alone = Chain::new(vec![&files]);
    let report = block_on(apply(&graph, &alone, &(), &options())).unwrap();
    assert_eq!(report.get("b").unwrap().comment, "`Command b` cannot be carried out here");
}

fn package_then_service() -> (Graph, FakeHost) {
    let mut graph = Graph::default();
    let packages = BTreeMap::from([("x".to_owned(), None)]);
    let package =
        graph.add("package", State::Packages(Packages { packages, hold: false, only_from: Vec::new() }));
    let config = graph.add("config", file("/etc/x"));
    let unit = graph.add("unit", service("x.service"));
    graph.require(&config, &package);
    graph.watch(&unit, &config);
    let host = FakeHost::default();
    host.change_world(|world| {
        world.offered.insert("x".to_owned(), "1".to_owned());
        world.units_of_packages.insert("x".to_owned(), vec!["x.service".to_owned()]);
        world.write("/etc/x", "new\n");
    });
    (graph, host)
}

#[test]
fn a_plan_says_what_cannot_be_known_yet_and_changes_nothing() {
    let (graph, host) = package_then_service();
    let before = host.world();
    let plan = block_on(check_all(&graph, &host, &options())).unwrap();
    let package: &StateId = &graph.get("package").unwrap().id;
    assert!(plan.get("package").unwrap().planned.is_change());
    assert_eq!(plan.get("config").unwrap().planned, Planned::Nothing);
    assert_eq!(plan.get("unit").unwrap().planned, Planned::Unknown { before: package.clone() });
    assert_eq!(host.world(), before);
    run(&graph, &host);
    assert!(block_on(check_all(&graph, &host, &options())).unwrap().is_clean());
}

#[test]
fn test_mode_gives_none_for_what_would_change() {
    let (graph, host) = package_then_service();
    let before = host.world();
    let report = block_on(test(&graph, &host, &options())).unwrap();
    let results: Vec<Option<bool>> = report.steps.iter().map(|step| step.result).collect();
    assert_eq!(results, [None, Some(true), None]);
    assert_eq!(report.steps[0].comment, "would set Package x");
    assert_eq!(host.world(), before);
}

#[test]
fn a_plan_blocks_what_depends_on_a_failed_check() {
    let mut graph = Graph::default();
    let a = graph.add("a", service("missing.service"));
    let b = graph.add("b", file("/b"));
    graph.require(&b, &a);
    let plan = block_on(check_all(&graph, &FakeHost::default(), &options())).unwrap();
    assert_eq!(plan.get("b").unwrap().planned, Planned::Blocked { by: a });
    assert_eq!(
        plan.text(false),
        "x a: unit `missing.service` does not exist\nx b: File /b waits for a\n\n2 states: 0 to change, 2 cannot be checked\n"
    );
}

#[test]
fn a_plan_and_the_run_that_follows_agree_on_reactions() {
    let mut graph = Graph::default();
    let config = graph.add("config", file("/etc/x"));
    let unit = graph.add("unit", service("x.service"));
    let notify = graph.add("notify", State::Command(Command { only_on_change: true, ..command("notify") }));
    graph.watch(&unit, &config);
    graph.depend(&notify, RequisiteKind::OnChanges, &config);
    let host = FakeHost::new(running(&["x.service"]));
    let plan = block_on(check_all(&graph, &host, &options())).unwrap();
    let pending: Vec<&str> = plan.pending().map(|step| step.id.as_str()).collect();
    assert_eq!(pending, ["config", "unit", "notify"]);
    assert_eq!(run(&graph, &host).totals.changed, 3);
}

#[test]
fn secrets_do_not_reach_a_plan() {
    let mut graph = Graph::default();
    let secrets = vec![("@KEY@".to_owned(), "/key".into())];
    let contents = Contents::WithSecrets { text: "key: @KEY@".to_owned(), secrets };
    graph.add("config", State::File(File { contents, ..File::text("/etc/x", "") }));
    let host = FakeHost::default();
    host.change_world(|world| world.write("/key", "hunter2"));
    let plan = block_on(check_all(&graph, &host, &options())).unwrap();
    assert!(plan.get("config").unwrap().planned.is_change());
    assert!(!serde_json::to_string(&plan).unwrap().contains("hunter2"));
    run(&graph, &host);
    assert_eq!(host.world().text("/etc/x"), Some("key: hunter2"));
}
