//! The private folder of the unix socket.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::error::{self, StartError};
use super::folder::make;
use super::user::User;

/// The socket's name follows from the port, which has no other use here.
pub const PORT: &str = "5432";

/// The name of the socket's lock file, which holds the pid of its server.
pub fn lock_name() -> String {
    format!(".s.PGSQL.{PORT}.lock")
}

/// The folder in the data folder, or a link to it.
pub const RUN: &str = "run";

/// The longest path of a unix socket that every system takes: 108 bytes on Linux, 104 on macOS and BSD, with a
/// closing zero.
const LONGEST: usize = 103;

/// The folder of the socket: `run` in the data folder, or where that path is too long for a socket, a folder under
/// the temporary one to which `run` is then a link.
#[derive(Debug)]
pub struct Sockets {
    folder: PathBuf,
    /// The link, where there is one.
    link: Option<PathBuf>,
}

impl Sockets {
    /// Makes the folder, for this user alone. A short folder that an earlier start left behind is used again.
    pub fn open(data: &Path, user: &User) -> Result<Self, StartError> {
        let run = data.join(RUN);
        if fits(&run) {
            remove_link(&run)?;
            make(&run, 0o700)?;
            user.own(&run)?;
            return Ok(Self { folder: run, link: None });
        }
        if let Ok(folder) = fs::read_link(&run)
            && is_private(&folder, user)
        {
            return Ok(Self { folder, link: Some(run) });
        }
        remove_link(&run)?;
        let folder = short_folder(&std::env::temp_dir())?;
        user.own(&folder)?;
        symlink(&folder, &run).map_err(error::folder("make the link", &run))?;
        Ok(Self { folder, link: Some(run) })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes the folder elsewhere, if there is one; the server must have ended.
    pub fn close(&self) {
        let Some(link) = &self.link else { return };
        for outcome in [fs::remove_dir_all(&self.folder), fs::remove_file(link)] {
            if let Err(error) = outcome {
                tracing::warn!(folder = %self.folder.display(), %error, "cannot remove the socket's folder");
            }
        }
    }
}

/// Whether a socket in `folder` has a path short enough, and one that a URL can carry.
fn fits(folder: &Path) -> bool {
    let longest = folder.as_os_str().as_bytes().len() + "/.s.PGSQL.".len() + PORT.len();
    longest <= LONGEST && folder.to_str().is_some()
}

/// A new folder with an unguessable name and mode 0700, in `temp` or, where that is too long as well, in /tmp.
fn short_folder(temp: &Path) -> Result<PathBuf, StartError> {
    let name_len = "/syncfleet-123456".len();
    let temp = if fits(&temp.join("x".repeat(name_len))) { temp } else { Path::new("/tmp") };
    let folder = tempfile::Builder::new().prefix("syncfleet-").tempdir_in(temp);
    Ok(folder.map_err(error::folder("make a folder for the socket in", temp))?.keep())
}

/// Whether this is still the folder that an earlier start made: nobody else may own or enter it.
fn is_private(folder: &Path, user: &User) -> bool {
    let uid = user.switch_to.map_or_else(|| rustix::process::geteuid().as_raw(), |ids| ids.uid);
    fs::symlink_metadata(folder)
        .is_ok_and(|meta| meta.is_dir() && meta.uid() == uid && meta.permissions().mode() & 0o777 == 0o700)
}

fn remove_link(run: &Path) -> Result<(), StartError> {
    match fs::symlink_metadata(run) {
        Ok(meta) if meta.is_symlink() => fs::remove_file(run).map_err(error::folder("remove", run)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error::folder("read", run)(error)),
        _ => Ok(()),
    }
}
