//! how programs speak: error codes, hints, exit codes, tracing set-up, progress.
