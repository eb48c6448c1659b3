//! One file for all cases: making files takes longer than reading them. Included by checks that read files.

use std::{cell::RefCell, fs::File, os::unix::fs::FileExt, path::Path};

/// The bytes as a file without a name.
pub(crate) fn file_with(bytes: &[u8]) -> File {
    thread_local! {
        static FILE: RefCell<Option<File>> = const { RefCell::new(None) };
    }
    FILE.with_borrow_mut(|file| {
        let memory = Path::new("/dev/shm");
        let file = file.get_or_insert_with(|| {
            tempfile::tempfile_in(memory).or_else(|_| tempfile::tempfile()).expect("a file can be made")
        });
        file.set_len(bytes.len() as u64).expect("a file can be cut");
        file.write_all_at(bytes, 0).expect("a file can be written");
        file.try_clone().expect("a file can be opened twice")
    })
}
