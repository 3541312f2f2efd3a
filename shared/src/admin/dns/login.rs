//! `dns login`: who may tell addresses from outside, and by which names.

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::super::{Actor, AdminError, tenant};
use crate::{
    dns::Host,
    job::TenantId,
    secrets::password,
    store::{
        audit, dns_addresses,
        dns_hosts::{self, HostOf},
        dns_logins::{self, Login, LoginId},
    },
};

/// What a password of one's own has at least.
const SHORTEST: usize = 12;

/// What it has at the most.
const LONGEST: usize = 128;

/// A login to be.
#[derive(Debug, Clone, Copy)]
pub struct NewLogin<'a> {
    /// Its user name.
    pub username: &'a str,
    /// Whose it is.
    pub tenant: &'a str,
    /// The address that its calls tell, by its name.
    pub address: &'a str,
    /// The names that it may call.
    pub hosts: &'a [Host],
    /// Its password; none: one is made.
    pub password: Option<&'a SecretString>,
}

/// A login that has a new password.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The login.
    pub login: Shown,
    /// The password that was made, which is not to be had again; none: it was given.
    pub password: Option<SecretString>,
}

/// A login, with the addresses of its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The login.
    #[serde(flatten)]
    pub login: Login,
    /// Its names, and the address that each tells.
    pub names: Vec<HostOf>,
}

/// What blocking a login, or ending that, came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Done {
    /// The login's user name.
    pub username: String,
    /// Whether it is blocked now.
    pub blocked: bool,
    /// Whether it was not so before.
    pub changed: bool,
}

/// A login that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Its user name.
    pub username: String,
    /// Whose it was.
    pub tenant: String,
}

/// What names were given to a login, or taken from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Names {
    /// The login's user name.
    pub username: String,
    /// The names.
    pub hosts: Vec<String>,
}

/// Adds a login.
pub async fn add(db: &PgPool, actor: &Actor, new: &NewLogin<'_>) -> Result<Opened, AdminError> {
    check_username(new.username)?;
    let (hash, made) = hash(new.password).await?;
    let mut tx = db.begin().await?;
    let tenant = tenant::find(&mut tx, new.tenant).await?;
    let Some(id) = dns_logins::insert(&mut tx, tenant, new.username, &hash).await? else {
        return Err(AdminError::Refused(format!(
            "there is a login {} already, perhaps of another tenant: user names are the fleet's",
            new.username
        )));
    };
    let names = give(&mut tx, tenant, id, new.address, new.hosts).await?;
    let told = json!({ "tenant": new.tenant, "address": new.address, "hosts": names });
    audit::write(&mut tx, actor.as_str(), "dns.login.add", new.username, &told).await?;
    let login = find(&mut tx, new.username).await?;
    tx.commit().await?;
    Ok(Opened { login, password: made })
}

/// All logins, or a tenant's, by user name.
pub async fn ls(conn: &mut PgConnection, tenant: Option<&str>) -> Result<Vec<Login>, AdminError> {
    let tenant = match tenant {
        Some(name) => Some(tenant::find(conn, name).await?),
        None => None,
    };
    Ok(dns_logins::list(conn, tenant, None).await?)
}

/// A login, with the addresses of its names.
pub async fn show(conn: &mut PgConnection, username: &str) -> Result<Shown, AdminError> {
    find(conn, username).await
}

/// Gives a login a new password. The old one opens nothing from then on.
pub async fn passwd(
    db: &PgPool,
    actor: &Actor,
    username: &str,
    password: Option<&SecretString>,
) -> Result<Opened, AdminError> {
    let (hash, made) = hash(password).await?;
    let mut tx = db.begin().await?;
    if !dns_logins::set_password(&mut tx, username, &hash).await? {
        return Err(unknown(username));
    }
    audit::write(&mut tx, actor.as_str(), "dns.login.passwd", username, &json!({})).await?;
    let login = find(&mut tx, username).await?;
    tx.commit().await?;
    Ok(Opened { login, password: made })
}

/// Has all calls of a login answered with `abuse` from now on, or with `why` none ends that.
pub async fn block(
    db: &PgPool,
    actor: &Actor,
    username: &str,
    why: Option<&str>,
) -> Result<Done, AdminError> {
    let why = why.map(str::trim);
    if why.is_some_and(|why| why.is_empty() || why.chars().count() > 200 || why.chars().any(char::is_control))
    {
        return Err(AdminError::Invalid(
            "the reason has 1 to 200 characters, none of them a control character".to_owned(),
        ));
    }
    let mut tx = db.begin().await?;
    let changed = dns_logins::block(&mut tx, username, why).await?.ok_or_else(|| unknown(username))?;
    let verb = if why.is_some() { "dns.login.block" } else { "dns.login.unblock" };
    audit::write(&mut tx, actor.as_str(), verb, username, &json!({ "why": why, "changed": changed })).await?;
    tx.commit().await?;
    Ok(Done { username: username.to_owned(), blocked: why.is_some(), changed })
}

