//! What `up` keeps in its data folder beside the database: the key ring, and the environment for the other commands.

use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use shared::{secrets::generate_key, tls};

use super::Args;

/// The data folder.
pub struct Files {
    folder: PathBuf,
}

impl Files {
    /// Opens the folder; makes it if it is missing.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let what = || format!("cannot use the data folder {}", folder.display());
        fs::create_dir_all(folder).with_context(what)?;
        Ok(Self { folder: folder.canonicalize().with_context(what)? })
    }

    /// The key ring's file; made with a new key if it is missing.
    pub fn keys(&self) -> anyhow::Result<PathBuf> {
        let path = self.folder.join("keys");
        let what = || format!("cannot write a new key to {}", path.display());
        let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        match made {
            Ok(mut file) => {
                let key = generate_key("up")?;
                writeln!(file, "{}", key.expose_secret())
                    .and_then(|()| file.sync_all())
                    .with_context(what)?;
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(what),
        }
        Ok(path)
    }

    /// The folder for the contents of files.
    pub fn objects(&self) -> String {
        self.folder.join("contents").to_string_lossy().into_owned()
    }

    /// A file for `source`, with what the other commands need to know.
    pub fn environment(&self, database_url: &SecretString, args: &Args) -> anyhow::Result<PathBuf> {
        let path = self.folder.join("env");
        let keys = args.keys.keys_file.as_ref().map(|keys| keys.to_string_lossy().into_owned());
        let redis = args.redis.url()?.map(|url| url.expose_secret().to_owned());
        let google = &args.google;
        let client = google.client_id.as_ref();
        let secret = google.client_secret.as_ref().map(|secret| secret.expose_secret().to_owned());
        let objects_secret =
            args.objects.secret_access_key.as_ref().map(|secret| secret.expose_secret().to_owned());
        let settings = [
            ("DATABASE_URL", Some(database_url.expose_secret().to_owned())),
            ("SYNCFLEET_KEYS_FILE", keys),
            ("REDIS_URL", redis),
            ("SYNCFLEET_PUBLIC_URL", args.public_url.url()?.map(String::from)),
            ("SYNCFLEET_OBJECTS", args.objects.store.clone()),
            ("SYNCFLEET_OBJECTS_ENDPOINT", args.objects.endpoint.clone()),
            ("SYNCFLEET_OBJECTS_REGION", Some(args.objects.region.clone())),
            ("SYNCFLEET_OBJECTS_ACCESS_KEY_ID", args.objects.access_key_id.clone()),
            ("SYNCFLEET_OBJECTS_SECRET_ACCESS_KEY", objects_secret),
            ("SYNCFLEET_GOOGLE_CLIENT_ID", client.cloned()),
            ("SYNCFLEET_GOOGLE_CLIENT_SECRET", secret),
            ("SYNCFLEET_GOOGLE_TOKEN_URL", client.map(|_| google.token_url.clone())),
            ("SYNCFLEET_GOOGLE_PROJECT", google.project.clone()),
            ("SYNCFLEET_GOOGLE_ISSUER", client.map(|_| google.issuer.clone())),
            ("SYNCFLEET_GOOGLE_CALENDAR_URL", client.map(|_| google.calendar_url.clone())),
            ("SYNCFLEET_GOOGLE_DRIVE_URL", client.map(|_| google.drive_url.clone())),
            ("SYNCFLEET_CA_FILE", tls::beside().map(|beside| beside.file.to_string_lossy().into_owned())),
            ("SYNCFLEET_WEBHOOK_ALLOW", args.webhooks.text()),
            ("SYNCFLEET_DNS_RESOLVERS", args.dns.text()),
            ("SYNCFLEET_DNS_ALLOW", args.dns.clone().at_home().allow_text()),
        ];
        let mut lines: Vec<String> = settings
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| format!("export {name}={}\n", quoted(&value))))
            .collect();
        if let Some(program) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
            lines.push(format!("export PATH={}:\"$PATH\"\n", quoted(&program.to_string_lossy())));
        }
        let what = || format!("cannot write {}", path.display());
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(lines.concat().as_bytes()))
            .with_context(what)?;
        Ok(path)
    }
}

/// One word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_closed_to_others() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        let path = files.keys().unwrap();
        let first = fs::read_to_string(&path).unwrap();
        assert!(first.starts_with("up:"), "{first}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        files.keys().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), first);
    }

    #[test]
    fn quotes_survive_a_shell() {
        let text = "it's $HOME `x`";
        let echoed =
            std::process::Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(text))).output();
        assert_eq!(String::from_utf8(echoed.unwrap().stdout).unwrap(), text);
    }
}
