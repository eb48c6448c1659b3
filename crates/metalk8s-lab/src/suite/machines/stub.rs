//! An archive that stands for the product: it installs nothing, but is mounted and run like the real one.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command, time::Duration};

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::process;

/// The version that it claims.
pub(super) const VERSION: &str = "0.0.1";

const BOOTSTRAP: &str = "\
#!/bin/bash
# Counts its runs, and takes long enough to be interrupted.
set -e
test -s /etc/metalk8s/bootstrap.yaml
for step in one two three; do
    echo \"> step $step... done [0s]\"
    sleep 0.3
done
echo ran >> /var/lib/stub-runs
";

/// The archive; it goes away with this value.
pub(super) struct StubArchive {
    folder: TempDir,
}

impl StubArchive {
    /// Makes it in a folder for temporary files.
    pub(super) fn make() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let tree = folder.path().join("tree");
        fs::create_dir(&tree)?;
        fs::write(tree.join("product.txt"), format!("NAME=MetalK8s\nVERSION={VERSION}\n"))?;
        let script = tree.join("bootstrap.sh");
        fs::write(&script, BOOTSTRAP)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        let mut command = Command::new("xorriso");
        command.args(["-as", "mkisofs", "-quiet", "-rock", "-output"]);
        command.arg(folder.path().join("stub.iso")).arg(&tree);
        let output = process::capture(&mut command, None, Duration::from_secs(60))?;
        ensure!(output.success(), "xorriso ended with {}: {}", output.code, output.stderr);
        Ok(Self { folder })
    }

    /// Where it is.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("stub.iso")
    }
}
