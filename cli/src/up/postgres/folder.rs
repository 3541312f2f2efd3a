//! The data folder: made, marked as ours, locked, and within reach of the server's user.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::binaries::Programs;
use super::error::{self, StartError};
use super::user::User;

/// The lock file, which is also the mark that a folder is ours.
const LOCK: &str = "up.lock";

/// Makes the data folder if it is missing, checks that it is ours or empty, and returns its real path.
pub fn open(data: &Path) -> Result<PathBuf, StartError> {
    // Others may pass through as root's server user must, but not list it.
    let mode = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
    match fs::metadata(data) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(parent(data))
                .map_err(error::folder("make", data))?;
            make(data, mode)?;
        }
        Err(error) => return Err(error::folder("read", data)(error)),
    }
    let data = data.canonicalize().map_err(error::folder("find", data))?;
    let mut entries = fs::read_dir(&data).map_err(error::folder("list", &data))?;
    if entries.next().is_none() {
        return Ok(data);
    }
    match fs::metadata(data.join(LOCK)) {
        Ok(meta) if meta.is_file() => Ok(data),
        _ => Err(StartError::NotOurs { folder: data, mark: LOCK }),
    }
}

/// The folder above, which for a bare name is the current one.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes one folder with exactly this mode, whatever the umask.
pub fn make(path: &Path, mode: u32) -> Result<(), StartError> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error::folder("make", path)(error));
        }
        _ => {}
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(error::folder("set the mode of", path))
}

/// Takes the folder for this process until the file is dropped. The system frees it also after kill -9.
pub fn lock(data: &Path) -> Result<File, StartError> {
    let path = data.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(error::folder("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).map_err(error::folder("read", &path))?;
            return Err(StartError::InUse { folder: data.to_owned(), pid: pid.trim().to_owned() });
        }
        Err(TryLockError::Error(error)) => return Err(error::folder("lock", &path)(error)),
    }
    write_pid(&mut file).map_err(error::folder("write", &path))?;
    Ok(file)
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// Checks that the server's user can run the programs and get into the data folder, by doing so.
pub async fn check_reach(data: &Path, user: &User, programs: &Programs) -> Result<(), StartError> {
    let program = programs.postgres();
    if let Err(source) = run_in(user, &program, Path::new("/")).await {
        return Err(StartError::Program { program, user: user.name.clone(), source });
    }
    let mut folders: Vec<&Path> = data.ancestors().collect();
    folders.reverse();
    for folder in folders {
        match run_in(user, &program, folder).await {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(StartError::NotTraversable {
                    folder: folder.to_owned(),
                    user: user.name.clone(),
                });
            }
            Err(error) => return Err(error::folder("enter", folder)(error)),
        }
    }
    Ok(())
}

/// Runs `program --version` in `folder`: the change of folder happens after that of the user.
async fn run_in(user: &User, program: &Path, folder: &Path) -> io::Result<()> {
    let mut command = user.command(program);
    command
        .arg("--version")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.kill_on_drop(true).status().await.map(drop)
}
