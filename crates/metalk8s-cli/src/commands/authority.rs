//! `metalk8s authority`.

use std::{
    fs::File,
    io::{BufRead, BufReader, IsTerminal, stdin},
    path::{Path, PathBuf},
};

use jiff::{Timestamp, tz::TimeZone};
use metalk8s_diagnostics::{
    Cell, DiagnoseExt, Diagnosed, Exit, Output, Paint, Printer, Table, code_of_io, explain,
};
use metalk8s_host::Host;
use metalk8s_orchestrator::{
    ConfigurationFile,
    authorities::{
        Deed, KeyPlace, RootKeys, Standing, needs_password, not_apart, protect_roots, renew_authorities,
        standing, unprotect_roots,
    },
    lock,
};
use metalk8s_types::paths;

use super::procedure::must_be_root;
use crate::args::{Authority, AuthorityCommand, Keys};

/// Who holds the lock of runs meanwhile.
const LOCKED_BY: &str = "authority";
/// The longest password that is read, in bytes.
const LONGEST: u64 = 4096;

/// Does what is asked with authorities.
pub(crate) fn run(args: Authority, printer: &mut Printer) -> anyhow::Result<Exit> {
    must_be_root()?;
    let host = Host::new();
    match args.command {
        AuthorityCommand::List { output } => list(&host, output, printer)?,
        AuthorityCommand::Protect { to, keys } => {
            let _lock = lock(Path::new(paths::RUN_LOCK), LOCKED_BY).diagnose()?;
            if let Some(folder) = &to {
                let staying = not_apart(&host, folder).diagnose()?;
                warning(folder, &staying).iter().for_each(|line| printer.warn(line));
            }
            let is_open = standing(&host).diagnose()?.iter().any(|realm| realm.root_key == KeyPlace::Open);
            let password = if is_open && !keys.dry_run { password(&keys, true)? } else { String::new() };
            let deeds = protect_roots(&host, &password, to.as_deref(), keys.dry_run).diagnose()?;
            tell(&deeds, keys.dry_run, printer);
        }
        AuthorityCommand::Unprotect { from, keys } => {
            let _lock = lock(Path::new(paths::RUN_LOCK), LOCKED_BY).diagnose()?;
            let password = password_for(&host, from.as_deref(), &keys)?;
            let roots = RootKeys { folder: from.as_deref(), password: password.as_deref() };
            tell(&unprotect_roots(&host, &roots, keys.dry_run).diagnose()?, keys.dry_run, printer);
        }
        AuthorityCommand::Renew { from, all, config, keys } => {
            let _lock = lock(Path::new(paths::RUN_LOCK), LOCKED_BY).diagnose()?;
            let lifetime = ConfigurationFile::read(&config).diagnose()?.configuration.certificates;
            let renew = |roots: &RootKeys<'_>, dry_run| {
                renew_authorities(&host, roots, lifetime.lifetime_seconds, all, dry_run).diagnose()
            };
            let mut deeds = renew(&RootKeys { folder: None, password: None }, true)?;
            if !deeds.is_empty() && !keys.dry_run {
                let password = password_for(&host, from.as_deref(), &keys)?;
                deeds = renew(&RootKeys { folder: from.as_deref(), password: password.as_deref() }, false)?;
            }
            tell(&deeds, keys.dry_run, printer);
        }
    }
    Ok(Exit::Done)
}

fn list(host: &Host, output: Output, printer: &mut Printer) -> anyhow::Result<()> {
    let standing = standing(host).diagnose()?;
    match output {
        Output::Text => printer.data(text(&standing, &TimeZone::system(), printer.paint()).trim_end()),
        Output::Json => printer.json(&standing)?,
        Output::Yaml => printer.data(&serde_saphyr::to_string(&standing)?),
    }
    Ok(())
}

fn tell(deeds: &[Deed], dry_run: bool, printer: &mut Printer) {
    for Deed { name, summary } in deeds {
        printer.say(&format!("{name}: {summary}"));
    }
    let count = deeds.len();
    printer.say(&match (count, dry_run) {
        (0, _) => "Nothing is to be done.".to_owned(),
        (1, true) => "1 authority would change; nothing was changed.".to_owned(),
        (1, false) => "1 authority changed.".to_owned(),
        (_, true) => format!("{count} authorities would change; nothing was changed."),
        (_, false) => format!("{count} authorities changed."),
    });
}

/// What is said of keys that the folder does not take away from the disk.
fn warning(folder: &Path, staying: &[PathBuf]) -> Option<String> {
    let first = staying.first()?;
    Some(format!(
        "`{}` is on the same file system as `{}`: the keys change their place and stay on this disk, where whoever \
         has it can try passwords; a folder on a medium that you take out keeps them apart",
        folder.display(),
        first.display()
    ))
}

