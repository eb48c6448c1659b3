//! `salt`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use metalk8s_diagnostics::{DiagnoseExt, Exit, Printer};
use metalk8s_kube::Fleet;
use metalk8s_orchestrator::{
    dispatch::{Call, dispatch},
    master::{Answers, minions},
};
use metalk8s_saltcompat::{
    batch::{self, Batch},
    matching,
    output::{self, Answer, Form},
    subset,
};

use super::master::{begin_log, fleet, form};
use crate::args::Salt;

/// The longest that a function may take.
const LONGEST: Duration = Duration::from_secs(6 * 3600);
/// Salt's status where a target means nobody.
const NOBODY: u8 = 2;

/// Has many minions call a function, and prints what they return as they return it.
pub(crate) async fn run(args: Salt, printer: &mut Printer) -> anyhow::Result<Exit> {
    begin_log(args.log_level)?;
    let form = form(&args.output, printer)?;
    let target = args.kind.target(args.target.as_deref().unwrap_or("*"))?;
    let fleet = fleet();
    let agents = fleet.agents().await.diagnose()?;
    let mut chosen = matching(&target, minions(&agents));
    if let Some(count) = args.subset {
        chosen = subset(chosen, count, |most| {
            usize::try_from(jiff::Timestamp::now().subsec_nanosecond()).unwrap_or(0) % most
        });
    }
    if args.preview_target {
        let names: Vec<&String> = chosen.iter().collect();
        printer.data(&output::bare(&serde_json::json!(names), &form)?);
        return Ok(Exit::Done);
    }
    if chosen.is_empty() {
        printer.data(output::NO_MATCH);
        printer.say(output::NO_RETURN);
        return Ok(Exit::Status(NOBODY));
    }
    let mut job = Job::new(&args, fleet, form);
    if args.is_async {
        let dispatched = dispatch(&job.fleet, &chosen, &job.call).await;
        printer.data(output::executed(&dispatched.id).trim_end());
        return Ok(Exit::Done);
    }
    for missing in target.missing(minions(&agents).map(|(name, _)| name)) {
        job.take(missing, Answer::NotConnected, printer)?;
    }
    match args.batch_size {
        None => job.carry_out(chosen, printer).await?,
        Some(size) => {
            let mut batch = Batch::new(size, chosen, args.failhard);
            while !batch.is_over() {
                let begun = batch.begin();
                printer.data(batch::begun(&begun).trim_end());
                job.carry_out(begun.iter().cloned().collect(), printer).await?;
                for minion in &begun {
                    let retcode = job.answers.get(minion).map_or(1, Answer::retcode);
                    batch.ended(minion, retcode);
                }
            }
        }
    }
    job.end(printer)
}

/// A job of many minions while it is carried out.
struct Job<'a> {
    args: &'a Salt,
    fleet: Fleet,
    form: Form,
    call: Call,
    answers: BTreeMap<String, Answer>,
}

impl<'a> Job<'a> {
    fn new(args: &'a Salt, fleet: Fleet, form: Form) -> Self {
        let function = match args.doc {
            true => "sys.doc".to_owned(),
            false => args.function.clone().unwrap_or_default(),
        };
        let mut words = args.arguments.clone();
        if args.doc {
            words.splice(..0, args.function.clone());
        }
        let patience = Duration::from_secs(args.timeout);
        let call = Call {
            begin_within: patience.max(Duration::from_secs(5)),
            ..Call::new(function, words, LONGEST)
        };
        Self { args, fleet, form, call, answers: BTreeMap::new() }
    }

    async fn carry_out(&mut self, chosen: BTreeSet<String>, printer: &mut Printer) -> anyhow::Result<()> {
        let dispatched = dispatch(&self.fleet, &chosen, &self.call).await;
        let mut answers = Answers::new(dispatched, Duration::from_secs(self.args.timeout));
        let heading = output::heading(answers.id(), self.args.verbose, self.args.show_jid);
        if !heading.is_empty() {
            printer.data(heading.trim_end_matches('\n'));
        }
        while let Some((minion, answer)) = answers.next().await {
            self.take(minion, answer, printer)?;
        }
        Ok(())
    }

    fn take(&mut self, minion: String, answer: Answer, printer: &mut Printer) -> anyhow::Result<()> {
        let is_hidden = self.args.hide_timeout && !answer.is_returned();
        if !(self.args.is_static || self.args.doc || is_hidden) {
            print(printer, &output::answer(&minion, &answer, &self.form)?);
        }
        self.answers.insert(minion, answer);
        Ok(())
    }

    fn end(self, printer: &mut Printer) -> anyhow::Result<Exit> {
        if self.args.doc {
            print(printer, &output::docs(&self.answers));
        } else if self.args.is_static {
            print(printer, &output::together(&self.answers, &self.form)?);
        }
        if self.args.summary {
            print(printer, &output::summary(&self.answers, self.args.verbose));
        }
        if output::is_done(self.answers.values()) {
            return Ok(Exit::Done);
        }
        printer.say(output::FAILED);
        Ok(Exit::Failed)
    }
}

/// The printer ends every text by a line break.
pub(super) fn print(printer: &mut Printer, text: &str) {
    if !text.is_empty() {
        printer.data(text.strip_suffix('\n').unwrap_or(text));
    }
}
