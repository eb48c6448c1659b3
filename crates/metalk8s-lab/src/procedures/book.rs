//! All entries, read from the folder `tests/procedures`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use metalk8s_types::Role;

use super::{
    call::{CallError, call},
    entry::{Form, Kind, Procedure, Run, Section, Status},
    facts::Facts,
    judge::compile,
};

/// The manual: its sections in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    /// Sections, by letter.
    pub sections: Vec<Section>,
}

/// Why the entries cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadBookError {
    /// A folder or file cannot be read.
    #[error("could not read `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file does not have the form of a section.
    #[error("`{path}` is no section of procedures")]
    Parse {
        /// Which.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: toml::de::Error,
    },
}

impl Book {
    /// Reads every `.toml` of a folder.
    pub fn read(folder: &Path) -> Result<Self, ReadBookError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| ReadBookError::Read { path, source }
        };
        let mut sections = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed(folder))? {
            let path = entry.map_err(failed(folder))?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let text = fs::read_to_string(&path).map_err(failed(&path))?;
                sections.push(toml::from_str(&text).map_err(|source| ReadBookError::Parse { path, source })?);
            }
        }
        Ok(Self::new(sections))
    }

    /// Puts sections into their order.
    pub fn new(mut sections: Vec<Section>) -> Self {
        sections.sort_by_key(|section| section.letter);
        Self { sections }
    }

    /// All entries, in the order of the manual.
    pub fn procedures(&self) -> impl Iterator<Item = &Procedure> {
        self.sections.iter().flat_map(|section| &section.procedures)
    }

    /// The entry with this id.
    pub fn get(&self, id: &str) -> Option<&Procedure> {
        self.procedures().find(|procedure| procedure.id == id)
    }

    /// The version that an entry's text names.
    pub fn release_of(&self, id: &str) -> Option<&str> {
        let holds = |section: &&Section| section.procedures.iter().any(|procedure| procedure.id == id);
        self.sections.iter().find(holds).map(|section| section.release.as_str())
    }

    /// What is wrong with the entries, each problem with the id it belongs to.
    ///
    /// `count` is how many there must be: from `P001` on, without a gap.
    pub fn problems(&self, count: usize) -> Vec<String> {
        let mut problems = self.wrong_ids(count);
        for procedure in self.procedures() {
            let found = wrong_in(self, procedure);
            problems.extend(found.into_iter().map(|problem| format!("{}: {problem}", procedure.id)));
        }
        problems
    }

    fn wrong_ids(&self, count: usize) -> Vec<String> {
        let mut seen = BTreeMap::<_, usize>::new();
        for procedure in self.procedures() {
            *seen.entry(procedure.id.as_str()).or_default() += 1;
        }
        let wanted: BTreeSet<_> = (1..=count).map(|number| format!("P{number:03}")).collect();
        let missing = wanted.iter().filter(|id| !seen.contains_key(id.as_str()));
        let missing = missing.map(|id| format!("{id}: it is missing"));
        let unknown = seen.keys().filter(|id| !wanted.contains(**id));
        let unknown = unknown.map(|id| format!("{id}: there is no such procedure"));
        let double = seen.iter().filter(|(_, times)| **times > 1);
        let double = double.map(|(id, times)| format!("{id}: it is there {times} times"));
        missing.chain(unknown).chain(double).collect()
    }
}

