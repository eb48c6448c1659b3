//! Lines of /etc/hosts.

use std::{net::IpAddr, path::Path};

use metalk8s_engine::{Change, ChangeKind, StateError, state::HostsEntry};

use crate::{Host, lines};

const HOSTS: &str = "/etc/hosts";

pub(crate) fn check(host: &Host, wish: &HostsEntry) -> Result<Option<Change>, StateError> {
    let old = host.read_text(Path::new(HOSTS))?.unwrap_or_default();
    let new = edited(&old, wish);
    Ok((new != old).then(|| Change {
        before: Some(old),
        after: Some(new),
        ..Change::new(
            ChangeKind::Update,
            format!("name {} {} in {HOSTS}", wish.address, wish.names.join(" ")),
        )
    }))
}

pub(crate) fn apply(host: &Host, wish: &HostsEntry) -> Result<(), StateError> {
    lines::edit(host, Path::new(HOSTS), |text| edited(text, wish))?;
    Ok(())
}

/// The address with exactly these names on one line. Lines of other addresses stay as they are, even where
/// they have one of the names: two addresses of one name are somebody's wish.
fn edited(text: &str, wish: &HostsEntry) -> String {
    let is_ours = |line: &str| address(line) == Some(wish.address);
    let mut ours = text.lines().filter(|line| is_ours(line));
    if let (Some(line), None) = (ours.next(), ours.next())
        && lines::words(line)[1..].iter().eq(wish.names.iter())
    {
        return text.to_owned();
    }
    lines::with_line(text, &format!("{}\t{}", wish.address, wish.names.join(" ")), is_ours)
}

pub(crate) fn check_no_name(
    host: &Host,
    address: Option<IpAddr>,
    name: &str,
) -> Result<Option<Change>, StateError> {
    let old = host.read_text(Path::new(HOSTS))?.unwrap_or_default();
    let new = without(&old, address, name);
    Ok((new != old).then(|| Change {
        before: Some(old),
        after: Some(new),
        ..Change::new(ChangeKind::Remove, format!("remove the name {name} from {HOSTS}"))
    }))
}

pub(crate) fn remove_name(host: &Host, address: Option<IpAddr>, name: &str) -> Result<(), StateError> {
    lines::edit(host, Path::new(HOSTS), |text| without(text, address, name))?;
    Ok(())
}

/// The text without a name, beside one address or beside any. A line that names nothing else goes; of another,
/// only the name does.
fn without(text: &str, wished: Option<IpAddr>, name: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let words = lines::words(line);
        let is_ours = address(line).is_some_and(|found| wished.is_none_or(|wished| wished == found));
        if !is_ours || !words[1..].contains(&name) {
            out.push_str(line);
            continue;
        }
        let kept: Vec<&str> = words[1..].iter().copied().filter(|word| *word != name).collect();
        if !kept.is_empty() {
            let comment = line.find('#').map(|at| format!(" {}", line[at..].trim_end()));
            out.push_str(&format!("{}\t{}{}\n", words[0], kept.join(" "), comment.unwrap_or_default()));
        }
    }
    out
}

fn address(line: &str) -> Option<IpAddr> {
    lines::words(line).first()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::{State, state::Removed};

    use super::*;
    use crate::testing::Lab;

    #[tokio::test]
    async fn an_address_gets_exactly_its_names() {
        let lab = Lab::new();
        lab.file("/etc/hosts", "127.0.0.1 localhost\n10.0.0.2 old # note\n10.0.0.2 older\n");
        let wish = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            State::HostsEntry(HostsEntry { address: "10.0.0.2".parse().unwrap(), names })
        };
        lab.settles(&wish(&["node", "node.example"])).await;
        assert_eq!(lab.text("/etc/hosts"), "127.0.0.1 localhost\n10.0.0.2\tnode node.example\n");
        lab.settles(&wish(&["node"])).await;
    }

    #[tokio::test]
    async fn a_name_goes_and_others_of_its_address_stay() {
        let lab = Lab::new();
        let before = "127.0.0.1 localhost\n10.0.0.2 old node # note\n10.0.0.3 old\n# 10.0.0.4 old\n";
        lab.file("/etc/hosts", before);
        let wish = |address: Option<&str>| {
            let address = address.map(|address| address.parse().unwrap());
            State::Removed(Removed::HostsName { address, name: "old".to_owned() })
        };
        assert_eq!(lab.check(&wish(Some("10.0.0.9"))).await.unwrap(), None);
        lab.settles(&wish(Some("10.0.0.2"))).await;
        lab.settles(&wish(None)).await;
        assert_eq!(lab.text("/etc/hosts"), "127.0.0.1 localhost\n10.0.0.2\tnode # note\n# 10.0.0.4 old\n");
    }

    #[test]
    fn a_right_line_is_left_as_it_was_written() {
        let text = "10.0.0.2    node   # by hand";
        let wish = HostsEntry { address: "10.0.0.2".parse().unwrap(), names: vec!["node".to_owned()] };
        assert_eq!(edited(text, &wish), text);
    }
}
