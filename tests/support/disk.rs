//! A disk and a clock that fail when told to: see `disk.c`.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// Where the rules are, and what a power cut would leave.
pub struct Disk(TempDir);

impl Disk {
    /// One without faults.
    pub fn new() -> Disk {
        let disk = Disk(tempfile::tempdir().unwrap());
        std::fs::create_dir(disk.0.path().join("synced")).unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/disk.c");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(disk.library()).arg(source).args(["-ldl", "-lpthread"]);
        assert!(compile.status().unwrap().success());
        disk
    }

    fn library(&self) -> PathBuf {
        self.0.path().join("disk.so")
    }

    /// A command whose files are on it.
    pub fn under(&self, mut command: Command) -> Command {
        command.env("LD_PRELOAD", self.library()).env("DISK", self.0.path());
        command
    }

    /// From now on these rules hold, and no others.
    pub fn fails(&self, rules: &str) {
        // in one step, since the process may read them at any time
        let next = self.0.path().join("next");
        std::fs::write(&next, rules).unwrap();
        std::fs::rename(next, self.0.path().join("rules")).unwrap();
    }

    /// A new folder with what is left after a power cut: what was synced, and nothing else.
    pub fn after_power_cut(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(self.0.path().join("synced")).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        folder
    }
}
