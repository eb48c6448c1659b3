//! Where `salt-ssh` finds machines.

use std::str::FromStr;

/// Where machines are found that have no agent yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Roster {
    /// In the Node objects: their annotations say how a machine is reached.
    #[default]
    Kubernetes,
}

impl FromStr for Roster {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "kubernetes" => Ok(Self::Kubernetes),
            other => Err(format!(
                "`{other}` is not offered: machines are found by their Node objects, with the roster `kubernetes`"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Roster;

    #[test]
    fn only_node_objects_are_a_roster() {
        assert_eq!("kubernetes".parse(), Ok(Roster::Kubernetes));
        for other in ["flat", "ansible", "Kubernetes", ""] {
            assert!(other.parse::<Roster>().unwrap_err().contains("`kubernetes`"), "{other}");
        }
    }
}
