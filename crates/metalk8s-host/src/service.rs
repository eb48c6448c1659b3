//! Units of systemd.

use std::{os::unix::fs::MetadataExt, path::Path, time::Duration};

use jiff::{SignedDuration, Timestamp};
use metalk8s_engine::{Change, ChangeKind, StateError, state::Service};

use rustix::time::{ClockId, clock_gettime};

use crate::{
    Host,
    doing::Doing,
    program::{ProgramError, no_option},
};

/// Starting waits until the unit says that it is ready, which a kubelet on a slow disk takes its time for.
const DEADLINE: Duration = Duration::from_secs(300);

/// A unit as `systemctl show` tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Unit {
    load: String,
    active: String,
    file: String,
    needs_reload: bool,
    /// Microseconds after the boot at which its program was started; 0 where it was not.
    started: i64,
    /// Whether a file that it reads only then is newer.
    is_behind: bool,
}

/// One call of systemctl that brings the unit nearer to the wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Unmask,
    Reload,
    Enable,
    Disable,
    ResetFailed,
    Start,
    Restart,
    Stop,
    Mask,
}

pub(crate) async fn check(host: &Host, wish: &Service) -> Result<Option<Change>, StateError> {
    let actions = decide(wish, &observed(host, wish).await?);
    let Some(last) = actions.last() else { return Ok(None) };
    let kind = match last {
        Action::Start | Action::Restart | Action::Reload | Action::ResetFailed => ChangeKind::Run,
        Action::Unmask | Action::Enable | Action::Disable | Action::Stop | Action::Mask => ChangeKind::Update,
    };
    let words: Vec<&str> = actions.iter().filter_map(|action| action.told()).collect();
    Ok(Some(Change::new(kind, format!("{} {}", words.join(" and "), wish.name))))
}

pub(crate) async fn apply(host: &Host, wish: &Service) -> Result<(), StateError> {
    let unit = observed(host, wish).await?;
    if unit.is_missing() && wish.running == Some(true) {
        // A package of the same run may have brought the unit after systemd last looked.
        systemctl(host, Action::Reload, &wish.name).await?;
    }
    for action in decide(wish, &unit) {
        systemctl(host, action, &wish.name).await?;
    }
    Ok(())
}

pub(crate) async fn react(host: &Host, wish: &Service) -> Result<Option<Change>, StateError> {
    if wish.running != Some(true) {
        return Ok(None);
    }
    if show(host, &wish.name).await?.needs_reload {
        systemctl(host, Action::Reload, &wish.name).await?;
    }
    let verb = if wish.reload { "reload-or-restart" } else { "restart" };
    run(host, verb, &wish.name).await?;
    let told = if wish.reload { "reload" } else { "restart" };
    Ok(Some(Change::new(ChangeKind::Run, format!("{told} {}", wish.name))))
}

/// The unit, compared with the files that it reads.
async fn observed(host: &Host, wish: &Service) -> Result<Unit, StateError> {
    let mut unit = show(host, &wish.name).await?;
    if wish.reads.is_empty() || unit.started == 0 {
        return Ok(unit);
    }
    let (now, ticks) = (Timestamp::now(), clock_gettime(ClockId::Monotonic));
    let since_boot = SignedDuration::new(ticks.tv_sec, i32::try_from(ticks.tv_nsec).unwrap_or(0));
    let started = now - (since_boot - SignedDuration::from_micros(unit.started));
    for path in &wish.reads {
        // A time to come is of a clock that was wrong; it must not restart the unit again and again.
        unit.is_behind |= changed(host, path)?.is_some_and(|changed| started < changed && changed <= now);
    }
    Ok(unit)
}

/// When a file was put where it is: a rename changes the status, not the contents.
fn changed(host: &Host, path: &Path) -> Result<Option<Timestamp>, StateError> {
    match std::fs::metadata(host.real(path)?) {
        Ok(found) => Ok(Timestamp::new(found.ctime(), i32::try_from(found.ctime_nsec()).unwrap_or(0)).ok()),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(err).doing(|| format!("could not look at `{}`", path.display())),
    }
}

