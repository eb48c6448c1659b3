//! Events, by the tags that clients look for.

use jiff::{Timestamp, tz::TimeZone};
use metalk8s_types::fleet::{Procedure, ProcedureName};
use serde_json::{Map, Value, json};

use crate::{
    Returned,
    output::MASTER,
    runner::{DEPLOY_NODE, REMOVE_NODE},
};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What, such as `salt/job/20190612071130203596/new`.
    pub tag: String,
    /// The rest.
    pub data: Value,
}

/// A call that was made, by its id.
#[derive(Debug, Clone, Copy)]
pub struct Called<'a> {
    /// Its id.
    pub jid: &'a str,
    /// The function.
    pub function: &'a str,
    /// Its words.
    pub words: &'a [String],
    /// When.
    pub at: Timestamp,
}

impl Event {
    /// A job was given to minions.
    pub fn job_new(called: Called<'_>, minions: &[String]) -> Self {
        let Called { jid, function, words, at } = called;
        Self {
            tag: format!("salt/job/{jid}/new"),
            data: json!({
                "jid": jid, "tgt": minions, "tgt_type": "list", "fun": function, "arg": words,
                "minions": minions, "user": "root", "_stamp": stamp(at),
            }),
        }
    }

    /// A minion returned something.
    pub fn job_returned(called: Called<'_>, minion: &str, returned: &Returned) -> Self {
        let Called { jid, function, words, at } = called;
        let retcode = returned.retcode();
        let mut data = json!({
            "jid": jid, "id": minion, "fun": function, "fun_args": words, "cmd": "_return",
            "return": returned.value(), "retcode": retcode, "success": retcode == 0, "_stamp": stamp(at),
        });
        if let Some(outputter) = returned.outputter() {
            data["out"] = outputter.into();
        }
        Self { tag: format!("salt/job/{jid}/ret/{minion}"), data }
    }

    /// A function of the master was begun.
    pub fn run_new(called: Called<'_>) -> Self {
        Self { tag: format!("salt/run/{}/new", called.jid), data: run(called) }
    }

    /// It ended.
    pub fn run_returned(called: Called<'_>, returned: &Value, success: bool) -> Self {
        let mut data = run(called);
        data["return"] = returned.clone();
        data["success"] = success.into();
        Self { tag: format!("salt/run/{}/ret", called.jid), data }
    }

    /// Steps of a procedure ended: those that it has `returned` so far, without as many of the first as were `told`.
    pub fn steps_ended(called: Called<'_>, returned: &Value, told: usize) -> Vec<Self> {
        let Called { jid, function: _, words: _, at } = called;
        let steps = returned["data"][MASTER].as_object().into_iter().flat_map(Map::values);
        let mut steps: Vec<(u64, &Value)> =
            steps.filter_map(|step| Some((step["__run_num__"].as_u64()?, step))).collect();
        steps.sort_by_key(|(number, _)| *number);
        let event = |(number, step): (u64, &Value)| {
            let tag = format!("salt/job/{jid}/prog/{MASTER}/{number}");
            let data = json!({
                "jid": jid, "id": MASTER, "tag": tag, "cmd": "_minion_event", "data": {"ret": step},
                "_stamp": stamp(at),
            });
            Self { tag, data }
        };
        steps.into_iter().skip(told).map(event).collect()
    }

    /// A minion was started.
    pub fn started(minion: &str, at: Timestamp) -> Self {
        let tag = format!("salt/minion/{minion}/start");
        let told = format!("Minion {minion} started at {at}");
        let data =
            json!({"id": minion, "tag": tag, "cmd": "_minion_event", "data": told, "_stamp": stamp(at)});
        Self { tag, data }
    }

    /// As a stream of events has it, ended by an empty line.
    pub fn line(&self) -> String {
        let Self { tag, data } = self;
        format!("tag: {tag}\ndata: {}\n\n", json!({"tag": tag, "data": data}))
    }
}

/// The function by which procedures are begun, and its words.
pub fn orchestration(procedure: &Procedure) -> (&'static str, [String; 2]) {
    let pillar = json!({"orchestrate": {"node_name": procedure.node}});
    let name = match procedure.name {
        ProcedureName::DeployNode => DEPLOY_NODE,
        ProcedureName::RemoveNode => REMOVE_NODE,
    };
    ("state.orchestrate", [name.to_owned(), format!("pillar={pillar}")])
}

fn run(called: Called<'_>) -> Value {
    let Called { jid, function, words, at } = called;
    json!({
        "jid": jid, "fun": format!("runner.{function}"), "fun_args": words, "user": "root", "_stamp": stamp(at),
    })
}

/// A moment as Salt writes it, in UTC.
fn stamp(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string()
}
