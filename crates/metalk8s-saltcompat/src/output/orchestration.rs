//! Steps of an orchestration, printed as states are: each as it ends, then the summary.

use jiff::{Timestamp, tz::TimeZone};
use metalk8s_diagnostics::Paint;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Answer, Form, Out, OutputError, answer, document, highstate, states};
use crate::is_success;

/// Who carries out orchestrations.
pub const MASTER: &str = "bootstrap_master";

/// A step that ended.
#[derive(Debug, Clone, PartialEq)]
pub struct StepEnded {
    /// Its id, such as `Cordon the node`; no other step has it.
    pub id: String,
    /// What it is about.
    pub name: String,
    /// How it is done: `salt.state`, `salt.function`, `salt.runner` or `test.nop`.
    pub function: String,
    /// Whether it went well; none where it was only looked at.
    pub result: Option<bool>,
    /// What happened, in words.
    pub comment: String,
    /// What changed. States of minions stand as `{"out": "highstate", "ret": {minion: states}}`.
    pub changes: Value,
    /// When it began.
    pub started: Timestamp,
    /// How long it took.
    pub duration_ms: f64,
}

/// The steps of an orchestration so far.
#[derive(Debug, Clone)]
pub struct Orchestrated {
    form: Form,
    zone: TimeZone,
    steps: Map<String, Value>,
}

impl Orchestrated {
    /// None yet. Times of day will be in `zone`.
    pub fn new(form: Form, zone: TimeZone) -> Self {
        Self { form, zone, steps: Map::new() }
    }

    /// What is printed before the first step. How it will end is not known yet, so its colour does not tell.
    pub fn head(&self) -> String {
        if self.is_for_people() {
            highstate::head(MASTER, Paint::cyan, self.form.paint)
        } else {
            String::new()
        }
    }

    /// Notes that a step ended, and gives what is printed of it.
    pub fn ended(&mut self, step: &StepEnded) -> String {
        let (key, entry) = (step.key(), step.entry(self.steps.len(), &self.zone));
        let printed = if self.is_for_people() {
            highstate::entry(&key, &entry, self.form.detail, self.form.paint)
        } else {
            String::new()
        };
        self.steps.insert(key, entry);
        printed
    }

    /// What is printed after the last step: the summary, or all steps where the form is data.
    ///
    /// # Errors
    /// When they cannot be written as YAML.
    pub fn end(&self) -> Result<String, OutputError> {
        let Form { out, detail, indent, paint } = self.form;
        match out {
            Out::Nested | Out::Highstate => Ok(highstate::summary(MASTER, self.steps.values(), paint)),
            Out::Json | Out::Yaml | Out::Raw => document(&self.value(), out, indent),
            Out::Txt | Out::NewlineValuesOnly | Out::Quiet => states(MASTER, &self.steps, out, detail, paint),
        }
    }

    /// All steps under the name of the master, in the envelope that programs read.
    pub fn value(&self) -> Value {
        envelope(&self.steps, self.is_success())
    }

    /// All steps, as a state function returns its states.
    pub fn steps(&self) -> &Map<String, Value> {
        &self.steps
    }

    /// Whether no step failed; the status is 1 where one did.
    pub fn is_success(&self) -> bool {
        is_success(&self.steps)
    }

    fn is_for_people(&self) -> bool {
        matches!(self.form.out, Out::Nested | Out::Highstate)
    }
}

impl StepEnded {
    fn key(&self) -> String {
        let (module, function) = self.function.split_once('.').unwrap_or((&self.function, ""));
        format!("{module}_|-{}_|-{}_|-{function}", self.id, self.name)
    }

    fn entry(&self, number: usize, zone: &TimeZone) -> Value {
        let Self { id, name, function: _, result, comment, changes, started, duration_ms } = self;
        json!({
            "name": name,
            "changes": changes,
            "result": result,
            "comment": comment,
            "__run_num__": number,
            "start_time": started.to_zoned(zone.clone()).strftime("%H:%M:%S.%6f").to_string(),
            "duration": (duration_ms * 1000.0).round() / 1000.0,
            "__id__": id,
        })
    }
}

/// What states of the master's own machine returned, in the envelope that programs read.
pub fn envelope_of(returned: &Answer) -> Value {
    envelope(&returned.value(), returned.retcode() == 0)
}

/// The same as `salt-run` prints it, ended by a line break.
///
/// # Errors
/// When it cannot be written as YAML.
pub fn of_master(returned: &Answer, form: &Form) -> Result<String, OutputError> {
    match form.out {
        Out::Json | Out::Yaml | Out::Raw => document(&envelope_of(returned), form.out, form.indent),
        Out::Nested | Out::Highstate | Out::Txt | Out::NewlineValuesOnly | Out::Quiet => {
            answer(MASTER, returned, form)
        }
    }
}