async fn show(host: &Host, name: &str) -> Result<Unit, StateError> {
    let doing = || format!("could not ask systemd for `{name}`");
    let output = host
        .program("systemctl")
        .args([
            "show",
            "--property=LoadState,ActiveState,UnitFileState,NeedDaemonReload,ExecMainStartTimestampMonotonic",
        ])
        .arg(no_option(name).doing(doing)?)
        .run()
        .await
        .doing(doing)?;
    Ok(Unit::parse(&output.stdout))
}

impl Unit {
    fn parse(text: &str) -> Self {
        let value = |key: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            found.unwrap_or_default().to_owned()
        };
        Self {
            load: value("LoadState"),
            active: value("ActiveState"),
            file: value("UnitFileState"),
            needs_reload: value("NeedDaemonReload") == "yes",
            started: value("ExecMainStartTimestampMonotonic").parse().unwrap_or(0),
            is_behind: false,
        }
    }

    fn is_missing(&self) -> bool {
        self.load == "not-found"
    }

    fn is_masked(&self) -> bool {
        self.load == "masked" || self.file == "masked"
    }

    fn runs(&self) -> bool {
        matches!(&*self.active, "active" | "reloading")
    }

    /// Units without an `[Install]` section, and generated ones, cannot be enabled or disabled: others pull
    /// them in, and that is as much as can be had.
    fn is_fixed(&self) -> bool {
        matches!(&*self.file, "static" | "generated" | "transient" | "indirect" | "alias")
    }
}

/// The calls in their order; none where nothing has to change.
fn decide(wish: &Service, unit: &Unit) -> Vec<Action> {
    let mut actions = Vec::new();
    let is_to_run = wish.running == Some(true);
    if unit.is_missing() && !is_to_run && wish.may_be_missing {
        return actions;
    }
    if wish.masked {
        if !matches!(&*unit.active, "inactive" | "failed" | "") {
            actions.push(Action::Stop);
        }
        if !unit.is_masked() {
            actions.push(Action::Mask);
        }
        return actions;
    }
    // A mask hinders only what is to run; one that somebody put on an unwanted unit stays.
    if unit.is_masked() && (is_to_run || wish.enabled == Some(true)) {
        actions.push(Action::Unmask);
    }
    if is_to_run && unit.needs_reload {
        actions.push(Action::Reload);
    }
    match wish.enabled {
        Some(true) if unit.file != "enabled" && !unit.is_fixed() => actions.push(Action::Enable),
        Some(false) if matches!(&*unit.file, "enabled" | "enabled-runtime" | "linked" | "linked-runtime") => {
            actions.push(Action::Disable);
        }
        Some(_) | None => {}
    }
    match (wish.running, unit.runs()) {
        (Some(true), false) => {
            if unit.active == "failed" {
                // Otherwise a unit that failed too often is refused without a try.
                actions.push(Action::ResetFailed);
            }
            actions.push(Action::Start);
        }
        // The unit's file changed after systemd read it, so what runs is not what the file says: a run was
        // killed between writing the one and restarting the other.
        (Some(true), true) if unit.needs_reload || unit.is_behind => actions.push(Action::Restart),
        (Some(false), _) if matches!(&*unit.active, "active" | "reloading" | "activating") => {
            actions.push(Action::Stop);
        }
        (Some(true), true) | (Some(false), _) | (None, _) => {}
    }
    actions
}

impl Action {
    fn verb(self) -> &'static str {
        match self {
            Self::Unmask => "unmask",
            Self::Reload => "daemon-reload",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::ResetFailed => "reset-failed",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::Mask => "mask",
        }
    }

    /// The word for people, where the call is worth one.
    fn told(self) -> Option<&'static str> {
        match self {
            Self::Reload | Self::ResetFailed => None,
            Self::Unmask
            | Self::Enable
            | Self::Disable
            | Self::Start
            | Self::Restart
            | Self::Stop
            | Self::Mask => Some(self.verb()),
        }
    }
}

