//! boots test machines and runs the end-to-end suites.