fn envelope(steps: &impl Serialize, is_success: bool) -> Value {
    json!({ "data": { MASTER: steps }, "outputter": "highstate", "retcode": u8::from(!is_success) })
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use metalk8s_diagnostics::Paint;
    use serde_json::{Value, json};

    use super::{Orchestrated, StepEnded, envelope_of, of_master};
    use crate::{
        Returned,
        output::{Answer, Form, StateOutput, states},
    };

    fn step(id: &str, function: &str, result: Option<bool>, changes: Value) -> StepEnded {
        StepEnded {
            id: id.into(),
            name: "node-1".into(),
            function: function.into(),
            result,
            comment: format!("did {id}"),
            changes,
            started: "2026-01-12T20:52:23.123456Z".parse().unwrap(),
            duration_ms: 12_345.678,
        }
    }

    fn steps() -> Vec<StepEnded> {
        let minion = json!({"test_|-a_|-a_|-nop": {
            "name": "a", "changes": {}, "result": true, "comment": "Success!", "__run_num__": 0,
            "start_time": "1", "duration": 0.5, "__id__": "a",
        }});
        vec![
            step("Cordon", "salt.runner", Some(true), json!({"unschedulable": true})),
            step("Apply", "salt.state", Some(true), json!({"out": "highstate", "ret": {"n1": minion}})),
            step("Drain", "test.nop", None, json!({})),
        ]
    }

    fn whole(form: Form) -> (String, Orchestrated) {
        let mut run = Orchestrated::new(form, TimeZone::UTC);
        let mut out = run.head();
        for step in steps() {
            out.push_str(&run.ended(&step));
        }
        out.push_str(&run.end().unwrap());
        (out, run)
    }

    #[test]
    fn steps_one_by_one_are_what_all_of_them_are() {
        for detail in [StateOutput::Full, StateOutput::Terse, StateOutput::Mixed, StateOutput::Changes] {
            let form = Form { detail, ..Form::default() };
            let (out, run) = whole(form);
            let all = states("bootstrap_master", run.steps(), form.out, detail, form.paint).unwrap();
            assert_eq!(out, all);
        }
    }

    #[test]
    fn the_print_is_salts() {
        let (out, run) = whole(Form::default());
        let expect = "\
bootstrap_master:
----------
          ID: Cordon
    Function: salt.runner
        Name: node-1
      Result: True
     Comment: did Cordon
     Started: 20:52:23.123456
    Duration: 12345.678 ms
     Changes:   
              ----------
              unschedulable:
                  True
----------
          ID: Apply
    Function: salt.state
        Name: node-1
      Result: True
     Comment: did Apply
     Started: 20:52:23.123456
    Duration: 12345.678 ms
     Changes:   
              n1:
              ----------
                        ID: a
                  Function: test.nop
                    Result: True
                   Comment: Success!
                   Started: 1
                  Duration: 0.5 ms
                   Changes:   
              
              Summary for n1
              ------------
              Succeeded: 1
              Failed:    0
              ------------
              Total states run:     1
              Total run time:   0.500 ms
----------
          ID: Drain
    Function: test.nop
        Name: node-1
      Result: None
     Comment: did Drain
     Started: 20:52:23.123456
    Duration: 12345.678 ms
     Changes:   

Summary for bootstrap_master
------------
Succeeded: 3 (unchanged=1, changed=1)
Failed:    0
------------
Total states run:     3
Total run time:  37.037 s
";
        assert_eq!(out, expect);
        assert!(run.is_success());
    }

    #[test]
    fn a_step_that_failed_is_red_and_told() {
        let form = Form { paint: Paint::new(true), detail: StateOutput::Terse, ..Form::default() };
        let mut run = Orchestrated::new(form, TimeZone::UTC);
        assert_eq!(run.head(), "\u{1b}[36mbootstrap_master:\u{1b}[0m\n");
        let printed = run.ended(&step("Cordon", "salt.runner", Some(false), json!({})));
        assert!(printed.starts_with("\u{1b}[31m  Name: node-1 - Function: salt.runner - Result: Failed"));
        assert!(!run.is_success());
    }

    #[test]
    fn data_are_printed_at_the_end() {
        let (out, _) = whole(Form { out: "json".parse().unwrap(), ..Form::default() });
        let read: Value = serde_json::from_str(&out).unwrap();
        let first = &read["data"]["bootstrap_master"]["salt_|-Cordon_|-node-1_|-runner"];
        assert_eq!(first["changes"], json!({"unschedulable": true}));
        assert_eq!(first["__run_num__"], 0);
        assert_eq!(read["retcode"], 0);
        assert_eq!(first["__id__"], "Cordon");
    }

    #[test]
    fn states_of_the_masters_machine_are_shown_as_its_own() {
        let minion = steps()[1].changes["ret"]["n1"].as_object().unwrap().clone();
        let done = Answer::Returned(Returned::States(minion.clone()));
        let told = of_master(&done, &Form::default()).unwrap();
        assert!(told.starts_with("bootstrap_master:\n----------\n          ID: a\n"), "{told}");
        assert!(told.contains("Summary for bootstrap_master\n"), "{told}");
        let form = Form { out: "json".parse().unwrap(), ..Form::default() };
        let read: Value = serde_json::from_str(&of_master(&done, &form).unwrap()).unwrap();
        assert_eq!(read, envelope_of(&done));
        assert_eq!((&read["data"]["bootstrap_master"], &read["retcode"]), (&json!(minion), &json!(0)));
        let failed = Answer::Returned(Returned::Ended { value: json!("there is none"), retcode: 2 });
        assert_eq!(envelope_of(&failed)["retcode"], 1);
        assert_eq!(of_master(&failed, &Form::default()).unwrap(), "bootstrap_master:\n    there is none\n");
    }
}
