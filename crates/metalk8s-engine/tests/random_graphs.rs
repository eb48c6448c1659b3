//! Whatever the graph and whatever fails: every state is reported once, and requisites order what happens.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc};

use metalk8s_engine::{
    ApplyOptions, Graph, Outcome, Report, RequisiteKind, State, apply, check_all,
    fake::{Call, FailOn, Failure, FakeClock, FakeHost},
    state::File,
    test,
};
use proptest::prelude::*;

const KINDS: [RequisiteKind; 5] = [
    RequisiteKind::Require,
    RequisiteKind::Watch,
    RequisiteKind::OnChanges,
    RequisiteKind::Prereq,
    RequisiteKind::OnFail,
];

#[derive(Debug, Clone)]
struct Case {
    graph: Graph,
    failing: Vec<usize>,
    present: Vec<usize>,
    concurrency: NonZeroUsize,
}

fn path(number: usize) -> String {
    format!("/f{number:03}")
}

fn cases(kinds: &'static [RequisiteKind]) -> impl Strategy<Value = Case> {
    (1..25_usize)
        .prop_flat_map(move |count| {
            let edges =
                prop::collection::vec((0..count, 0..count, prop::sample::select(kinds)), 0..count * 2);
            let some = prop::collection::vec(0..count, 0..4);
            (Just(count), edges, some.clone(), some, 1..9_usize)
        })
        .prop_map(|(count, edges, failing, present, concurrency)| {
            let mut graph = Graph::default();
            let ids: Vec<_> = (0..count)
                .map(|number| graph.add(path(number), State::File(File::text(path(number), "x"))))
                .collect();
            for (one, other, kind) in edges {
                // Later depends on earlier; a prereq the other way round. So there is no cycle.
                let (earlier, later) = (one.min(other), one.max(other));
                if earlier < later {
                    match kind {
                        RequisiteKind::Prereq => graph.depend(&ids[earlier], kind, &ids[later]),
                        _ => graph.depend(&ids[later], kind, &ids[earlier]),
                    }
                }
            }
            Case { graph, failing, present, concurrency: NonZeroUsize::new(concurrency).unwrap() }
        })
}

impl Case {
    fn host(&self) -> FakeHost {
        let host = FakeHost::default();
        for number in &self.failing {
            host.fail(Failure {
                label: path(*number),
                on: FailOn::Apply,
                times: 1,
                retryable: false,
                passes_within: None,
            });
        }
        host.change_world(|world| self.present.iter().for_each(|number| world.write(path(*number), "x")));
        host
    }

    fn options(&self) -> ApplyOptions {
        ApplyOptions {
            concurrency: self.concurrency,
            clock: Arc::new(FakeClock::default()),
            ..ApplyOptions::default()
        }
    }

    fn run(&self, host: &FakeHost) -> Report {
        block_on(apply(&self.graph, host, &(), &self.options())).unwrap()
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #[test]
    fn every_state_is_reported_once_and_comes_after_what_it_depends_on(case in cases(&KINDS)) {
        let host = case.host();
        let report = case.run(&host);
        prop_assert_eq!(report.steps.len(), case.graph.len());
        let numbers: BTreeMap<&str, usize> =
            report.steps.iter().map(|step| (step.id.as_str(), step.run_number)).collect();
        prop_assert_eq!(numbers.len(), case.graph.len());
        let mut applied: BTreeMap<String, usize> = BTreeMap::new();
        for (at, call) in host.calls().into_iter().enumerate() {
            if let Call::Apply(label) = call {
                prop_assert!(applied.insert(label, at).is_none(), "a state was applied twice");
            }
        }
        for step in case.graph.steps() {
            for requisite in &step.requisites {
                let (later, earlier) = match requisite.kind {
                    RequisiteKind::Prereq => (requisite.on.as_str(), step.id.as_str()),
                    _ => (step.id.as_str(), requisite.on.as_str()),
                };
                prop_assert!(numbers[earlier] < numbers[later]);
                let at = |id: &str| applied.get(&format!("File {id}"));
                if let (Some(earlier), Some(later)) = (at(earlier), at(later)) {
                    prop_assert!(earlier < later);
                }
                let failed = |id: &str| report.get(id).unwrap().is_failed();
                if requisite.kind != RequisiteKind::OnFail && failed(earlier) {
                    let outcome = &report.get(later).unwrap().outcome;
                    prop_assert!(matches!(outcome, Outcome::NotRun { .. }), "{:?}", outcome);
                }
            }
        }
        let totals = report.totals;
        prop_assert_eq!(totals.succeeded + totals.failed, totals.states);
    }

    #[test]
    fn runs_go_on_until_nothing_is_left_to_change(case in cases(&[RequisiteKind::Require, RequisiteKind::Watch])) {
        let host = case.host();
        // Each failure happens once, so each run that fails leaves fewer of them.
        let runs = (0..=case.failing.len()).take_while(|_| !case.run(&host).is_success()).count();
        prop_assert!(runs <= case.failing.len());
        prop_assert_eq!(case.run(&host).totals.changed, 0);
        prop_assert!(block_on(check_all(&case.graph, &host, &case.options())).unwrap().is_clean());
    }

    #[test]
    fn a_plan_names_what_the_run_changes(case in cases(&[RequisiteKind::Require, RequisiteKind::OnChanges, RequisiteKind::Prereq])) {
        let case = Case { failing: Vec::new(), ..case };
        let host = case.host();
        let plan = block_on(check_all(&case.graph, &host, &case.options())).unwrap();
        let tested = block_on(test(&case.graph, &host, &case.options())).unwrap();
        let report = case.run(&host);
        for step in &report.steps {
            prop_assert_eq!(plan.get(step.id.as_str()).unwrap().planned.is_change(), step.is_changed());
            prop_assert_eq!(tested.get(step.id.as_str()).unwrap().result.is_none(), step.is_changed());
        }
    }
}
