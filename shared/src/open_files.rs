//! How many files and connections the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the process's own limit to the most that the system lets it have, and says what it is now. Many systems begin
/// programs with 1,024, for the sake of old ones: <https://0pointer.net/blog/file-descriptor-limits.html>.
#[must_use = "a listener holds no more than that"]
pub fn raise_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let now = if setrlimit(Resource::Nofile, raised).is_ok() { maximum } else { current };
    now.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}
