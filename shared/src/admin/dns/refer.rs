use std::{fmt, str::FromStr};

use sqlx::PgConnection;

use crate::{
    admin::{AdminError, tenant},
    dns::Host,
};

/// How people name a record: its number, or its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordRef {
    /// Its number.
    Id(i64),
    /// Its host, which several providers and several tenants may have.
    Host(Host),
}

impl FromStr for RecordRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().parse() {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) => {
                text.parse().map(Self::Host).map_err(|why| format!("{why}; or name a record by its number"))
            }
        }
    }
}

impl fmt::Display for RecordRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Host(host) => write!(f, "{host}"),
        }
    }
}

impl RecordRef {
    /// The record's number, if there is exactly one such record.
    pub async fn find(&self, conn: &mut PgConnection, of: Option<&str>) -> Result<i64, AdminError> {
        let tenant = match of {
            Some(name) => Some(tenant::find(conn, name).await?),
            None => None,
        };
        let (id, host) = match self {
            Self::Id(id) => (Some(*id), None),
            Self::Host(host) => (None, Some(host.as_str())),
        };
        let found = sqlx::query!(
            r#"-- admin::dns::RecordRef::find
            select r.id, t.name as tenant, r.provider ->> 'provider' as "provider!"
            from dns_records r
            join tenants t on t.id = r.tenant_id
            where ($1::bigint is null or r.id = $1) and ($2::text is null or r.host = $2)
                and ($3::bigint is null or r.tenant_id = $3)
            order by r.id
            limit 20"#,
            id,
            host,
            tenant,
        )
        .fetch_all(conn)
        .await?;
        match found.as_slice() {
            [] => Err(AdminError::not_found("record", self, "`syncfleet dns ls` shows records")),
            [one] => Ok(one.id),
            several => {
                let all: Vec<_> = several
                    .iter()
                    .map(|one| format!("{} (tenant {}, {})", one.id, one.tenant, one.provider))
                    .collect();
                Err(AdminError::Refused(format!(
                    "there are several records of {self}: name it by its number, one of {}",
                    all.join(", ")
                )))
            }
        }
    }
}
