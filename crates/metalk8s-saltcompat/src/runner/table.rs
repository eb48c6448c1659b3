//! Every function of `salt-run` that is offered, with what it takes and does.

/// A function of the master that is offered.
#[derive(Debug, Clone, Copy)]
pub struct Runner {
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
    Orchestrate,
    /// One state of the master's own machine.
    Single,
    Minions(Minions),
    Versions,
    Jobs(JobsAsk),
    SyncAll,
    SyncRoster,
    SyncAuth,
    Wait,
    Arg,
    Doc,
}

/// Which minions are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Minions {
    /// Those that answer and those that do not, as two lists.
    Status,
    /// Those that answer.
    Up,
    /// Those that do not answer.
    Down,
    /// Those that are connected; none is asked.
    Present,
    /// Those that are not connected; none is asked.
    NotPresent,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum JobsAsk {
    List,
    One,
    Print,
    Lookup,
    Active,
    Last,
}

const ORCHESTRATE: &str = "NAME [saltenv=ENVIRONMENT] [pillar={KEY: VALUE}] [test=True]";
const TARGET: &str = "[tgt=TARGET] [tgt_type=KIND]";
const SEARCH: &str = "[search_function=GLOB] [search_target=GLOB] [search_metadata={KEY: VALUE}]";

const fn runner(name: &'static str, words: &'static str, about: &'static str, does: Does) -> Runner {
    Runner { name, words, about, does }
}

/// Every function of the master that is offered.
pub const RUNNERS: &[Runner] = &[
    runner(
        "state.orchestrate",
        ORCHESTRATE,
        "carries out a procedure over many nodes, or applies formulas to the Bootstrap node",
        Does::Orchestrate,
    ),
    runner("state.orch", ORCHESTRATE, "the same as state.orchestrate", Does::Orchestrate),
    runner("state.sls", ORCHESTRATE, "the same as state.orchestrate", Does::Orchestrate),
    runner(
        "state.orchestrate_single",
        "FUNCTION NAME [ARGUMENT=VALUE...] [test=True]",
        "applies one state to the Bootstrap node",
        Does::Single,
    ),
    runner("manage.status", TARGET, "shows which minions answer", Does::Minions(Minions::Status)),
    runner("manage.up", TARGET, "names the minions that answer", Does::Minions(Minions::Up)),
    runner("manage.down", TARGET, "names the minions that do not answer", Does::Minions(Minions::Down)),
    runner("manage.present", "", "names the minions that are connected", Does::Minions(Minions::Present)),
    runner(
        "manage.not_present",
        "",
        "names the minions that are not connected",
        Does::Minions(Minions::NotPresent),
    ),
    runner("manage.versions", "", "compares the versions of minions with the master's", Does::Versions),
    runner("jobs.list_jobs", SEARCH, "shows the jobs that are kept", Does::Jobs(JobsAsk::List)),
    runner("jobs.list_job", "JID", "shows a job and what was returned", Does::Jobs(JobsAsk::One)),
    runner("jobs.print_job", "JID", "the same, under the id of the job", Does::Jobs(JobsAsk::Print)),
    runner(
        "jobs.lookup_jid",
        "JID [missing=True]",
        "shows what the minions of a job returned",
        Does::Jobs(JobsAsk::Lookup),
    ),
    runner("jobs.active", "", "shows the jobs that run", Does::Jobs(JobsAsk::Active)),
    runner(
        "jobs.last_run",
        "[function=GLOB] [target=GLOB] [metadata={KEY: VALUE}]",
        "shows the newest job",
        Does::Jobs(JobsAsk::Last),
    ),
    runner("saltutil.sync_all", "[saltenv=ENVIRONMENT]", "syncs modules of the master", Does::SyncAll),
    runner("saltutil.sync_roster", "[saltenv=ENVIRONMENT]", "syncs rosters of the master", Does::SyncRoster),
    runner("metalk8s_saltutil.sync_auth", "", "syncs what logins are checked with", Does::SyncAuth),
    runner(
        "metalk8s_saltutil.wait_minions",
        "[tgt=TARGET] [retry=COUNT]",
        "waits until minions answer and run nothing",
        Does::Wait,
    ),
    runner("test.arg", "[WORD...] [NAME=VALUE...]", "shows its words as they are read", Does::Arg),
    runner("doc.runner", "[FUNCTION|MODULE...]", "says what these functions do", Does::Doc),
];
