//! Completion scripts for shells: commands and options as clap knows them, and the names of tasks (BUILD-12).
//!
//! The names are those that the sources have when the script is printed.

use clap_complete::{Shell, generate};

use crate::{runner::Tasks, task::Task};

/// The name that people call.
const NAME: &str = "doit.sh";

/// Names are asked for where a task may stand. Bash breaks words at colons, which names have, and replaces only what
/// comes after the last one.
const BASH: &str = r#"
_doit_sh_tasks() {
    local line=${COMP_LINE:0:COMP_POINT} begin
    local word=${line##*[[:space:]]}
    _doit.sh "$1" "$word" "$3"
    case "${COMP_WORDS[1]},$3" in
        list,*|graph,*|reproduce,*|tabcompletion,*) ;;
        clean,*|info,*) COMPREPLY+=( $(compgen -W "$_doit_sh_names" -- "$word") ) ;;
        *,-n|*,-r|*,--reporter) ;;
        *) COMPREPLY+=( $(compgen -W "$_doit_sh_names" -- "$word") ) ;;
    esac
    if [[ $COMP_WORDBREAKS == *:* ]]; then
        begin=${word%"${word##*:}"}
        COMPREPLY=( "${COMPREPLY[@]#"$begin"}" )
    fi
}
complete -F _doit_sh_tasks -o bashdefault -o default doit.sh
"#;

const ZSH: &str = r#"
_doit_sh_tasks() {
    local ret=1 asked=1
    case ${words[2]} in
        (list|graph|reproduce|tabcompletion) asked=0 ;;
    esac
    case ${words[CURRENT-1]} in
        (-r|--reporter) asked=0 ;;
    esac
    if (( asked )); then
        _describe -t tasks task _doit_sh_names && ret=0
    fi
    _doit.sh "$@" && ret=0
    return ret
}
compdef _doit_sh_tasks doit.sh
"#;

/// The script for Bash.
pub fn bash(command: &mut clap::Command, tasks: &Tasks) -> String {
    let names: Vec<&str> = public(tasks).map(|task| task.name.as_str()).collect();
    format!("{}\n_doit_sh_names='{}'\n{BASH}", by_clap(Shell::Bash, command), names.join(" "))
}

/// The script for zsh, which shows what each task does.
pub fn zsh(command: &mut clap::Command, tasks: &Tasks) -> String {
    let line = |task: &Task| {
        let text = format!("{}:{}", task.name.replace(':', "\\:"), task.about);
        format!("    '{}'\n", text.replace('\'', r"'\''"))
    };
    let names: String = public(tasks).map(line).collect();
    format!("{}\n_doit_sh_names=(\n{names})\n{ZSH}", by_clap(Shell::Zsh, command))
}

/// Tasks and subtasks, without those that are hidden.
fn public(tasks: &Tasks) -> impl Iterator<Item = &Task> {
    tasks.values().filter(|task| task.is_public())
}

fn by_clap(shell: Shell, command: &mut clap::Command) -> String {
    let mut script = Vec::new();
    generate(shell, command, NAME, &mut script);
    String::from_utf8(script).expect("it is made of our own names")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn tasks() -> Tasks {
        let task = |name: &str| (name.to_owned(), Task::group(name, "do what it's for: all", Vec::new()));
        ["images", "images:etcd", "images:etcd-tools", "iso", "_debian_lock"].map(task).into()
    }

    fn command() -> clap::Command {
        let run = clap::Command::new("run").arg(clap::arg!(-r --reporter <REPORTER>));
        clap::Command::new("doit.sh").bin_name("doit.sh").subcommands([run, clap::Command::new("list")])
    }

    /// What Bash would offer for the last of these words, which it breaks at colons.
    fn offered(words: &[&str], pieces: &[&str]) -> Vec<String> {
        let line = words.join(" ");
        let pieces: Vec<String> = pieces.iter().map(|piece| format!("'{piece}'")).collect();
        let script = format!(
            "{}\nCOMP_LINE='{line}' COMP_POINT={} COMP_WORDS=({}) COMP_CWORD={}\nCOMP_WORDBREAKS=' :='\n\
             _doit_sh_tasks ./doit.sh {} {}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
            bash(&mut command(), &tasks()),
            line.len(),
            pieces.join(" "),
            pieces.len() - 1,
            pieces[pieces.len() - 1],
            pieces[pieces.len() - 2],
        );
        let output = Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn bash_offers_the_names_of_tasks_without_a_command() {
        let names = ["images", "images:etcd", "images:etcd-tools"];
        assert_eq!(offered(&["./doit.sh", "im"], &["./doit.sh", "im"]), names);
        assert_eq!(offered(&["./doit.sh", "run", "is"], &["./doit.sh", "run", "is"]), ["iso"]);
        assert_eq!(offered(&["./doit.sh", "_d"], &["./doit.sh", "_d"]), [""; 0]);
    }

    #[test]
    fn bash_replaces_only_what_comes_after_the_colon() {
        let pieces = ["./doit.sh", "iso", "images", ":", "etcd-"];
        assert_eq!(offered(&["./doit.sh", "iso", "images:etcd-"], &pieces), ["etcd-tools"]);
    }

    #[test]
    fn bash_offers_no_tasks_where_none_may_stand() {
        let names = offered(&["./doit.sh", "list", "i"], &["./doit.sh", "list", "i"]);
        assert_eq!(names, [""; 0]);
        let words = ["./doit.sh", "run", "--reporter", "i"];
        assert!(offered(&words, &words).iter().all(|name| name != "iso"));
    }

    #[test]
    fn zsh_is_told_what_each_task_does() {
        let script = zsh(&mut command(), &tasks());
        assert!(script.contains("'images\\:etcd:do what it'\\''s for: all'\n"), "{script}");
        assert!(!script.contains("_debian_lock") && script.contains("compdef _doit_sh_tasks doit.sh"));
    }
}
