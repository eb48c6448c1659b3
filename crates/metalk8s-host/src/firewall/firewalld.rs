//! Openings in the default zone of firewalld, in the running configuration and in the lasting one.

use metalk8s_engine::{StateError, state::Opening};

use crate::{Host, doing::Doing};

/// The two configurations; reloading instead would drop what others set for now only.
const CONFIGURATIONS: [&[&str]; 2] = [&[], &["--permanent"]];

pub(super) async fn is_open(host: &Host, wish: &Opening) -> Result<bool, StateError> {
    for configuration in CONFIGURATIONS {
        if !missing(&list(host, configuration).await?, wish).is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) async fn open(host: &Host, wish: &Opening) -> Result<(), StateError> {
    for configuration in CONFIGURATIONS {
        for rule in missing(&list(host, configuration).await?, wish) {
            let option = match rule {
                Rule::Port(port) => format!("--add-port={port}"),
                Rule::Rich(rule) => format!("--add-rich-rule={rule}"),
            };
            host.program("firewall-cmd")
                .args(configuration)
                .arg(option)
                .run()
                .await
                .doing(|| format!("could not open port {}/{} in firewalld", wish.port, wish.protocol))?;
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Rule {
    Port(String),
    Rich(String),
}

async fn list(host: &Host, configuration: &[&str]) -> Result<String, StateError> {
    let output = host.program("firewall-cmd").args(configuration).arg("--list-all").run().await;
    Ok(output.doing(|| "could not ask firewalld for its openings".to_owned())?.stdout)
}

fn missing(list: &str, wish: &Opening) -> Vec<Rule> {
    let port = format!("{}/{}", wish.port, wish.protocol);
    if wish.sources.is_empty() {
        let ports = list.lines().find_map(|line| line.trim().strip_prefix("ports:")).unwrap_or_default();
        return if ports.split_whitespace().any(|open| open == port) {
            Vec::new()
        } else {
            vec![Rule::Port(port)]
        };
    }
    // As firewalld itself writes them back.
    let rules = wish.sources.iter().map(|source| {
        let family = if source.addr().is_ipv4() { "ipv4" } else { "ipv6" };
        format!(
            "rule family=\"{family}\" source address=\"{}\" port port=\"{}\" protocol=\"{}\" accept",
            source.trunc(),
            wish.port,
            wish.protocol
        )
    });
    rules.filter(|rule| !list.lines().any(|line| line.trim() == rule)).map(Rule::Rich).collect()
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::State;

    use super::*;
    use crate::testing::Lab;

    fn lab() -> Lab {
        let lab = Lab::new();
        let empty = "public (active)\n  ports: 22/tcp\n  rich rules: \n";
        for name in ["now", "lasting"] {
            lab.file(&format!("/fake/{name}"), empty);
        }
        lab.program(
            "firewall-cmd",
            r#"file=now; test "$1" != --permanent || { file=lasting; shift; }; file="$ROOT/fake/$file"
               case "$1" in
               --list-all) cat "$file" ;;
               --add-port=*) sed -i "s|ports:.*|& ${1#*=}|" "$file" ;;
               --add-rich-rule=*) printf '\t%s\n' "${1#*=}" >> "$file" ;;
               esac"#,
        );
        lab
    }

    fn wish(sources: &[&str]) -> State {
        let sources = sources.iter().map(|source| source.parse().unwrap()).collect();
        State::Opening(Opening { name: "api".to_owned(), protocol: "tcp".to_owned(), port: 6443, sources })
    }

    #[tokio::test]
    async fn a_port_is_opened_now_and_for_good() {
        let lab = lab();
        lab.settles(&wish(&[])).await;
        for name in ["now", "lasting"] {
            assert!(lab.text(&format!("/fake/{name}")).contains("ports: 22/tcp 6443/tcp"), "{name}");
        }
    }

    #[tokio::test]
    async fn a_port_is_opened_for_the_named_ranges_alone() {
        let lab = lab();
        lab.settles(&wish(&["10.0.0.7/8", "fd00::/64"])).await;
        let text = lab.text("/fake/now");
        assert!(text.contains("source address=\"10.0.0.0/8\" port port=\"6443\""), "{text}");
        assert!(text.contains("family=\"ipv6\" source address=\"fd00::/64\""), "{text}");
        assert!(!text.contains("6443/tcp"), "{text}");
    }
}
