//! What `./test` installs for tests.

use std::path::{Path, PathBuf};

/// A file of it: beside the build.
pub fn installed(path: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("sdk").join(path);
    assert!(place.exists(), "{} is missing; ./test installs it", place.display());
    place
}
