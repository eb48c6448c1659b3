//! Understood: a chunk for each map, by its client, with as many words as it has arguments and within all
//! bounds, the same each time; whoever may only read or only care for volumes may no more of it. Refused: the
//! first mistake, with the number of its chunk. No secret is shown. Shared with the fuzz target
//! `salt_lowstate`.
//!
//! A body is tried in all forms that the HTTP API reads: JSON, YAML and pairs.

use metalk8s_saltcompat::{
    api::{
        Asked, Chunk, Credentials, LowstateError, MasterCall, MinionsCall, Rights, Way, credentials,
        from_form,
    },
    batch::BatchSize,
    parse_words,
    runner::{RUNNERS, RunnerCall},
};
use serde_json::{Map, Value, json};

/// The most maps of a lowstate.
const MOST: usize = 64;
/// The longest that minions are waited for, in seconds.
const LONGEST_TIMEOUT: u64 = 3600;
/// The longest mistake, in characters, each of which may be told as an escape of up to ten.
const LONGEST_MISTAKE: usize = 10 * 3004;
const SECRET: &str = "hunter2-8f1d0c62b7";
/// What whoever only reads may ask of minions.
const READING: [&str; 6] =
    ["test.ping", "test.version", "grains.get", "grains.item", "grains.items", "grains.ls"];

pub(crate) fn check(bytes: &[u8]) {
    let json: Option<Value> = serde_json::from_slice(bytes).ok();
    let yaml: Option<Value> = serde_saphyr::from_slice(bytes).ok();
    json.iter().chain(&yaml).for_each(check_body);
    let pairs: Vec<(String, String)> = form_urlencoded::parse(bytes).into_owned().collect();
    let form = from_form(pairs.clone());
    check_form(&pairs, &form);
    check_body(&form);
}

/// All values are there, in their order.
fn check_form(pairs: &[(String, String)], form: &Value) {
    let chunk = form.as_object().expect("a form is one chunk");
    assert!(pairs.iter().all(|(name, _)| chunk.contains_key(name)));
    for (name, value) in chunk {
        let given: Vec<&str> =
            pairs.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect();
        match given[..] {
            [one] => assert_eq!(*value, json!(one), "{name:?}"),
            _ => assert_eq!(*value, json!(given), "{name:?}"),
        }
    }
}

fn check_body(body: &Value) {
    match (Chunk::parse_all(body), maps(body)) {
        (Ok(chunks), Some(maps)) => {
            assert_eq!(chunks.len(), maps.len());
            let again = Chunk::parse_all(body).expect("it was understood before");
            assert_eq!(format!("{again:?}"), format!("{chunks:?}"));
            assert_eq!(credentials(body), Ok(chunks[0].credentials.clone()));
            for (chunk, map) in chunks.iter().zip(maps) {
                check_chunk(chunk, map);
                check_secret(map);
            }
        }
        (Err(LowstateError::Chunk { number, why }), Some(maps)) => {
            assert!((1..=maps.len()).contains(&number), "{number} of {}", maps.len());
            check_mistake(&maps, number, why);
            check_secret(maps[number - 1]);
            assert_ne!(credentials(body), Err(LowstateError::Shape));
        }
        (Err(LowstateError::Shape), None) => assert_eq!(credentials(body), Err(LowstateError::Shape)),
        (outcome, maps) => panic!("of {} maps: {outcome:?}", maps.map_or(0, |maps| maps.len())),
    }
}

fn maps(body: &Value) -> Option<Vec<&Map<String, Value>>> {
    let maps: Vec<_> = match body {
        Value::Object(one) => vec![one],
        Value::Array(several) => several.iter().map(Value::as_object).collect::<Option<Vec<_>>>()?,
        _ => return None,
    };
    (1..=MOST).contains(&maps.len()).then_some(maps)
}

/// All before it are understood, and by itself it is refused for the same reason.
fn check_mistake(maps: &[&Map<String, Value>], number: usize, why: String) {
    let before: Value = maps[..number - 1].iter().map(|map| Value::Object((*map).clone())).collect();
    assert!(number == 1 || Chunk::parse_all(&before).is_ok(), "{why:?}");
    let wrong = Value::Object(maps[number - 1].clone());
    let length = why.chars().count();
    assert!((1..=LONGEST_MISTAKE).contains(&length), "{length}: {why:?}");
    assert!(!why.contains(char::is_control), "{why:?}");
    let alone = Chunk::parse_all(&wrong).map(drop);
    assert_eq!(alone, Err(LowstateError::Chunk { number: 1, why }));
}

/// The secret is in no message, and in no argument.
fn check_secret(map: &Map<String, Value>) {
    for name in ["token", "password"] {
        let mut map = map.clone();
        map.insert(name.to_owned(), SECRET.into());
        let outcome = format!("{:?}", Chunk::parse_all(&Value::Object(map)));
        assert!(!outcome.contains(SECRET), "{outcome}");
    }
}

