//! Plans for people.

use metalk8s_diagnostics::{Cell, Paint, Table};

use super::{Answer, Asked, NodePlan};

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
        (_, failed) => Cell::painted(&format!("{failed} states could not be looked at"), Paint::red),
    }
}

/// What a node answered when the plan was applied.
pub fn applied_text(node: &str, answer: &Answer) -> String {
    match answer {
        Answer::Applied { changed, done_before, failed } => {
            let before =
                if *done_before > 0 { format!(", {done_before} were done before") } else { String::new() };
            let failed = match failed.iter().filter(|line| line.starts_with("state ")).count() {
                0 => String::new(),
                count => format!(", {count} failed"),
            };
            format!("{node}: {changed} states changed{before}{failed}")
        }
        Answer::Agrees { to_do, done } => {
            format!("{node}: {to_do} states to change, {} are done already", done.len())
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
        insta::assert_snapshot!(plan_text(&asked(), Paint::default(), false), @"");
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        let coloured = plan_text(&asked(), Paint::new(true), true);
        assert!(coloured.contains("\u{1b}[32m    +new"), "{coloured}");
        assert!(!plan_text(&asked(), Paint::default(), false).contains('\u{1b}'));
    }

    #[test]
    fn an_application_is_told_in_a_line() {
        let answer = |failed: &[&str]| Answer::Applied {
            changed: 2,
            done_before: 1,
            failed: failed.iter().map(|line| (*line).to_owned()).collect(),
        };
        assert_eq!(applied_text("a", &answer(&[])), "a: 2 states changed, 1 were done before");
        assert_eq!(
            applied_text("a", &answer(&["state `x` (File /x): no", "  cause: y"])),
            "a: 2 states changed, 1 were done before, 1 failed"
        );
    }
}
