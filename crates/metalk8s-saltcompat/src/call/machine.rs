//! Functions that ask or change the machine without a state of an SLS file.

use std::collections::{BTreeMap, BTreeSet};

use metalk8s_engine::{
    Change, ChangeKind, Hands, Ran, State, StateError,
    state::{Command, Service},
};
use serde_json::{Map, Value, json};

use super::{
    Call, CallError, Minion, Returned,
    table::{Show, Told, Verb},
    text,
};
use crate::{
    functions::{Surroundings, unit_name},
    parse_words,
};

impl Call<'_> {
    pub(super) fn failed(&self, source: StateError) -> CallError {
        CallError::Failed { function: self.function, source }
    }

    /// `cmd.run` and its like. A command that fails is no error of the call: its status is returned.
    pub(super) async fn command(&self, told: Told, hands: &dyn Hands) -> Result<Returned, CallError> {
        let ran = self.run(self.wished_command(told)?, hands).await?;
        let Ran { pid, status, stdout, stderr } = &ran;
        let value = match told {
            Told::Both | Told::Stdout => json!(stdout.trim_end()),
            Told::Stderr => json!(stderr.trim_end()),
            Told::Status => json!(status),
            Told::All => json!({
                "pid": pid,
                "retcode": status,
                "stdout": stdout.trim_end(),
                "stderr": stderr.trim_end(),
            }),
        };
        // As a shell does: the last byte of it, but never that of a success.
        let retcode = match status.to_le_bytes()[0] {
            0 if *status != 0 => 1,
            byte => byte,
        };
        Ok(Returned::Ended { value, retcode })
    }

    fn wished_command(&self, told: Told) -> Result<Command, CallError> {
        self.takes(1, &["cwd", "env", "runas", "shell", "timeout"])?;
        // As it was typed: `[ -e /x ]` would be a list.
        let typed = self.typed.iter().find(|word| !parse_words(&[word]).positional.is_empty());
        let Some(typed) = typed else {
            return Err(self.usage(format!("`{}` needs a command", self.function)));
        };
        let line = match told {
            Told::Both => format!("exec 2>&1\n{typed}"),
            Told::Stdout | Told::Stderr | Told::Status | Told::All => typed.clone(),
        };
        let named = &self.words.named;
        let single = |name: &str| named.get(name).filter(|value| !value.is_null()).map(text);
        let timeout_seconds = match single("timeout").map(|text| text.parse()) {
            None => None,
            Some(Ok(seconds)) => Some(seconds),
            Some(Err(_)) => return Err(self.usage("`timeout=` is a number of seconds")),
        };
        let environment: BTreeMap<String, String> = match named.get("env") {
            None | Some(Value::Null) => BTreeMap::new(),
            Some(Value::Object(map)) => map.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            Some(_) => return Err(self.usage("`env=` is a map such as `{NAME: value}`")),
        };
        let usual = Surroundings::usual();
        let surroundings = Surroundings {
            shell: single("shell").unwrap_or(usual.shell),
            directory: single("cwd").map(Into::into),
            environment,
            timeout_seconds,
            user: single("runas"),
        };
        let argv = surroundings.through_shell(line);
        Ok(surroundings.command(argv))
    }

    pub(super) async fn run(&self, command: Command, hands: &dyn Hands) -> Result<Ran, CallError> {
        let change = Change::new(ChangeKind::Run, String::new());
        match hands.apply(&State::Command(command), &change).await {
            Ok(Change { ran: Some(ran), .. }) => Ok(ran),
            Ok(_) => Err(self.failed(StateError::new("nobody said how the command ended"))),
            Err(mut err) => match err.done.take().and_then(|change| change.ran) {
                Some(ran) => Ok(ran),
                None => Err(self.failed(err)),
            },
        }
    }

    pub(super) async fn service(&self, verb: Verb, hands: &dyn Hands) -> Result<Value, CallError> {
        let unit = unit_name(&self.name("the name of a unit")?);
        let running = Service { enabled: None, ..Service::running(&*unit) };
        let stopped = Service { enabled: None, ..Service::stopped(&*unit) };
        let enabled = Service { running: None, ..Service::running(&*unit) };
        let disabled = Service { running: None, ..Service::stopped(&*unit) };
        let answer = match verb {
            // It is what the opposite wish would change.
            Verb::Status => is_true(&stopped, hands).await.map(|stopped| !stopped),
            Verb::IsEnabled => is_true(&disabled, hands).await.map(|disabled| !disabled),
            Verb::IsDisabled => is_true(&disabled, hands).await,
            Verb::Start => make_true(running, hands).await,
            Verb::Stop => make_true(stopped, hands).await,
            Verb::Enable => make_true(enabled, hands).await,
            Verb::Disable => make_true(disabled, hands).await,
            Verb::Restart => hands.react(&State::Service(running)).await.map(|change| change.is_some()),
        };
        answer.map(Value::from).map_err(|err| self.failed(err))
    }

    /// Names of services without their ending, as Salt tells them: all, or those in a state of systemctl(1).
    pub(super) async fn services(&self, state: Option<&str>, hands: &dyn Hands) -> Result<Value, CallError> {
        self.no_words()?;
        let argv = ["systemctl", "list-unit-files", "--type=service", "--full", "--no-legend", "--no-pager"];
        let ran = self.run(Command::new(argv.map(str::to_owned).to_vec()), hands).await?;
        let names = ran.stdout.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?.strip_suffix(".service")?;
            let found = words.next();
            state.is_none_or(|state| found == Some(state)).then_some(name)
        });
        Ok(names.collect::<BTreeSet<_>>().into_iter().collect())
    }

    pub(super) async fn has_service(&self, is_there: bool, hands: &dyn Hands) -> Result<Value, CallError> {
        let unit = unit_name(&self.name("the name of a unit")?);
        let argv = ["systemctl", "show", "--property=LoadState", "--", &unit];
        let ran = self.run(Command::new(argv.map(str::to_owned).to_vec()), hands).await?;
        let found = ran.status == 0 && ran.stdout.trim_end() != "LoadState=not-found";
        Ok((found == is_there).into())
    }

    /// Names of services that run, without their ending.
    pub(super) async fn running_services(&self, hands: &dyn Hands) -> Result<Value, CallError> {
        self.no_words()?;
        let argv = [
            "systemctl",
            "list-units",
            "--type=service",
            "--state=running",
            "--full",
            "--plain",
            "--no-legend",
            "--no-pager",
        ];
        let ran = self.run(Command::new(argv.map(str::to_owned).to_vec()), hands).await?;
        let names = ran.stdout.lines().filter_map(|line| line.split_whitespace().next());
        let names: BTreeSet<&str> = names.filter_map(|name| name.strip_suffix(".service")).collect();
        Ok(names.into_iter().collect())
    }

    /// What no wish of a state says as exactly: reloading never starts a unit, and masking stops none.
    pub(super) async fn systemctl(&self, verb: &str, hands: &dyn Hands) -> Result<Value, CallError> {
        let unit = unit_name(&self.name("the name of a unit")?);
        let argv = ["systemctl", verb, "--", &unit];
        let ran = self.run(Command::new(argv.map(str::to_owned).to_vec()), hands).await?;
        match (ran.status, ran.stderr.trim()) {
            (0, _) => Ok(true.into()),
            (status, "") => Err(self.failed(StateError::new(format!("systemctl ended with {status}")))),
            (_, said) => Err(self.failed(StateError::new(said))),
        }
    }

    /// For this boot alone does not count.
    pub(super) async fn is_masked(&self, hands: &dyn Hands) -> Result<Value, CallError> {
        let unit = unit_name(&self.name("the name of a unit")?);
        let argv = ["systemctl", "show", "--property=UnitFileState", "--", &unit];
        let ran = self.run(Command::new(argv.map(str::to_owned).to_vec()), hands).await?;
        Ok((ran.status == 0 && ran.stdout.trim_end() == "UnitFileState=masked").into())
    }

    /// Properties in Salt's forms: lists of some, and maps of those in braces.
    pub(super) async fn show_unit(&self, hands: &dyn Hands) -> Result<Value, CallError> {
        let unit = unit_name(&self.name("the name of a unit")?);
        let argv = ["systemctl", "show", "--", &unit];
        let ran = self.run(Command::new(argv.map(str::to_owned).to_vec()), hands).await?;
        Ok(ran.stdout.lines().filter_map(property).collect::<Map<_, _>>().into())
    }

    pub(super) async fn packages(&self, show: Show, minion: &dyn Minion) -> Result<Value, CallError> {
        let read = async {
            let read = minion.packages().await;
            read.map_err(|source| CallError::Machine { what: "packages", source })
        };
        if let Show::All = show {
            self.no_words()?;
            return Ok(json!(read.await?));
        }
        let names = self.names()?;
        let found = read.await?;
        // As Salt: an empty text where a package is not installed, and no map for a single one.
        let version = |name: &String| Value::from(found.get(name).cloned().unwrap_or_default());
        Ok(match &names[..] {
            [name] => version(name),
            names => names.iter().map(|name| (name.clone(), version(name))).collect::<Map<_, _>>().into(),
        })
    }

    /// The only word.
    pub(super) fn name(&self, what: &str) -> Result<String, CallError> {
        self.takes(1, &[])?;
        let name = self.words.positional.first().map(text).filter(|name| !name.is_empty());
        name.ok_or_else(|| self.usage(format!("`{}` needs {what}", self.function)))
    }

    /// All words, at least one.
    pub(super) fn names(&self) -> Result<Vec<String>, CallError> {
        self.takes(usize::MAX, &[])?;
        if self.words.positional.is_empty() {
            return Err(self.usage(format!("`{}` needs a name", self.function)));
        }
        Ok(self.words.positional.iter().map(text).collect())
    }

    pub(super) async fn disk_usage(&self, hands: &dyn Hands) -> Result<Value, CallError> {
        self.no_words()?;
        let argv = ["df", "--portability", "--block-size=1024"].map(str::to_owned).to_vec();
        let ran = self.run(Command::new(argv), hands).await?;
        // It fails where one of many file systems does not answer, and tells of the others.
        Ok(ran.stdout.lines().skip(1).filter_map(file_system).collect::<Map<_, _>>().into())
    }

    /// The answers by the names of the questions; `false` where there is no such device, as Salt has it.
    pub(super) async fn disk_dump(&self, hands: &dyn Hands) -> Result<Value, CallError> {
        let device = self.name("a block device, such as `/dev/sda`")?;
        if device.starts_with('-') {
            return Err(self.usage(format!("`{device}` is no block device")));
        }
        let asked = OF_DEVICES.iter().map(|question| format!("--{question}"));
        let argv = std::iter::once("blockdev".to_owned()).chain(asked).chain([device]).collect();
        let ran = self.run(Command::new(argv), hands).await?;
        if ran.status != 0 {
            return Ok(false.into());
        }
        let answers = ran.stdout.lines().map(Value::from);
        Ok(OF_DEVICES.iter().map(|name| (*name).to_owned()).zip(answers).collect::<Map<_, _>>().into())
    }
}

