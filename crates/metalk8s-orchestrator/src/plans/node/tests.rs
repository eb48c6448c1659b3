use std::path::PathBuf;

use metalk8s_engine::{
    Outcome, State,
    fake::{Entry, FakeHost, Unit, World},
    state::{Contents, File, Service},
};

use super::*;

const UNIT: &str = "app.service";

/// Two files and a unit that reads them.
fn graph() -> Graph {
    let mut graph = Graph::default();
    let files = ["/etc/app", "/etc/more"].map(|path| {
        let file = File {
            path: path.into(),
            contents: Contents::Text("right\n".into()),
            mode: Some(0o644),
            user: None,
            group: None,
            validate: None,
        };
        graph.add(format!("file {path}"), State::File(file))
    });
    let unit = graph.add("app runs", State::Service(Service::running(UNIT)));
    for file in &files {
        graph.watch(&unit, file);
    }
    graph
}

/// A host that is what the graph says, but for the first so many files.
fn host(wrong: usize) -> FakeHost {
    let mut world = World::default();
    for (number, path) in ["/etc/app", "/etc/more"].into_iter().enumerate() {
        write(&mut world, path, if number < wrong { "wrong\n" } else { "right\n" });
    }
    world.units.insert(UNIT.into(), Unit { running: true, enabled: true, starts: 1, ..Unit::default() });
    FakeHost::new(world)
}

fn write(world: &mut World, path: &str, text: &str) {
    let (user, group) = ("root".to_owned(), "root".to_owned());
    world.files.insert(path.into(), Entry::File { text: text.into(), mode: 0o644, user, group });
}

struct Runs(tempfile::TempDir);

impl Runs {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn lock(&self) -> PathBuf {
        self.0.path().join("lock")
    }

    async fn look(&self, host: &FakeHost) -> NodePlan {
        look(&graph(), host, self.0.path()).await.unwrap()
    }

    async fn carry_out(&self, order: &Order, host: &FakeHost) -> Answer {
        carry_out(order, &graph(), host, self.0.path(), &self.lock()).await.unwrap()
    }
}

fn starts(host: &FakeHost) -> u32 {
    host.world().units[UNIT].starts
}

#[tokio::test]
async fn a_plan_is_applied_and_then_there_is_none() {
    let (runs, host) = (Runs::new(), host(1));
    let plan = runs.look(&host).await;
    assert_eq!(plan.changes.changes.len(), 2, "{:?}", plan.changes);
    let before = host.world();
    let agrees = runs.carry_out(&plan.order(true), &host).await;
    assert_eq!(agrees, Answer::Agrees { to_do: 2, done: Vec::new() });
    assert_eq!(host.world(), before, "only comparing has changed something");
    let applied = runs.carry_out(&plan.order(false), &host).await;
    assert_eq!(applied, Answer::Applied { changed: 2, done_before: 0, failed: Vec::new() });
    assert!(runs.look(&host).await.changes.is_clean());
    assert_eq!(starts(&host), 2);
    let again = runs.carry_out(&plan.order(false), &host).await;
    assert_eq!(again, Answer::Applied { changed: 0, done_before: 2, failed: Vec::new() });
    assert_eq!(starts(&host), 2, "what is done has been done again");
}

#[tokio::test]
async fn nothing_is_changed_where_the_world_has_moved() {
    let (runs, host) = (Runs::new(), host(1));
    let plan = runs.look(&host).await;
    host.change_world(|world| {
        write(world, "/etc/app", "other\n");
        write(world, "/etc/more", "other\n");
    });
    let before = host.world();
    let Answer::Refused { difference } = runs.carry_out(&plan.order(false), &host).await else {
        panic!("it was not refused")
    };
    assert_eq!(difference.new[0].0.as_str(), "file /etc/more");
    assert_eq!(difference.different[0].0.as_str(), "file /etc/app");
    assert_eq!(host.world(), before);
}

#[tokio::test]
async fn a_plan_that_was_interrupted_goes_on_and_nobody_misses_a_change() {
    let (runs, host) = (Runs::new(), host(1));
    let plan = runs.look(&host).await;
    let order = plan.order(false);
    host.freeze_after(1);
    tokio::select! {
        answer = runs.carry_out(&order, &host) => panic!("it came to its end: {answer:?}"),
        () = host.frozen() => {}
    }
    host.thaw();
    let before = starts(&host);
    let left = runs.look(&host).await;
    assert_eq!(left.changes.changes.len(), 1, "the unit has not read the file: {:?}", left.changes);
    let applied = runs.carry_out(&order, &host).await;
    assert_eq!(applied, Answer::Applied { changed: 1, done_before: 1, failed: Vec::new() });
    assert_eq!(starts(&host), before + 1);
    assert!(runs.look(&host).await.changes.is_clean());
}

#[tokio::test]
async fn what_becomes_different_in_the_middle_is_left_alone() {
    let (runs, host) = (Runs::new(), host(1));
    let order = runs.look(&host).await.order(false);
    host.change_world(|world| write(world, "/etc/more", "meanwhile\n"));
    let mut journal = RunJournal::open(runs.0.path(), RUN, &[RUN]).unwrap();
    let report = apply_exactly(&order, &graph(), &host, &mut journal).await.unwrap();
    let failed = failures(&report).join("\n");
    assert!(failed.contains("the plan does not say `write /etc/more`"), "{failed}");
    assert_eq!(report.get("file /etc/app").unwrap().outcome, Outcome::Changed);
    let Entry::File { text, .. } = &host.world().files[Path::new("/etc/more")] else { panic!() };
    assert_eq!(text, "meanwhile\n");
}

#[tokio::test]
async fn the_plan_of_another_version_or_with_another_digest_is_refused() {
    let (runs, host) = (Runs::new(), host(1));
    let order = runs.look(&host).await.order(false);
    let ask = async |order: &Order| {
        let words = vec![serde_json::to_string(order).unwrap()];
        let request = Request::of(CARRY_OUT, &words).unwrap()?;
        request.answer(&graph(), &host, runs.0.path(), &runs.lock()).await
    };
    let other = Order { version: "0.0.1".into(), ..order.clone() };
    assert!(matches!(ask(&other).await, Err(NodeError::Version { .. })));
    let fewer = Order { changes: order.changes[1..].to_vec(), ..order.clone() };
    assert!(matches!(ask(&fewer).await, Err(NodeError::Order(None))));
    assert!(matches!(Request::of(CARRY_OUT, &["{".into()]), Some(Err(NodeError::Order(Some(_))))));
    assert_eq!(ask(&order).await.unwrap().retcode(), 0);
    assert!(Request::of("test.ping", &[]).is_none());
}

#[tokio::test]
async fn a_reply_tells_how_it_went_and_has_room_in_a_result() {
    let (runs, host) = (Runs::new(), host(2));
    let plan = runs.look(&host).await;
    assert_eq!(Reply::Plan(plan.clone()).retcode(), 0);
    let difference = plan.changes.compare(&[]);
    assert_eq!(Reply::Answer(Answer::Refused { difference }).retcode(), 1);
    let applied = |failed| Reply::Answer(Answer::Applied { changed: 1, done_before: 0, failed });
    assert_eq!(applied(vec!["no".into()]).retcode(), 1);
    assert_eq!(applied(Vec::new()).retcode(), 0);
    let mut large = plan;
    for change in &mut large.changes.changes {
        change.diff = Some(metalk8s_engine::Diff { text: "+line\n".repeat(100_000), cut_lines: 0 });
    }
    assert!(Reply::Plan(large).value().to_string().len() < 192 << 10);
}
