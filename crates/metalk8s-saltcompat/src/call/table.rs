//! Every function that is offered, with what it takes and does.

/// The function that shows the certificates of a machine.
pub const CERTIFICATES: &str = "metalk8s.certificates";
/// The function that shows how a machine stands.
pub const HEALTH: &str = "metalk8s.health";

/// A function that is offered.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// Salt's name of it.
    pub name: &'static str,
    /// The words it takes, as a usage line shows them.
    pub words: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    pub(super) does: Does,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Does {
    Apply,
    /// As `Apply`, but only looked at.
    Test,
    Single,
    ShowSls,
    Grains(Show),
    Pillar(Show),
    /// Grains, and then the pillar.
    Config,
    Ping,
    Version,
    Echo,
    /// The words as they are read: all, or only those with a name.
    Arguments {
        only_named: bool,
    },
    Truth(bool),
    Fibonacci,
    Sleep,
    Status,
    /// All kinds of modules, or one.
    Sync(Option<&'static str>),
    Refresh,
    Running,
    FindJob,
    /// Asked to, or at once.
    EndJob {
        hard: bool,
    },
    Command(Told),
    Service(Verb),
    Packages(Show),
    Addresses {
        ipv6: bool,
    },
    Interfaces(Link),
    /// All, or those in this state.
    Services(Option<&'static str>),
    /// Whether it is there, or whether it is not.
    HasService(bool),
    RunningServices,
    /// A verb of systemctl(1) that changes a unit.
    Systemctl(&'static str),
    IsMasked,
    ShowUnit,
    DiskUsage,
    DiskDump,
    Tell(super::About),
    /// Functions, and state functions.
    Sys {
        states: bool,
        ask: Ask,
    },
}

/// What is shown of a tree.
#[derive(Debug, Clone, Copy)]
pub(super) enum Show {
    Path,
    All,
    Names,
    /// Several paths, each under its name.
    Some,
}

/// What is told of a command that ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Told {
    Both,
    Stdout,
    Stderr,
    Status,
    All,
}

/// What is done with a unit.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verb {
    Status,
    IsEnabled,
    IsDisabled,
    Start,
    Stop,
    Restart,
    Enable,
    Disable,
}

/// What is told of interfaces.
#[derive(Debug, Clone, Copy)]
pub(super) enum Link {
    All,
    /// The IPv4 address of one.
    Address,
    /// The hardware address of one.
    Hardware,
}

/// What is asked about functions.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ask {
    Names,
    Modules,
    Doc,
}

const FILES: &str = "NAME[,NAME...] [test=True] [pillar={KEY: VALUE}]";
const SHOWN: &str = "NAME[,NAME...] [pillar={KEY: VALUE}]";
const COMMAND: &str = "COMMAND [cwd=PATH] [env={NAME: VALUE}] [runas=USER] [shell=PATH] [timeout=SECONDS]";

const SYNC: &str = "[saltenv=ENVIRONMENT]";

const fn function(name: &'static str, words: &'static str, about: &'static str, does: Does) -> Function {
    Function { name, words, about, does }
}