fn check_chunk(chunk: &Chunk, map: &Map<String, Value>) {
    let Chunk { asked, credentials, timeout } = chunk;
    let text = |name: &str| map.get(name).and_then(Value::as_str);
    let (client, function) = (text("client"), text("fun"));
    match asked {
        Asked::Minions(call) => {
            let by_client = match call.way {
                Way::Wait => "local",
                Way::Async => "local_async",
                Way::Subset(_) => "local_subset",
                Way::Batch { .. } => "local_batch",
            };
            assert_eq!((client, function), (Some(by_client), Some(call.function.as_str())));
            check_minions(call, map);
        }
        Asked::Master(call) => {
            let by_client = if call.is_async { "runner_async" } else { "runner" };
            assert_eq!((client, function), (Some(by_client), Some(call.function.as_str())));
            check_master(call);
        }
        Asked::Keys(call) => assert_eq!((client, function), (Some("wheel"), Some(call.function()))),
    }
    check_rights(asked);
    let Credentials { eauth, username, token } = credentials;
    assert_eq!((eauth.as_deref(), username.as_deref()), (text("eauth"), text("username")));
    let token = token.as_ref().map(|token| token.expose().as_str());
    assert_eq!(token, text("token").or(text("password")));
    assert!(timeout.is_none_or(|timeout| (1..=LONGEST_TIMEOUT).contains(&timeout.as_secs())), "{timeout:?}");
}

fn check_minions(call: &MinionsCall, map: &Map<String, Value>) {
    match map.get("tgt") {
        Some(Value::Array(names)) => {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            assert_eq!(call.target.text(), names.join(","));
        }
        target => assert_eq!(Some(call.target.text()), target.and_then(Value::as_str)),
    }
    let is_meant = match call.way {
        Way::Wait | Way::Async => true,
        Way::Subset(count) | Way::Batch { size: BatchSize::Count(count), .. } => count > 0,
        Way::Batch { size: BatchSize::Percent(part), .. } => part > 0.0 && part <= 100.0,
    };
    assert!(is_meant, "{:?}", call.way);
    let arguments = match map.get("arg") {
        None | Some(Value::Null) => 0,
        Some(Value::Array(values)) => values.len(),
        Some(_) => 1,
    };
    let named = map.get("kwarg").and_then(Value::as_object);
    assert_eq!(call.words.len(), arguments + named.map_or(0, Map::len));
    // A value can give no argument another name.
    for (name, word) in named.into_iter().flat_map(|named| named.keys()).zip(&call.words[arguments..]) {
        let words = parse_words(&[word]);
        assert!(words.positional.is_empty() && words.named.keys().eq([name]), "{word:?}");
    }
}

fn check_master(call: &MasterCall) {
    assert!(RUNNERS.iter().any(|known| known.name == call.function), "{}", call.function);
    match &call.call {
        RunnerCall::ListJob(jid) | RunnerCall::PrintJob(jid) | RunnerCall::Lookup { jid, .. } => {
            assert!(jid.len() == 20 && jid.bytes().all(|byte| byte.is_ascii_digit()), "{jid:?}");
        }
        RunnerCall::WaitMinions { retry, .. } => assert!(*retry > 0),
        RunnerCall::Orchestrate(asked) => assert!(!asked.name.is_empty() && asked.pillar.is_object()),
        _ => {}
    }
}

fn check_rights(asked: &Asked) {
    assert!(Rights::All.allow(asked) && !Rights::Nothing.allow(asked));
    let module = |call: &MasterCall| call.function.split('.').next().map(str::to_owned);
    let reads = match asked {
        Asked::Minions(call) => READING.contains(&call.function.as_str()),
        Asked::Master(call) => ["jobs", "manage"].contains(&module(call).unwrap_or_default().as_str()),
        Asked::Keys(_) => false,
    };
    assert_eq!(Rights::Reading.allow(asked), reads, "{asked:?}");
    if Rights::Volumes.allow(asked) {
        match asked {
            Asked::Minions(call) if call.function == "state.sls" => {
                let words = parse_words(&call.words);
                let mut states = words.positional.iter().chain(words.named.get("mods"));
                assert!(states.all(are_of_volumes), "{:?}", call.words);
                assert!(!call.words.is_empty());
            }
            Asked::Minions(call) => {
                let functions = ["disk.dump", "metalk8s_volumes.device_name"];
                assert!(functions.contains(&call.function.as_str()), "{}", call.function);
            }
            Asked::Master(call) => assert_eq!(module(call).as_deref(), Some("jobs")),
            Asked::Keys(call) => panic!("{call:?}"),
        }
    }
}

fn are_of_volumes(states: &Value) -> bool {
    match states {
        Value::String(text) => text.split(',').all(|name| {
            let name = name.trim();
            name == "metalk8s.volumes" || name.starts_with("metalk8s.volumes.")
        }),
        Value::Array(several) => several.iter().all(are_of_volumes),
        _ => false,
    }
}