/// Gives a login further names, all for one address of its tenant.
pub async fn allow(
    db: &PgPool,
    actor: &Actor,
    username: &str,
    address: &str,
    hosts: &[Host],
) -> Result<Names, AdminError> {
    let mut tx = db.begin().await?;
    let found = find(&mut tx, username).await?;
    let tenant = tenant::find(&mut tx, &found.login.tenant).await?;
    let hosts = give(&mut tx, tenant, found.login.id, address, hosts).await?;
    let told = json!({ "address": address, "hosts": hosts });
    audit::write(&mut tx, actor.as_str(), "dns.login.allow", username, &told).await?;
    tx.commit().await?;
    Ok(Names { username: username.to_owned(), hosts })
}

/// Takes names from a login.
pub async fn deny(db: &PgPool, actor: &Actor, username: &str, hosts: &[Host]) -> Result<Names, AdminError> {
    let mut tx = db.begin().await?;
    let found = find(&mut tx, username).await?;
    let hosts = texts(hosts);
    let taken = dns_hosts::remove(&mut tx, found.login.id, &hosts).await?;
    if let Some(missing) = hosts.iter().find(|host| !taken.contains(host)) {
        return Err(AdminError::Refused(format!("{username} has no name {missing}: nothing was changed")));
    }
    audit::write(&mut tx, actor.as_str(), "dns.login.deny", username, &json!({ "hosts": hosts })).await?;
    tx.commit().await?;
    Ok(Names { username: username.to_owned(), hosts })
}

/// Removes a login with its names.
pub async fn rm(db: &PgPool, actor: &Actor, username: &str) -> Result<Removed, AdminError> {
    let mut tx = db.begin().await?;
    let tenant = dns_logins::remove(&mut tx, username).await?.ok_or_else(|| unknown(username))?;
    audit::write(&mut tx, actor.as_str(), "dns.login.rm", username, &json!({ "tenant": tenant })).await?;
    tx.commit().await?;
    Ok(Removed { username: username.to_owned(), tenant })
}

fn unknown(username: &str) -> AdminError {
    AdminError::not_found("login", username, "`syncfleet dns login ls` shows all")
}

async fn find(conn: &mut PgConnection, username: &str) -> Result<Shown, AdminError> {
    let login = dns_logins::list(&mut *conn, None, Some(username)).await?.pop();
    let login = login.ok_or_else(|| unknown(username))?;
    let names = dns_hosts::of_login(conn, login.id).await?;
    Ok(Shown { login, names })
}

fn texts(hosts: &[Host]) -> Vec<String> {
    let mut texts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    texts.sort();
    texts.dedup();
    texts
}

async fn give(
    conn: &mut PgConnection,
    tenant: TenantId,
    login: LoginId,
    address: &str,
    hosts: &[Host],
) -> Result<Vec<String>, AdminError> {
    let id = dns_addresses::find(&mut *conn, tenant, address).await?.ok_or_else(|| {
        let which = format!("{address} of that tenant");
        AdminError::not_found("address", which, "`syncfleet dns address ls` shows all")
    })?;
    let hosts = texts(hosts);
    let given = dns_hosts::insert(conn, login, id, &hosts).await?;
    match hosts.iter().find(|host| !given.contains(host)) {
        Some(taken) => Err(AdminError::Refused(format!(
            "{taken} is called by a login already: a name tells one address, by one login; nothing was changed"
        ))),
        None => Ok(hosts),
    }
}

fn check_username(username: &str) -> Result<(), AdminError> {
    let fits = (1..=63).contains(&username.len())
        && username.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        && !username.starts_with(['-', '_']);
    if fits {
        return Ok(());
    }
    Err(AdminError::Invalid(format!(
        "{username:?} is no user name: allowed are 1 to 63 lower-case letters, digits, - and _, a letter or digit first"
    )))
}

/// The hash of a password, and the password if it had to be made.
async fn hash(given: Option<&SecretString>) -> Result<(String, Option<SecretString>), AdminError> {
    if let Some(given) = given {
        let given = given.expose_secret();
        let fits = |b: u8| b.is_ascii_graphic() && !b"'\"\\".contains(&b);
        if !(SHORTEST..=LONGEST).contains(&given.len()) || !given.bytes().all(fits) {
            return Err(AdminError::Invalid(format!(
                "the password has {SHORTEST} to {LONGEST} characters of visible ASCII without quotes and backslashes: routers disagree \
                 about all others"
            )));
        }
    }
    let refused = |error: password::HashError| AdminError::Refused(error.to_string());
    let made = if given.is_none() { Some(password::generate().map_err(refused)?) } else { None };
    let password = given.or(made.as_ref()).cloned().unwrap_or_default();
    let hashed = tokio::task::spawn_blocking(move || password::hash(&password)).await;
    let hashed = hashed.map_err(|error| AdminError::Refused(error.to_string()))?;
    Ok((hashed.map_err(refused)?, made))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_has_no_dot_as_it_ends_there_in_a_token() {
        for good in ["a", "router-1", "home_2", "9"] {
            assert!(check_username(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "_a", "a.b", "A", "a:b", "ä", &"a".repeat(64)] {
            assert!(check_username(bad).unwrap_err().to_string().contains("lower-case letters"), "{bad}");
        }
    }
}