/// What is asked about a block device, in Salt's order (blockdev(8)).
const OF_DEVICES: [&str; 11] = [
    "getro",
    "getsz",
    "getss",
    "getpbsz",
    "getiomin",
    "getioopt",
    "getalignoff",
    "getmaxsect",
    "getsize64",
    "getra",
    "getfra",
];

/// A line of `systemctl show`, such as `Wants=a.service b.service`.
fn property(line: &str) -> Option<(String, Value)> {
    let (name, value) = line.split_once('=')?;
    let told: Value = match value.strip_prefix('{') {
        Some(inner) => {
            let fields = inner.trim_end_matches('}').split(" ; ").filter_map(|field| field.split_once('='));
            let fields = fields.map(|(name, value)| (name.trim().to_owned(), Value::from(value.trim())));
            fields.collect::<Map<_, _>>().into()
        }
        None if ["Before", "After", "Wants"].contains(&name) => value.split_whitespace().collect(),
        None => value.into(),
    };
    Some((name.to_owned(), told))
}

/// A line such as `/dev/vda1 10 4 6 40% /srv/with blanks`.
fn file_system(line: &str) -> Option<(String, Value)> {
    let mut rest = line;
    let mut fields = [""; 5];
    for field in &mut fields {
        (*field, rest) = rest.trim_start().split_once(' ')?;
    }
    let [filesystem, blocks, used, available, capacity] = fields;
    let told = json!({
        "filesystem": filesystem,
        "1K-blocks": blocks,
        "used": used,
        "available": available,
        "capacity": capacity,
    });
    Some((rest.trim_start().to_owned(), told))
}

async fn is_true(wish: &Service, hands: &dyn Hands) -> Result<bool, StateError> {
    Ok(hands.check(&State::Service(wish.clone())).await?.is_none())
}

async fn make_true(wish: Service, hands: &dyn Hands) -> Result<bool, StateError> {
    let state = State::Service(wish);
    if let Some(change) = hands.check(&state).await? {
        hands.apply(&state, &change).await?;
    }
    Ok(true)
}