async fn systemctl(host: &Host, action: Action, name: &str) -> Result<(), StateError> {
    if action == Action::Reload {
        return reload(host).await;
    }
    run(host, action.verb(), name).await
}

/// Makes systemd read its units again.
pub(crate) async fn reload(host: &Host) -> Result<(), StateError> {
    host.program("systemctl")
        .arg("daemon-reload")
        .deadline(DEADLINE)
        .run()
        .await
        .doing(|| "could not make systemd read its units again".to_owned())?;
    Ok(())
}

async fn run(host: &Host, verb: &str, name: &str) -> Result<(), StateError> {
    let doing = || format!("could not {verb} `{name}`");
    let result =
        host.program("systemctl").arg(verb).arg(no_option(name).doing(doing)?).deadline(DEADLINE).run().await;
    let Err(err) = result else { return Ok(()) };
    let starting = matches!(verb, "start" | "restart" | "reload-or-restart");
    if let (ProgramError::Failed { .. }, true) = (&err, starting)
        && let Some(words) = last_words(host, name).await
    {
        // systemctl only says that the unit failed; the unit itself said why.
        return Err(StateError::new(doing()).because(words).retryable());
    }
    Err(err).doing(doing).map_err(StateError::retryable)
}

/// The last lines of a unit's journal.
async fn last_words(host: &Host, name: &str) -> Option<String> {
    let output = host
        .program("journalctl")
        .args(["--no-pager", "--quiet", "--output=cat", "--lines=5", "--unit", name])
        .deadline(Duration::from_secs(10))
        .run()
        .await
        .ok()?;
    let lines: Vec<&str> = output.stdout.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    (!lines.is_empty()).then(|| format!("`{name}` said: {}", lines.join("; ")))
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::State;

    use super::*;
    use crate::testing::{Lab, chain};

    /// A systemd of one unit, kept in files below /run/fake.
    const SYSTEMCTL: &str = r#"
        cd "$ROOT/run/fake"
        case "$1" in
        show) echo "LoadState=$(cat load)"; echo "ActiveState=$(cat active)"
              echo "UnitFileState=$(cat file)"; echo "NeedDaemonReload=$(cat reload)"
              echo "ExecMainStartTimestampMonotonic=$(cat started)" ;;
        start|restart) echo active > active; read up _ < /proc/uptime; echo "$((${up%.*} + 1))000000" > started ;;
        stop) echo inactive > active ;;
        enable) echo enabled > file ;;
        disable) echo disabled > file ;;
        mask) echo masked > file; echo masked > load ;;
        unmask) echo disabled > file; echo loaded > load ;;
        daemon-reload) echo no > reload ;;
        esac"#;

    fn lab(load: &str, active: &str, file: &str) -> Lab {
        let lab = Lab::new();
        for (name, value) in
            [("load", load), ("active", active), ("file", file), ("reload", "no"), ("started", "0")]
        {
            lab.file(&format!("/run/fake/{name}"), value);
        }
        lab.program("systemctl", SYSTEMCTL);
        lab
    }

    fn changes(lab: &Lab) -> Vec<String> {
        lab.calls().into_iter().filter(|call| !call.contains(" show ")).collect()
    }

    #[tokio::test]
    async fn a_stopped_unit_is_enabled_and_started() {
        let lab = lab("loaded", "inactive", "disabled");
        let change = lab.settles(&State::Service(Service::running("kubelet.service"))).await;
        assert_eq!(change.summary, "enable and start kubelet.service");
        assert_eq!(changes(&lab), ["systemctl enable kubelet.service", "systemctl start kubelet.service"]);
    }

    #[tokio::test]
    async fn a_failed_and_masked_unit_comes_back() {
        let lab = lab("masked", "failed", "masked");
        lab.settles(&State::Service(Service::running("kubelet.service"))).await;
    }

    #[tokio::test]
    async fn an_unwanted_unit_is_disabled_and_stopped_and_a_missing_one_is_no_trouble() {
        lab("loaded", "active", "enabled")
            .settles(&State::Service(Service::stopped("firewalld.service")))
            .await;
        let lab = lab("not-found", "inactive", "");
        assert_eq!(lab.check(&State::Service(Service::stopped("x.service"))).await.unwrap(), None);
    }

    #[tokio::test]
    async fn whether_a_unit_runs_can_be_left_alone() {
        for (active, file, enabled) in [("active", "enabled", false), ("inactive", "disabled", true)] {
            let lab = lab("loaded", active, file);
            let wish = Service { running: None, enabled: Some(enabled), ..Service::stopped("x.service") };
            lab.settles(&State::Service(wish)).await;
            assert_eq!(lab.text("/run/fake/active").trim(), active);
        }
    }

    #[tokio::test]
    async fn a_masked_unit_stops_and_stays_masked() {
        let wish = Service { masked: true, may_be_missing: false, ..Service::stopped("docker.service") };
        lab("loaded", "active", "enabled").settles(&State::Service(wish)).await;
    }

    #[tokio::test]
    async fn a_unit_whose_file_changed_under_it_is_restarted() {
        let lab = lab("loaded", "active", "enabled");
        lab.file("/run/fake/reload", "yes");
        lab.settles(&State::Service(Service::running("kubelet.service"))).await;
        assert_eq!(changes(&lab), ["systemctl daemon-reload", "systemctl restart kubelet.service"]);
    }

    #[tokio::test]
    async fn a_unit_that_started_before_a_file_that_it_reads_was_renewed_is_restarted() {
        let lab = lab("loaded", "active", "enabled");
        lab.file("/run/fake/started", "1");
        let reads = vec!["/etc/kubernetes/kubelet.conf".into(), "/etc/missing".into()];
        let wish = Service { reads, ..Service::running("kubelet.service") };
        assert_eq!(lab.check(&State::Service(wish.clone())).await.unwrap(), None);
        lab.file("/etc/kubernetes/kubelet.conf", "renewed");
        lab.settles(&State::Service(wish)).await;
        assert_eq!(changes(&lab), ["systemctl restart kubelet.service"]);
    }

    #[tokio::test]
    async fn a_watched_change_restarts_or_reloads_what_runs() {
        let lab = lab("loaded", "active", "enabled");
        let wish = Service::running("kubelet.service");
        let reloading = Service { reload: true, ..wish.clone() };
        assert!(react(&lab.host, &wish).await.unwrap().is_some());
        assert!(react(&lab.host, &reloading).await.unwrap().is_some());
        assert!(react(&lab.host, &Service::stopped("kubelet.service")).await.unwrap().is_none());
        assert_eq!(
            changes(&lab),
            ["systemctl restart kubelet.service", "systemctl reload-or-restart kubelet.service"]
        );
    }

    #[tokio::test]
    async fn a_unit_that_does_not_start_tells_why() {
        let lab = lab("loaded", "inactive", "enabled");
        lab.program(
            "systemctl",
            "case $1 in show) echo ActiveState=inactive; echo UnitFileState=enabled;; *) echo 'Job failed.' >&2; exit 1;; esac",
        );
        lab.program("journalctl", "echo 'address already in use'");
        let wish = State::Service(Service::running("etcd.service"));
        let change = lab.check(&wish).await.unwrap().unwrap();
        use metalk8s_engine::Hands;
        let err = lab.host.apply(&wish, &change).await.unwrap_err();
        assert!(chain(&err).contains("address already in use"), "{}", chain(&err));
    }

    #[test]
    fn units_that_cannot_be_enabled_count_as_enabled() {
        let unit = Unit {
            load: "loaded".into(),
            active: "active".into(),
            file: "static".into(),
            needs_reload: false,
            ..Unit::default()
        };
        assert_eq!(decide(&Service::running("x.service"), &unit), []);
    }
}