/// Every function that is offered.
pub const FUNCTIONS: &[Function] = &[
    function("state.apply", FILES, "applies SLS files", Does::Apply),
    function("state.sls", FILES, "the same as state.apply", Does::Apply),
    function(
        "state.highstate",
        "[test=True] [pillar={KEY: VALUE}]",
        "makes the machine what its roles ask for",
        Does::Apply,
    ),
    function("state.test", SHOWN, "shows what SLS files would change", Does::Test),
    function(
        "state.single",
        "FUNCTION NAME [ARGUMENT=VALUE...] [test=True]",
        "applies one state",
        Does::Single,
    ),
    function("state.show_sls", SHOWN, "shows what SLS files say", Does::ShowSls),
    function("grains.get", "PATH [DEFAULT]", "shows one fact of the machine", Does::Grains(Show::Path)),
    function("grains.item", "PATH...", "shows some facts of the machine", Does::Grains(Show::Some)),
    function("grains.items", "", "shows all facts of the machine", Does::Grains(Show::All)),
    function("grains.ls", "", "names the facts of the machine", Does::Grains(Show::Names)),
    function("pillar.get", "PATH [DEFAULT]", "shows one setting", Does::Pillar(Show::Path)),
    function("pillar.item", "PATH...", "shows some settings", Does::Pillar(Show::Some)),
    function("pillar.items", "[pillar={KEY: VALUE}]", "shows all settings", Does::Pillar(Show::All)),
    function("pillar.ls", "", "names the settings", Does::Pillar(Show::Names)),
    function("config.get", "PATH [DEFAULT]", "shows a fact or else a setting", Does::Config),
    function("cmd.run", COMMAND, "runs a command and shows all it wrote", Does::Command(Told::Both)),
    function("cmd.run_stdout", COMMAND, "runs a command and shows its stdout", Does::Command(Told::Stdout)),
    function("cmd.run_stderr", COMMAND, "runs a command and shows its stderr", Does::Command(Told::Stderr)),
    function("cmd.retcode", COMMAND, "runs a command and shows its status", Does::Command(Told::Status)),
    function("cmd.run_all", COMMAND, "runs a command and shows status and output", Does::Command(Told::All)),
    function("service.status", "NAME", "says whether a unit runs", Does::Service(Verb::Status)),
    function("service.enabled", "NAME", "says whether a unit starts at boot", Does::Service(Verb::IsEnabled)),
    function(
        "service.disabled",
        "NAME",
        "says whether a unit does not start at boot",
        Does::Service(Verb::IsDisabled),
    ),
    function("service.start", "NAME", "starts a unit", Does::Service(Verb::Start)),
    function("service.stop", "NAME", "stops a unit", Does::Service(Verb::Stop)),
    function("service.restart", "NAME", "restarts a unit", Does::Service(Verb::Restart)),
    function("service.reload", "NAME", "has a unit read its settings anew", Does::Systemctl("reload")),
    function("service.enable", "NAME", "lets a unit start at boot", Does::Service(Verb::Enable)),
    function("service.disable", "NAME", "keeps a unit from starting at boot", Does::Service(Verb::Disable)),
    function("service.mask", "NAME", "keeps a unit from being started at all", Does::Systemctl("mask")),
    function("service.unmask", "NAME", "lets a masked unit be started again", Does::Systemctl("unmask")),
    function("service.masked", "NAME", "says whether a unit is masked", Does::IsMasked),
    function("service.show", "NAME", "shows what systemd knows of a unit", Does::ShowUnit),
    function("service.available", "NAME", "says whether there is such a unit", Does::HasService(true)),
    function("service.missing", "NAME", "says whether there is no such unit", Does::HasService(false)),
    function("service.get_all", "", "names the services of the machine", Does::Services(None)),
    function(
        "service.get_enabled",
        "",
        "names the services that start at boot",
        Does::Services(Some("enabled")),
    ),
    function(
        "service.get_disabled",
        "",
        "names the services that could start at boot and do not",
        Does::Services(Some("disabled")),
    ),
    function(
        "service.get_static",
        "",
        "names the services that only others start",
        Does::Services(Some("static")),
    ),
    function("service.get_running", "", "names the services that run", Does::RunningServices),
    function("pkg.list_pkgs", "", "shows all packages with their versions", Does::Packages(Show::All)),
    function("pkg.version", "NAME...", "shows the versions of packages", Does::Packages(Show::Some)),
    function(
        "network.ip_addrs",
        "[INTERFACE] [cidr=RANGE]",
        "shows the IPv4 addresses of the machine",
        Does::Addresses { ipv6: false },
    ),
    function(
        "network.ipaddrs",
        "[INTERFACE] [cidr=RANGE]",
        "the same as network.ip_addrs",
        Does::Addresses { ipv6: false },
    ),
    function(
        "network.ip_addrs6",
        "[INTERFACE] [cidr=RANGE]",
        "shows the IPv6 addresses of the machine",
        Does::Addresses { ipv6: true },
    ),
    function(
        "network.ipaddrs6",
        "[INTERFACE] [cidr=RANGE]",
        "the same as network.ip_addrs6",
        Does::Addresses { ipv6: true },
    ),
    function("network.interfaces", "", "shows the interfaces of the machine", Does::Interfaces(Link::All)),
    function(
        "network.interface_ip",
        "INTERFACE",
        "shows the IPv4 address of an interface",
        Does::Interfaces(Link::Address),
    ),
    function(
        "network.hw_addr",
        "INTERFACE",
        "shows the hardware address of an interface",
        Does::Interfaces(Link::Hardware),
    ),
    function("disk.usage", "", "shows how full the file systems are", Does::DiskUsage),
    function("disk.dump", "DEVICE", "shows sizes and settings of a block device", Does::DiskDump),
    function(
        CERTIFICATES,
        "",
        "shows the certificates of the machine and when each is renewed",
        Does::Tell(super::About::Certificates),
    ),
    function(HEALTH, "", "shows clock, disks, units and addresses", Does::Tell(super::About::Health)),
    function(
        "sys.list_functions",
        "[MODULE...]",
        "names these functions",
        Does::Sys { states: false, ask: Ask::Names },
    ),
    function(
        "sys.list_modules",
        "",
        "names the modules of these functions",
        Does::Sys { states: false, ask: Ask::Modules },
    ),
    function(
        "sys.doc",
        "[FUNCTION|MODULE...]",
        "says what these functions do",
        Does::Sys { states: false, ask: Ask::Doc },
    ),
    function(
        "sys.list_state_functions",
        "[MODULE...]",
        "names the functions of states",
        Does::Sys { states: true, ask: Ask::Names },
    ),
    function(
        "sys.list_state_modules",
        "",
        "names the modules of states",
        Does::Sys { states: true, ask: Ask::Modules },
    ),
    function(
        "sys.state_doc",
        "[FUNCTION|MODULE...]",
        "says what the functions of states do",
        Does::Sys { states: true, ask: Ask::Doc },
    ),
    function("saltutil.sync_all", SYNC, "syncs modules, of which there are none", Does::Sync(None)),
    function("saltutil.sync_modules", SYNC, "the same for functions", Does::Sync(Some("modules"))),
    function("saltutil.sync_states", SYNC, "the same for states", Does::Sync(Some("states"))),
    function("saltutil.sync_grains", SYNC, "the same for facts", Does::Sync(Some("grains"))),
    function("saltutil.running", "", "shows the jobs that the agent carries out", Does::Running),
    function("saltutil.find_job", "JID", "shows one of them", Does::FindJob),
    function("saltutil.term_job", "JID", "asks one of them to end", Does::EndJob { hard: false }),
    function("saltutil.kill_job", "JID", "ends one of them at once", Does::EndJob { hard: true }),
    function("saltutil.refresh_pillar", "", "reads settings anew, as each call does", Does::Refresh),
    function("saltutil.refresh_grains", "", "collects facts anew, as each call does", Does::Refresh),
    function("mine.update", "", "tells facts to the others, as the agent always does", Does::Refresh),
    function(
        "test.arg",
        "[WORD...] [NAME=VALUE...]",
        "shows its words as they are read",
        Does::Arguments { only_named: false },
    ),
    function(
        "test.kwarg",
        "[NAME=VALUE...]",
        "shows its words with a name as they are read",
        Does::Arguments { only_named: true },
    ),
    function("test.true", "", "is true", Does::Truth(true)),
    function("test.false", "", "is false", Does::Truth(false)),
    function("test.fib", "NUMBER", "shows a number of Fibonacci and the seconds it took", Does::Fibonacci),
    function("test.sleep", "SECONDS", "waits", Does::Sleep),
    function("test.retcode", "[STATUS]", "ends with a status", Does::Status),
    function("test.echo", "TEXT", "shows a text", Does::Echo),
    function("test.ping", "", "says that the machine answers", Does::Ping),
    function("test.version", "", "shows the version of this program", Does::Version),
];

const FACTS: &str = "facts are told by the machine itself, and nobody sets them";

/// Functions that one may expect and that are not offered, with the reason.
pub(super) const REFUSED: [(&str, &str); 5] = [
    ("grains.append", FACTS),
    ("grains.delkey", FACTS),
    ("grains.delval", FACTS),
    ("grains.set", FACTS),
    ("grains.setval", FACTS),
];