fn password_for(host: &Host, folder: Option<&Path>, keys: &Keys) -> anyhow::Result<Option<String>> {
    if keys.dry_run || !needs_password(host, folder).diagnose()? {
        return Ok(None);
    }
    Ok(Some(password(keys, false)?))
}

/// The password, from where the arguments say; a new one is asked for twice.
fn password(keys: &Keys, is_new: bool) -> Result<String, Diagnosed> {
    match &keys.password_file {
        Some(path) if path == Path::new("-") => first_line(stdin().lock(), path),
        Some(path) => {
            let file = File::open(path).map_err(|error| unreadable(path, &error))?;
            first_line(BufReader::new(file), path)
        }
        None if !stdin().is_terminal() => {
            let error = "nobody can be asked for the password here, because stdin is no terminal";
            Err(Diagnosed::with_code(explain::WRONG_USAGE, error)
                .hint("`--password-file FILE` names a file whose first line it is".to_owned()))
        }
        None => {
            let question =
                if is_new { "New password of the roots' keys: " } else { "Password of the roots' keys: " };
            let password = asked(question)?;
            if is_new && asked("Once more: ")? != password {
                return Err(Diagnosed::with_code(explain::KEY_PASSWORD, "the two passwords differ"));
            }
            not_empty(password)
        }
    }
}

fn asked(question: &str) -> Result<String, Diagnosed> {
    let doing =
        |error| Diagnosed::with_code(explain::KEY_PASSWORD, format!("could not read the password: {error}"));
    rpassword::prompt_password(question).map_err(doing)
}

fn first_line(text: impl BufRead, path: &Path) -> Result<String, Diagnosed> {
    let mut line = String::new();
    text.take(LONGEST).read_line(&mut line).map_err(|error| unreadable(path, &error))?;
    not_empty(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn not_empty(password: String) -> Result<String, Diagnosed> {
    match password.is_empty() {
        true => Err(Diagnosed::with_code(explain::KEY_PASSWORD, "the password is empty")),
        false => Ok(password),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnosed {
    Diagnosed::with_code(
        code_of_io(error),
        format!("could not read the password in `{}`: {error}", path.display()),
    )
}

/// A line for each realm, with times in `zone`.
fn text(realms: &[Standing], zone: &TimeZone, paint: Paint) -> String {
    let mut table = Table::new(["ROOT", "ENDS", "DUE FROM", "KEY", "ISSUING AUTHORITY", "ENDS", "DUE FROM"]);
    let day = |moment: Option<Timestamp>| match moment {
        Some(moment) => moment.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string(),
        None => "unreadable".to_owned(),
    };
    for realm in realms {
        table.row([
            Cell::plain(realm.name),
            Cell::plain(&day(realm.root_ends)),
            Cell::plain(&day(realm.root_due)),
            match realm.root_key {
                KeyPlace::Open => Cell::painted("open, here", Paint::yellow),
                KeyPlace::Protected => Cell::painted("protected, here", Paint::green),
                KeyPlace::Away => Cell::painted("away", Paint::green),
            },
            Cell::plain(&realm.issuing.display().to_string()),
            Cell::plain(&day(realm.issuing_ends)),
            Cell::plain(&day(realm.issuing_due)),
        ]);
    }
    table.text(paint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_password_whole_and_nothing_else_is() {
        let read = |text: &str| first_line(text.as_bytes(), Path::new("/p"));
        assert_eq!(read("correct horse \nbattery\n").unwrap(), "correct horse ");
        assert_eq!(read("x\r\n").unwrap(), "x");
        assert!(read("\n").is_err() && read("").is_err());
    }

    #[test]
    fn a_folder_on_the_same_disk_is_worth_a_warning_and_another_is_not() {
        let told = warning(Path::new("/root/safe"), &["/etc/kubernetes/pki/ca.key".into()]).unwrap();
        assert!(
            told.starts_with("`/root/safe` is on the same file system as `/etc/kubernetes/pki/ca.key`"),
            "{told}"
        );
        assert_eq!(warning(Path::new("/media/safe"), &[]), None);
    }

    #[test]
    fn each_realm_tells_where_the_key_of_its_root_is() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).ok();
        let realm = |root_key| Standing {
            name: "kubernetes",
            root: "/etc/kubernetes/pki/ca.crt".into(),
            root_ends: at(9000),
            root_due: at(6000),
            root_key,
            issuing: "/etc/kubernetes/pki/issuing-ca.crt".into(),
            issuing_ends: at(3000),
            issuing_due: None,
        };
        let realms = [KeyPlace::Open, KeyPlace::Protected, KeyPlace::Away].map(realm);
        let text = text(&realms, &TimeZone::UTC, Paint::new(false));
        let lines: Vec<&str> = text.lines().skip(1).collect();
        for (line, place) in lines.iter().zip(["  open, here  ", "  protected, here  ", "  away  "]) {
            assert!(
                line.contains(place) && line.contains("2027-01-15 10:30") && line.ends_with("unreadable"),
                "{text}"
            );
        }
    }
}
