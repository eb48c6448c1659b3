//! Plans for people.

use metalk8s_diagnostics::{Cell, Paint, Table};

use super::{Answer, Asked, Checked, NodePlan};

/// What would change, node by node with diffs; then a line for each node.
pub fn plan_text(asked: &Asked, paint: Paint, colours: bool) -> String {
    let mut text = String::new();
    for (node, plan) in &asked.plans {
        let changes = plan.changes.text(colours);
        if !changes.is_empty() {
            text.push_str(&format!("{}\n{changes}\n", paint.bold(&format!("== {node}"))));
        }
    }
    text + &drift_text(asked, paint)
}

/// A line for each node.
pub fn drift_text(asked: &Asked, paint: Paint) -> String {
    let mut table = Table::new(["NODE", "STATES", "TO CHANGE", "RESULT"]);
    let mut rows: Vec<(&String, [Cell; 4])> = Vec::new();
    for (node, plan) in &asked.plans {
        let NodePlan { changes, .. } = plan;
        let count = |number: usize| Cell::plain(&number.to_string());
        rows.push((
            node,
            [Cell::plain(node), count(changes.states), count(changes.changes.len()), result(plan)],
        ));
    }
    for (node, why) in &asked.silent {
        let row = [
            Cell::plain(node),
            Cell::plain(""),
            Cell::plain(""),
            Cell::painted(&format!("silent: {why}"), Paint::red),
        ];
        rows.push((node, row));
    }
    rows.sort_by_key(|(node, _)| *node);
    for (_, row) in rows {
        table.row(row);
    }
    table.text(paint)
}

fn result(plan: &NodePlan) -> Cell {
    match (plan.changes.changes.len(), plan.changes.unchecked.len()) {
        (0, 0) => Cell::painted("as wished", Paint::green),
        (_, 0) => Cell::painted("differs", Paint::yellow),
        (_, failed) => Cell::painted(&format!("{} could not be looked at", states(failed)), Paint::red),
    }
}

fn states(count: usize) -> String {
    if count == 1 { "1 state".to_owned() } else { format!("{count} states") }
}

/// What a node will do, once all of them agree: a line for each on which something is to be done, or was.
pub fn checked_lines(checked: &Checked) -> Vec<String> {
    let done = |node: &str| checked.done.get(node).map_or(0, Vec::len);
    let nothing = checked.done.keys().filter(|node| !checked.to_do.iter().any(|(other, _)| other == *node));
    let nothing = nothing.map(|node| (node, 0));
    let all = checked.to_do.iter().map(|(node, count)| (node, *count)).chain(nothing);
    let line = |(node, count): (&String, usize)| match (count, done(node)) {
        (count, 0) => format!("{node}: {} to change", states(count)),
        (0, _) => format!("{node}: all of the plan is done already"),
        (count, done) => format!("{node}: {} to change, {done} of the plan done already", states(count)),
    };
    all.map(line).collect()
}

/// What a node answered when the plan was applied.
pub fn applied_text(node: &str, answer: &Answer) -> String {
    match answer {
        Answer::Applied { changed, done_before, failed } => {
            let before =
                if *done_before > 0 { format!(", {done_before} done before") } else { String::new() };
            let failed = match failed.iter().filter(|line| line.starts_with("state ")).count() {
                0 => String::new(),
                count => format!(", {count} failed"),
            };
            format!("{node}: {} changed{before}{failed}", states(*changed))
        }
        Answer::Agrees { to_do, done } => {
            format!("{node}: {} to change, {} done before", states(*to_do), done.len())
        }
        Answer::Refused { .. } => format!("{node}: refused"),
    }
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::{ChangeSet, Plan, Planned};

    use super::*;
    use crate::plans::tests::{changes, step};

    fn asked() -> Asked {
        let failed = Planned::Failed { error: "could not read `/x`".into(), causes: vec!["denied".into()] };
        let broken = ChangeSet::of(&Plan { steps: vec![step("x", failed)] });
        let plans = [("alpha", changes(&["hosts", "sysctl"])), ("beta", changes(&[])), ("delta", broken)];
        Asked {
            plans: plans.map(|(node, set)| (node.to_owned(), NodePlan::now(set))).into(),
            silent: [("charlie".to_owned(), "its agent did not answer within 10 s".to_owned())].into(),
        }
    }

    #[test]
    fn a_plan_shows_changes_with_diffs_and_a_line_for_each_node() {
        insta::assert_snapshot!(plan_text(&asked(), Paint::default(), false));
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        let coloured = plan_text(&asked(), Paint::new(true), true);
        assert!(coloured.contains("\u{1b}[32m    +new"), "{coloured}");
        assert!(!plan_text(&asked(), Paint::default(), false).contains('\u{1b}'));
    }

    #[test]
    fn what_is_left_of_a_plan_is_told_before_it_is_done() {
        let done = |names: &[&str]| changes(names).changes.into_iter().map(|change| change.id).collect();
        let checked = Checked {
            to_do: vec![("a".into(), 1), ("b".into(), 3)],
            done: [("b".into(), done(&["x", "y"])), ("c".into(), done(&["x"]))].into(),
        };
        assert_eq!(
            checked_lines(&checked),
            [
                "a: 1 state to change",
                "b: 3 states to change, 2 of the plan done already",
                "c: all of the plan is done already"
            ]
        );
    }

    #[test]
    fn an_application_is_told_in_a_line() {
        let answer = |failed: &[&str]| Answer::Applied {
            changed: 2,
            done_before: 1,
            failed: failed.iter().map(|line| (*line).to_owned()).collect(),
        };
        assert_eq!(applied_text("a", &answer(&[])), "a: 2 states changed, 1 done before");
        assert_eq!(
            applied_text("a", &answer(&["state `x` (File /x): no", "  cause: y"])),
            "a: 2 states changed, 1 done before, 1 failed"
        );
    }
}
