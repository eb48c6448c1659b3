//! A Bootstrap node whose machine is given other addresses (NET-19).

use anyhow::{Result, ensure};

use super::again;
use crate::suite::{
    Stage,
    cluster::{bootstrap_sh, said, wait_settled},
    expand::moved::{Move, back_of, give, is_known, there_of},
};

/// The only machine of a cluster moves and moves back: nobody else has what it knows.
pub(super) fn goes_on(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let there = settles(stage, &there_of(machine));
    let back = settles(stage, &back_of(machine));
    there?;
    back
}

fn settles(stage: &Stage, moves: &[Move; 2]) -> Result<()> {
    bootstrap_goes(stage, moves)?;
    wait_settled(stage.lab.bootstrap()?)?;
    again::changes_nothing(stage)
}

/// Its own bootstrap has it go on at other addresses.
pub(in crate::suite) fn bootstrap_goes(stage: &Stage, moves: &[Move; 2]) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    give(machine, moves)?;
    let output = bootstrap_sh(machine, "")?;
    ensure!(output.success(), "{}", said(&output));
    is_known(machine, "bootstrap", moves)
}
