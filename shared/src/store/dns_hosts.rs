//! The names that routers call, and whose address each tells: table `dns_hosts`. What they tell is written by [`tell`].

mod tell;

use std::net::IpAddr;

use sqlx::PgConnection;

pub use self::tell::{Changed, Told, Useless, tell};
use crate::{
    dns::address::Family,
    store::{dns_addresses::AddressId, dns_logins::LoginId},
};

/// The address that a name tells, as it stood when it was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The name.
    pub hostname: String,
    /// The login that may call it.
    pub login: LoginId,
    /// The address.
    pub address: AddressId,
    /// The address's name.
    pub name: String,
    /// Networks that it may lie in although they are not of the public internet.
    pub allowed: Vec<String>,
    /// The families that it is kept in.
    pub families: Vec<KnownFamily>,
}

/// A family of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownFamily {
    /// The family.
    pub family: Family,
    /// What it is; none: nobody has told it yet.
    pub ip: Option<IpAddr>,
    /// When it was told last was noted more than an hour ago.
    pub stale: bool,
    /// Only routers tell it: no source is asked.
    pub routers: bool,
    /// Why it fails; none: it does not.
    pub failing_why: Option<String>,
    /// Another login, which is served, has told it lately.
    pub told_by_another: bool,
}

impl KnownFamily {
    /// Whether a router that tells what cannot be used makes it fail: not where a source is asked, which has the say, nor while another
    /// router tells it well.
    #[must_use]
    pub const fn fails_by_router(&self) -> bool {
        self.routers && !self.told_by_another
    }

    /// Whether it fails by what a router told, so that the next good word ends that.
    #[must_use]
    pub const fn failed_by_router(&self) -> bool {
        self.routers && self.failing_why.is_some()
    }
}

/// Allows a login these names, all for one address. The names that are taken already are left out of the answer.
pub async fn insert(
    conn: &mut PgConnection,
    login: LoginId,
    address: AddressId,
    hostnames: &[String],
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- dns_hosts::insert
        insert into dns_hosts (hostname, login_id, address_id)
        select hostname, $2, $3 from unnest($1::text[]) as h (hostname) order by hostname
        on conflict (hostname) do nothing
        returning hostname",
        hostnames,
        login,
        address,
    )
    .fetch_all(conn)
    .await
}

/// Takes names from a login; those that it had.
pub async fn remove(
    conn: &mut PgConnection,
    login: LoginId,
    hostnames: &[String],
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- dns_hosts::remove
        delete from dns_hosts where login_id = $1 and hostname = any($2) returning hostname",
        login,
        hostnames,
    )
    .fetch_all(conn)
    .await
}

/// A name of a login, with the address that it tells.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HostOf {
    /// The name.
    pub host: String,
    /// The address's name.
    pub address: String,
    /// What it is by IPv4, as far as known.
    pub ipv4: Option<String>,
    /// What it is by IPv6, as far as known.
    pub ipv6: Option<String>,
}

/// The names of a login, by name.
pub async fn of_login(conn: &mut PgConnection, login: LoginId) -> Result<Vec<HostOf>, sqlx::Error> {
    sqlx::query_as!(
        HostOf,
        "-- dns_hosts::of_login
        select h.hostname as host, a.name as address, host(v4.address) as ipv4, host(v6.address) as ipv6
        from dns_hosts h
        join dns_addresses a on a.id = h.address_id
        left join dns_address_families v4 on v4.address_id = a.id and v4.family = 'ipv4'
        left join dns_address_families v6 on v6.address_id = a.id and v6.family = 'ipv6'
        where h.login_id = $1
        order by h.hostname",
        login,
    )
    .fetch_all(conn)
    .await
}

/// What these names tell, as far as they exist.
pub async fn known(conn: &mut PgConnection, hostnames: &[String]) -> Result<Vec<Known>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"-- dns_hosts::known
        select h.hostname, h.login_id, h.address_id, a.name, a.allowed, f.family as "family?: Family",
            host(f.address) as "ip?", coalesce(f.told_at < clock() - interval '1 hour', true) as "stale!",
            f.source is null as "routers!", f.failing_why as "failing_why?",
            -- That it was told is noted once an hour, so two hours are lately.
            coalesce(f.told_at > clock() - interval '2 hours', false) and exists (
                select from dns_logins l
                where l.username = f.told_by and l.id <> h.login_id and l.blocked_at is null
            ) as "told_by_another!"
        from dns_hosts h
        join dns_addresses a on a.id = h.address_id
        left join dns_address_families f on f.address_id = a.id
        where h.hostname = any($1)
        order by h.hostname, f.family"#,
        hostnames,
    )
    .fetch_all(conn)
    .await?;
    let mut known: Vec<Known> = Vec::new();
    for row in rows {
        if known.last().is_none_or(|last| last.hostname != row.hostname) {
            known.push(Known {
                hostname: row.hostname,
                login: row.login_id,
                address: row.address_id,
                name: row.name,
                allowed: row.allowed,
                families: Vec::new(),
            });
        }
        if let (Some(host), Some(family)) = (known.last_mut(), row.family) {
            let ip = row.ip.and_then(|ip| ip.parse().ok());
            host.families.push(KnownFamily {
                family,
                ip,
                stale: row.stale,
                routers: row.routers,
                failing_why: row.failing_why,
                told_by_another: row.told_by_another,
            });
        }
    }
    Ok(known)
}
