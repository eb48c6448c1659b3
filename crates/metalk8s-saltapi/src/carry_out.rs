//! Chunks carried out, one after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use jiff::Timestamp;
use metalk8s_orchestrator::{
    dispatch::{Call, Dispatched, dispatch_as, new_id, only_answer},
    master::{Answers, Told, call, minions, name},
};
use metalk8s_saltcompat::{
    api::{Asked, Chunk, Event, KeysCall, MasterCall, MinionsCall, Way, event::Called, wheel_answer},
    batch::Batch,
    keys::Keys,
    matching,
    output::{Answer, envelope_of},
    runner::RunnerCall,
    subset,
};
use serde_json::{Map, Value, json};

use crate::{answer::ApiError, api::Api, sessions::Session};

/// How long minions have to begin where a chunk does not say it.
const PATIENCE: Duration = Duration::from_secs(10);
/// The least time that minions have to begin, so that none does it late.
const LEAST: Duration = Duration::from_secs(5);
/// The longest that a function may take.
const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// Carries out all chunks, each as the one who asks for it. None is begun where one of them may not be.
pub(crate) async fn carry_out(api: &Arc<Api>, chunks: Vec<(Session, Chunk)>) -> Result<Vec<Value>, ApiError> {
    for (session, chunk) in &chunks {
        if !session.rights.allow(&chunk.asked) {
            let who = &session.who.username;
            return Err(ApiError::Forbidden(format!("`{who}` may not call `{}`", function(&chunk.asked))));
        }
    }
    let mut returned = Vec::with_capacity(chunks.len());
    for (session, chunk) in chunks {
        let patience = chunk.timeout.unwrap_or(PATIENCE);
        api.stats.chunks.fetch_add(1, Relaxed);
        tracing::info!(
            user = session.who.username,
            function = function(&chunk.asked),
            "somebody calls a function"
        );
        match chunk.asked {
            Asked::Minions(call) => returned.extend(on_minions(api, call, patience).await?),
            Asked::Master(call) if call.is_async => returned.push(in_background(api, call, patience).await?),
            Asked::Master(call) => returned.push(on_master(api, call.call, patience).await?.0),
            Asked::Keys(call) => returned.push(about_keys(api, &session, &call).await?),
        }
    }
    Ok(returned)
}

fn function(asked: &Asked) -> &str {
    match asked {
        Asked::Minions(call) => &call.function,
        Asked::Master(call) => &call.function,
        Asked::Keys(call) => call.function(),
    }
}

/// One value for all minions; of a batch one for each of them, in the order in which they end.
async fn on_minions(api: &Arc<Api>, asked: MinionsCall, patience: Duration) -> Result<Vec<Value>, ApiError> {
    let agents = api.bus.agents().await?;
    let mut chosen = matching(&asked.target, minions(&agents));
    if let Way::Subset(count) = asked.way {
        chosen = subset(chosen, count, |most| rand::random_range(0..most));
    }
    if let Way::Batch { size, fail_hard } = asked.way {
        return Ok(some_at_a_time(api, &asked, patience, Batch::new(size, chosen, fail_hard)).await);
    }
    if chosen.is_empty() {
        return Ok(vec![json!({})]);
    }
    let names: Vec<String> = chosen.iter().cloned().collect();
    let given = give(api, &asked, patience, &names).await;
    if asked.way == Way::Async {
        return Ok(vec![json!({"jid": given.id, "minions": names})]);
    }
    let jid = given.id.clone();
    let mut answers = Answers::new(given, patience);
    let mut returned = Map::new();
    while let Some((minion, answer)) = answers.next().await {
        returned.insert(minion, told(&answer, &jid, asked.full_return));
    }
    returned.sort_keys();
    Ok(vec![returned.into()])
}

/// Gives the job to these minions, and announces it.
async fn give(api: &Arc<Api>, asked: &MinionsCall, patience: Duration, names: &[String]) -> Dispatched {
    let MinionsCall { function, words, .. } = asked;
    let jid = new_id();
    let called = Called { jid: &jid, function, words, at: Timestamp::now() };
    api.events.announce(&jid, &Event::job_new(called, names));
    let call =
        Call { begin_within: patience.max(LEAST), ..Call::new(function.clone(), words.clone(), LONGEST) };
    dispatch_as(&*api.bus, jid, &names.iter().cloned().collect(), &call).await
}

