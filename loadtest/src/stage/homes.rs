//! Homes in the database, as if each had been added by hand: a tenant with an address, a login that tells it, and its records, all of
//! them in step. In bulk: the same rows as `dns add` makes, but no audit of it.

mod names;
mod routers;

use anyhow::{Context, ensure};
use loadtest::bind::{Bind, KEY};
use serde_json::json;
use shared::{
    dns::Provider,
    secrets::{KeyRing, Owner, Sealed, password},
    store::{PgConnection, PgPool},
};

use self::names::NETWORK;
pub use self::{names::Names, routers::Routers};

/// Rows of one statement.
const ROWS: usize = 10_000;

/// What all routers sign in with.
const PASSWORD: &str = "routers-secret-0123456789";

/// Homes, by number.
#[derive(Debug, Clone)]
pub struct Homes {
    pub names: Names,
    pub zone: &'static str,
}

impl Homes {
    /// Makes them. Nothing of them is due.
    pub async fn seed(
        db: &PgPool,
        keys: &KeyRing,
        bind: &Bind,
        names: Names,
        zone: &'static str,
    ) -> anyhow::Result<Self> {
        let homes = Self { names, zone };
        let mut connection = db.acquire().await?;
        sqlx::query("set statement_timeout = 0").execute(&mut *connection).await?;
        homes.addresses(&mut connection).await?;
        let records = homes.records(&mut connection, bind).await?;
        secrets(&mut connection, keys, &records, &bind.secret).await?;
        connection.close_on_drop();
        sqlx::query("vacuum analyze").execute(db).await?;
        Ok(homes)
    }

    /// The user name of a home's login.
    pub fn user(&self, address: u32) -> String {
        format!("home-{address}-{}", self.zone)
    }

    /// The password of all.
    pub const fn password() -> &'static str {
        PASSWORD
    }

    /// The name that a home's router calls.
    pub fn called(&self, address: u32) -> String {
        format!("home-{address}.{}", self.zone)
    }

    async fn addresses(&self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let count = i32::try_from(self.names.addresses)?;
        sqlx::query(
            "with made as (
                insert into tenants (name)
                select 'home-' || n || '-' || $1 from generate_series(0, $2 - 1) n
                returning id
            )
            insert into dns_addresses (tenant_id, name, interval_seconds, allowed)
            select id, 'home', 300, array[$3] from made",
        )
        .bind(self.zone)
        .bind(count)
        .bind(NETWORK)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "insert into dns_address_families (address_id, family, address, since, told_at, told_by)
            select a.id, 'ipv4', $3::inet + n, clock() - interval '1 day', clock() - interval '1 day',
                'home-' || n || '-' || $1
            from generate_series(0, $2 - 1) n
            join tenants t on t.name = 'home-' || n || '-' || $1
            join dns_addresses a on a.tenant_id = t.id",
        )
        .bind(self.zone)
        .bind(count)
        .bind(Names::before(0).to_string())
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "with made as (
                insert into dns_logins (tenant_id, username, password_hash)
                select t.id, t.name, $3
                from generate_series(0, $2 - 1) n
                join tenants t on t.name = 'home-' || n || '-' || $1
                returning id, tenant_id
            )
            insert into dns_hosts (hostname, login_id, address_id)
            select 'home-' || split_part(t.name, '-', 2) || '.' || $1, made.id, a.id
            from made
            join tenants t on t.id = made.tenant_id
            join dns_addresses a on a.tenant_id = t.id",
        )
        .bind(self.zone)
        .bind(count)
        .bind(password::hash(&PASSWORD.into())?)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Gives the ids of the records.
    async fn records(&self, connection: &mut PgConnection, bind: &Bind) -> anyhow::Result<Vec<i64>> {
        let settings = json!({
            "provider": "rfc2136", "server": bind.server.to_string(), "zone": self.zone, "key": KEY,
        });
        let provider = Provider::parse(settings)?;
        let records: Vec<i64> = sqlx::query_scalar(
            "insert into dns_records
                (tenant_id, address_id, host, provider, ttl, min_interval_seconds, verify, verify_servers)
            select t.id, a.id, 'r' || lpad(n::text, 7, '0') || '.' || $1, $4, 60, $5, true, array[$6]
            from generate_series(0, $2 - 1) n
            join tenants t on t.name = 'home-' || n % $3 || '-' || $1
            join dns_addresses a on a.tenant_id = t.id
            order by n
            returning id",
        )
        .bind(self.zone)
        .bind(i32::try_from(self.names.records)?)
        .bind(i32::try_from(self.names.addresses)?)
        .bind(serde_json::to_value(&provider)?)
        .bind(i32::try_from(provider.minimum_interval().as_secs())?)
        .bind(bind.server.to_string())
        .fetch_all(&mut *connection)
        .await?;
        sqlx::query(
            "insert into dns_record_families (record_id, family, sent, sent_at, verified_at, verify_ms)
            select r.id, 'ipv4', f.address, clock() - interval '1 day', clock() - interval '1 day', 1
            from dns_records r join dns_address_families f using (address_id)
            where r.id = any($1)",
        )
        .bind(&records)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "with made as (
                insert into jobs (kind, key, tenant_id)
                select 'dns_record', id::text, tenant_id from dns_records where id = any($1) order by id
                returning id, kind, tenant_id
            )
            insert into job_state (job_id, kind, tenant_id, lane, run_at)
            select id, kind, tenant_id, 'normal', 'infinity' from made order by id",
        )
        .bind(&records)
        .execute(connection)
        .await?;
        ensure!(records.len() == self.names.records as usize, "{} records were made", records.len());
        Ok(records)
    }
}

/// Each record has the secret of BIND's key, sealed for it.
async fn secrets(
    connection: &mut PgConnection,
    keys: &KeyRing,
    records: &[i64],
    secret: &str,
) -> anyhow::Result<()> {
    let secret = secret.into();
    for some in records.chunks(ROWS) {
        let sealed = some
            .iter()
            .map(|id| keys.seal(Owner { kind: "dns_record", id: *id, name: "secret" }, &secret))
            .collect::<Result<Vec<Sealed>, _>>()
            .context("the key of BIND cannot be sealed")?;
        let (key_ids, bytes): (Vec<String>, Vec<Vec<u8>>) =
            sealed.into_iter().map(|sealed| (sealed.key_id, sealed.bytes)).unzip();
        sqlx::query(
            "insert into secrets (owner_kind, owner_id, name, key_id, sealed)
            select 'dns_record', id, 'secret', key_id, sealed
            from unnest($1::bigint[], $2::text[], $3::bytea[]) s (id, key_id, sealed)",
        )
        .bind(some)
        .bind(&key_ids)
        .bind(&bytes)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
