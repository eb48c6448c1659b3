use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process open at least so many files and sockets, as far as the system allows.
///
/// Container runtimes start programs with a soft limit of 1024, which is below what we are ready to serve; the
/// hard limit is far higher, and raising the soft one up to it needs no privilege.
pub(crate) fn allow(wanted: u64) {
    let limit = getrlimit(Resource::Nofile);
    // `None` is "without limit".
    let Some(current) = limit.current.filter(|&current| current < wanted) else { return };
    let possible = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if possible > current {
        let raised = Rlimit { current: Some(possible), maximum: limit.maximum };
        if let Err(err) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(error = &err as &dyn std::error::Error, "could not raise the limit of open files");
            return;
        }
    }
    if possible < wanted {
        tracing::warn!(possible, wanted, "the limit of open files is low, clients may have to wait");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_it_goes_and_never_lowered() {
        let before = getrlimit(Resource::Nofile);
        allow(1);
        assert_eq!(getrlimit(Resource::Nofile), before);
        let wanted = before.maximum.unwrap_or(4096);
        allow(wanted);
        let after = getrlimit(Resource::Nofile);
        assert_eq!(after.maximum, before.maximum);
        assert!(after.current.is_none_or(|current| current >= wanted), "{after:?}");
    }
}