async fn some_at_a_time(
    api: &Arc<Api>,
    asked: &MinionsCall,
    patience: Duration,
    mut batch: Batch,
) -> Vec<Value> {
    let mut returned = Vec::new();
    while !batch.is_over() {
        let given = give(api, asked, patience, &batch.begin()).await;
        let jid = given.id.clone();
        let mut answers = Answers::new(given, patience);
        while let Some((minion, answer)) = answers.next().await {
            batch.ended(&minion, answer.retcode());
            returned.push(json!({minion: told(&answer, &jid, asked.full_return)}));
        }
    }
    returned
}

/// Whoever did not answer is false, as Salt's API has it.
fn told(answer: &Answer, jid: &str, full_return: bool) -> Value {
    let value = if answer.is_returned() { answer.value() } else { Value::Bool(false) };
    match full_return {
        true => json!({"ret": value, "retcode": answer.retcode(), "jid": jid}),
        false => value,
    }
}

/// What a function of the master returned, and whether it went well. Procedures are waited for, and states of the
/// master's own machine.
async fn on_master(api: &Api, asked: RunnerCall, patience: Duration) -> Result<(Value, bool), ApiError> {
    Ok(match call(&*api.bus, asked, patience).await? {
        Told::Value(value) => (value, true),
        Told::Answers(answers) => (values(answers), true),
        Told::Begun(orchestration) => {
            let value = orchestration.finish().await?;
            let success = value["retcode"] == 0;
            (value, success)
        }
        Told::Given(given) => {
            let answer = only_answer(*given, patience).await;
            (envelope_of(&answer), answer.retcode() == 0)
        }
    })
}

fn values(answers: BTreeMap<String, Answer>) -> Value {
    answers.into_iter().map(|(minion, answer)| (minion, answer.value())).collect::<Map<_, _>>().into()
}

/// Begins a function of the master; what it returns is an event. Of a procedure the conductor's record tells.
async fn in_background(api: &Arc<Api>, asked: MasterCall, patience: Duration) -> Result<Value, ApiError> {
    if matches!(asked.call, RunnerCall::Orchestrate(_))
        && let Told::Begun(orchestration) = call(&*api.bus, asked.call.clone(), patience).await?
    {
        return Ok(begun(&orchestration.run));
    }
    let busy = |_| ApiError::TooMany(Duration::from_secs(5));
    let place = Arc::clone(&api.background).try_acquire_owned().map_err(busy)?;
    let MasterCall { function, words, call: asked, is_async: _ } = asked;
    let jid = new_id();
    let answer = begun(&jid);
    let api = Arc::clone(api);
    tokio::spawn(async move {
        let _place = place;
        let called = Called { jid: &jid, function: &function, words: &words, at: Timestamp::now() };
        api.events.publish(&Event::run_new(called));
        let (returned, success) = match on_master(&api, asked, patience).await {
            Ok(told) => told,
            Err(error) => (Value::from(error.to_string()), false),
        };
        let called = Called { at: Timestamp::now(), ..called };
        api.events.publish(&Event::run_returned(called, &returned, success));
    });
    Ok(answer)
}

/// What is told of a function that was begun.
fn begun(jid: &str) -> Value {
    json!({"jid": jid, "tag": format!("salt/run/{jid}")})
}

async fn about_keys(api: &Arc<Api>, session: &Session, asked: &KeysCall) -> Result<Value, ApiError> {
    let accepted: BTreeSet<String> =
        api.bus.agents().await?.iter().map(|agent| name(agent).to_owned()).collect();
    let keys = Keys { accepted: accepted.into_iter().collect(), ..Keys::default() };
    if let KeysCall::Delete(pattern) = asked {
        for node in keys.matching(pattern).accepted {
            api.bus.remove_agent(&node).await?;
            tracing::info!(user = session.who.username, node, "somebody removed an agent");
        }
    }
    Ok(wheel_answer(&new_id(), asked, &session.who.username, &asked.told(&keys)))
}
