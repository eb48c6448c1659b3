//! the only crate that knows Salt's wire forms, function names and SLS files.
