//! Under which user the server runs.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tokio::process::Command;

use super::cluster;
use super::error::{self, StartError};

/// The user of the server and of `initdb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name, or its id where it has no name.
    pub name: String,
    /// Its ids when we are root and must change to it; `None` when it is who we are.
    pub switch_to: Option<Ids>,
}

/// A user id and the id of its first group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Ourselves, unless we are root: then the owner of the cluster, `postgres`, or `nobody`.
pub fn choose(data: &Path) -> Result<User, StartError> {
    choose_for(rustix::process::geteuid().as_raw(), data)
}

fn choose_for(uid: u32, data: &Path) -> Result<User, StartError> {
    let cluster = cluster::folder(data);
    let owner = match fs::metadata(&cluster) {
        Ok(meta) => Some(Ids { uid: meta.uid(), gid: meta.gid() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error::folder("read", &cluster)(error)),
    };
    if uid != 0 {
        return match owner {
            Some(Ids { uid: owner, .. }) if owner != uid => {
                Err(StartError::WrongOwner { cluster, owner, uid })
            }
            _ => Ok(User { name: uid.to_string(), switch_to: None }),
        };
    }
    if let Some(ids) = owner.filter(|ids| ids.uid != 0) {
        return Ok(User { name: ids.uid.to_string(), switch_to: Some(ids) });
    }
    let passwd =
        fs::read_to_string("/etc/passwd").map_err(error::folder("read", Path::new("/etc/passwd")))?;
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| Some(User { name: name.to_owned(), switch_to: Some(look_up(&passwd, name)?) }))
        .ok_or(StartError::NoUser)
}

/// The ids of `name` in the text of /etc/passwd (`name:password:uid:gid:...`); never root's.
fn look_up(passwd: &str, name: &str) -> Option<Ids> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (uid != 0).then_some(Ids { uid, gid })
    })
}

impl User {
    /// A command that runs `program` as this user, with an environment of its own: variables such as `PGPORT` or
    /// `PGDATA` would change what the programs do. std clears the supplementary groups when root changes user.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin").current_dir("/");
        if let Some(Ids { uid, gid }) = self.switch_to {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Gives `path` to this user.
    pub fn own(&self, path: &Path) -> Result<(), StartError> {
        let Some(Ids { uid, gid }) = self.switch_to else { return Ok(()) };
        std::os::unix::fs::chown(path, Some(uid), Some(gid))
            .map_err(error::folder("change the owner of", path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_of_another_user_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let cluster = cluster::folder(dir.path());
        assert!(choose_for(4321, dir.path()).is_ok(), "there is no cluster yet");
        fs::create_dir(&cluster).unwrap();
        let owner = fs::metadata(&cluster).unwrap().uid();
        let error = choose_for(4321, dir.path()).unwrap_err();
        assert!(
            matches!(error, StartError::WrongOwner { owner: found, uid: 4321, .. } if found == owner),
            "{error}"
        );
        assert!(error.to_string().contains("start as that user"), "{error}");
    }

    #[test]
    fn finds_a_user_in_passwd() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nbad\nnobody:x:65534:65533::/:/bin/false\ntoor:x:0:0::/:/bin/sh\n";
        assert_eq!(look_up(passwd, "nobody"), Some(Ids { uid: 65534, gid: 65533 }));
        assert_eq!(look_up(passwd, "bad"), None);
        assert_eq!(look_up(passwd, "toor"), None, "root under another name is still root");
        assert_eq!(look_up(passwd, "nob"), None);
    }
}