fn wrong_in(book: &Book, procedure: &Procedure) -> Vec<String> {
    let Procedure { kind, status, metric, companions, seen, text, run, shown, not_yet, cannot, .. } =
        procedure;
    let mut problems = Vec::new();
    let mut claim = |holds: bool, problem: &str| {
        if !holds {
            problems.push(problem.to_owned());
        }
    };
    let says = [run.is_some(), shown.is_some(), not_yet.is_some(), cannot.is_some()];
    claim(
        says.into_iter().filter(|there| *there).count() == 1,
        "it needs one of run, shown, not_yet and cannot",
    );
    claim(!metric || shown.is_none(), "a documented command is run as it is printed, not shown");
    claim(shown.as_ref().is_none_or(|shown| !shown.suites.is_empty()), "it is shown by no suite");
    let is_command = matches!(kind, Kind::Cmd | Kind::Http);
    claim(*metric == (is_command && *status != Status::Picture), "metric is wrong");
    let has_text = matches!(kind, Kind::Cmd | Kind::Http | Kind::Manifest | Kind::Config);
    claim(text.is_some() == has_text, "commands, calls and contents of files have a text, others have none");
    claim(!seen.trim().is_empty(), "it does not say what must be seen");
    let reasons = [not_yet.as_ref().map(|it| &it.issue), cannot.as_ref().map(|it| &it.why)];
    claim(reasons.into_iter().flatten().all(|reason| !reason.trim().is_empty()), "it gives no reason");
    for other in companions.iter().chain(run.iter().flat_map(|run| &run.same_shell)) {
        claim(
            *other != procedure.id && book.get(other).is_some(),
            &format!("it names {other} as another procedure"),
        );
    }
    if let Some(run) = run {
        problems.extend(wrong_in_run(book, procedure, run));
    }
    problems
}

fn wrong_in_run(book: &Book, procedure: &Procedure, run: &Run) -> Vec<String> {
    let mut problems = Vec::new();
    let is_adapted = run.form == Form::Adapted;
    if is_adapted != run.adapted.is_some() {
        problems.push("an adapted form belongs to an entry that is adapted".to_owned());
    }
    if is_adapted != run.reason.as_ref().is_some_and(|reason| !reason.trim().is_empty()) {
        problems.push("what is adapted has a reason, and nothing else has one".to_owned());
    }
    match &run.call {
        None if procedure.kind != Kind::Cmd => problems.push("what is no command needs a call".to_owned()),
        Some(call) if procedure.kind == Kind::Cmd && !call.contains("{text}") => {
            problems.push("the call of a command must hold its text".to_owned());
        }
        _ => {}
    }
    let mut left = procedure.effective_text().unwrap_or_default().to_owned();
    for placeholder in run.fill.keys() {
        if !left.contains(placeholder) {
            problems.push(format!("`{placeholder}` is not in its text"));
        }
        left = left.replace(placeholder, "");
    }
    problems.extend(placeholder_in(&left).map(|placeholder| format!("`{placeholder}` is not filled in")));
    for start in run.insert.keys() {
        if !left.lines().any(|line| line.starts_with(start.as_str())) {
            problems.push(format!("no line of its text begins with `{start}`"));
        }
    }
    let facts = any_facts();
    problems.extend(run.expect.patterns().filter_map(|pattern| compile(pattern, &facts).err()));
    problems.extend(call(book, procedure, &facts).err().map(|error: CallError| error.to_string()));
    problems
}

/// What a person still has to fill in.
fn placeholder_in(text: &str) -> Option<&str> {
    if let Some(at) = text.find("X.X.X") {
        return Some(&text[at..at + "X.X.X".len()]);
    }
    // `<<EOF` and `< file` are redirections.
    let starts = text.match_indices('<').map(|(at, _)| at).filter(|at| !text[..*at].ends_with('<'));
    starts.filter_map(|at| Some(&text[at..=at + text[at..].find('>')?])).find(|found| {
        found[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
            && !found[1..].contains(['<', '\n'])
    })
}

/// Stands for every lab where only the form of a text matters.
fn any_facts() -> Facts {
    Facts {
        version: "1.2.3".to_owned(),
        node: "bootstrap".to_owned(),
        new_node: "node1".to_owned(),
        new_node_ip: [198, 18, 0, 11].into(),
        new_node_roles: vec![Role::Node],
        etcd_members: 1,
        iso: "/archives/metalk8s.iso".to_owned(),
        other_iso: String::new(),
        other_version: String::new(),
        control_plane_ip: [198, 18, 0, 10].into(),
        control_plane_cidr: ipnet::Ipv4Net::new_assert([198, 18, 0, 0].into(), 24),
        workload_plane_cidr: ipnet::Ipv4Net::new_assert([198, 18, 1, 0].into(), 24),
    }
}
