use super::*;
use crate::{Change, ChangeKind, Graph, State, state::Swap};

fn step(name: &str, planned: Planned) -> PlanStep {
    let id = Graph::default().add(name, State::Swap(Swap { enabled: false }));
    PlanStep { id, what: format!("File /{name}"), planned }
}

fn write(name: &str, before: &str, after: &str) -> PlanStep {
    let change = Change {
        before: Some(before.to_owned()),
        after: Some(after.to_owned()),
        ..Change::new(ChangeKind::Update, format!("write /{name}"))
    };
    step(name, Planned::Change { change })
}

fn react(name: &str, to: &[&PlanStep]) -> PlanStep {
    step(name, Planned::React { to: to.iter().map(|step| step.id.clone()).collect() })
}

fn set(steps: Vec<PlanStep>) -> ChangeSet {
    ChangeSet::of(&Plan { steps })
}

fn names(ids: &[StateId]) -> Vec<&str> {
    ids.iter().map(StateId::as_str).collect()
}

#[test]
fn only_what_would_be_changed_is_in_it() {
    let hosts = write("hosts", "a\n", "b\n");
    let wait = Planned::Change { change: Change::new(ChangeKind::Wait, "x answers") };
    let failed = Planned::Failed { error: "could not read".into(), causes: vec!["denied".into()] };
    let found = set(vec![
        step("swap", Planned::Nothing),
        step("api", wait),
        react("kubelet", &[&hosts]),
        step("pod", Planned::Unknown { before: hosts.id.clone() }),
        step("key", failed),
        hosts,
    ]);
    assert_eq!(found.states, 6);
    let kinds: Vec<_> = found.changes.iter().map(|change| (change.id.as_str(), change.kind)).collect();
    assert_eq!(
        kinds,
        [("kubelet", PendingKind::React), ("pod", PendingKind::Unknown), ("hosts", PendingKind::Update)]
    );
    assert_eq!(found.unchecked[0].id.as_str(), "key");
    assert!(!found.is_clean());
    assert!(set(vec![step("swap", Planned::Nothing)]).is_clean());
}

#[test]
fn a_digest_is_that_of_the_exact_change() {
    let one = set(vec![write("hosts", "a\n", "b\n")]);
    assert_eq!(one.digest, set(vec![write("hosts", "a\n", "b\n"), step("x", Planned::Nothing)]).digest);
    assert_ne!(one.digest, set(vec![write("hosts", "a\n", "c\n")]).digest);
    assert_ne!(one.digest, set(vec![write("other", "a\n", "b\n")]).digest);
    assert_eq!(one.digest, Agreed::digest_of(&one.agreed()));
}

#[test]
fn what_is_not_shown_is_in_the_digest_by_its_fingerprint() {
    let write = |fingerprint: &str| {
        let change = Change {
            fingerprint: Some(fingerprint.to_owned()),
            ..Change::new(ChangeKind::Update, "write /etc/shadow")
        };
        set(vec![step("shadow", Planned::Change { change })])
    };
    assert_eq!(write("a"), write("a"));
    let difference = write("b").compare(&write("a").agreed());
    assert_eq!(difference.lines(), ["different: `shadow`: write /etc/shadow"]);
    assert!(!serde_json::to_string(&write("print")).unwrap().contains("print"));
}

#[test]
fn new_and_different_changes_are_refused_and_those_that_are_done_are_not() {
    let agreed = set(vec![write("a", "", "1\n"), write("b", "", "1\n"), write("c", "", "1\n")]).agreed();
    let now = set(vec![write("b", "", "1\n"), write("c", "x\n", "1\n"), write("d", "", "1\n")]);
    let difference = now.compare(&agreed);
    assert_eq!(names(&difference.gone), ["a"]);
    assert_eq!(difference.different[0].0.as_str(), "c");
    assert_eq!(difference.new[0].0.as_str(), "d");
    assert!(difference.is_refused());
    let lines = difference.lines();
    assert_eq!(lines[0], "new: `d`: write /d");
    assert_eq!(lines[1], "different: `c`: write /c");
    let fewer = set(vec![write("c", "", "1\n")]).compare(&agreed);
    assert_eq!(names(&fewer.gone), ["a", "b"]);
    assert!(!fewer.is_refused());
}

#[test]
fn what_could_not_be_known_may_turn_out_in_any_way_and_reactions_may_lose_causes() {
    let (a, b) = (write("a", "", "1\n"), write("b", "", "1\n"));
    let before = set(vec![
        a.clone(),
        b.clone(),
        react("unit", &[&a, &b]),
        step("pod", Planned::Unknown { before: a.id.clone() }),
    ])
    .agreed();
    let now = set(vec![b.clone(), react("unit", &[&b]), write("pod", "", "x\n")]);
    assert!(!now.compare(&before).is_refused());
    let stopped = step("unit", Planned::Change { change: Change::new(ChangeKind::Run, "start unit") });
    assert!(set(vec![b, stopped]).compare(&before).is_refused());
}

#[test]
fn a_state_that_cannot_be_looked_at_is_refused() {
    let failed = Planned::Failed { error: "could not read".into(), causes: vec!["denied".into()] };
    let difference = set(vec![step("key", failed)]).compare(&[]);
    assert!(difference.is_refused());
    assert_eq!(difference.lines(), ["cannot be looked at: `key`: could not read: denied"]);
}

#[test]
fn diffs_are_cut_and_states_and_digests_stay() {
    let long: String = (0..5000).map(|line| format!("line \"{line}\"\n")).collect();
    let whole = set((0..20)
        .map(|number| write(&format!("s{number}"), "", if number == 0 { "short\n" } else { &long }))
        .collect());
    for limit in [0, 10_000, 50_000, 192 << 10] {
        let mut cut = whole.clone();
        cut.cut(limit);
        assert_eq!((cut.agreed(), &cut.digest), (whole.agreed(), &whole.digest));
        let length = serde_json::to_vec(&cut).unwrap().len();
        assert!(limit < 10_000 || length <= limit, "{length} > {limit}");
        let lines = |set: &ChangeSet| -> Vec<usize> {
            let count = |diff: &Diff| diff.text.lines().count() + diff.cut_lines;
            set.changes.iter().filter_map(|change| Some(count(change.diff.as_ref()?))).collect()
        };
        assert_eq!(lines(&cut), lines(&whole));
        if limit >= 50_000 {
            assert_eq!(cut.changes[0], whole.changes[0], "a short diff stays whole");
            assert!(length > limit / 2, "much more was cut than had to be: {length} of {limit}");
        }
    }
    let mut same = whole.clone();
    same.cut(usize::MAX);
    assert_eq!(same, whole);
}

#[test]
fn it_survives_being_stored_and_is_printed_with_what_was_cut() {
    let mut set = set(vec![
        write("hosts", "", "a\nb\nc\n"),
        step("key", Planned::Failed { error: "no".into(), causes: vec!["why".into()] }),
    ]);
    let json = serde_json::to_string(&set).unwrap();
    assert_eq!(serde_json::from_str::<ChangeSet>(&json).unwrap(), set);
    assert_eq!(
        set.text(false),
        "~ hosts: write /hosts\n    @@ -0,0 +1,3 @@\n    +a\n    +b\n    +c\nx key: no\n    cause: why\n"
    );
    set.cut(json.len() - 5);
    assert!(set.text(false).contains("    ... "), "{}", set.text(false));
    assert!(set.text(true).contains("\u{1b}[33m~ hosts"));
}
