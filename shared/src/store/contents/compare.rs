use std::time::Duration;

use sqlx::PgConnection;

use crate::{google::formats, job::AccountId, store::seconds};

/// Whether an account's files were last compared with what is wanted longer ago than this, or never, or it has no mirrors.
pub async fn is_overdue(
    conn: &mut PgConnection,
    account: AccountId,
    age: Duration,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- contents::is_overdue
        select coalesce(min(compared_at) < clock() - make_interval(secs => $2), true) as "overdue!"
        from drive_mirrors
        where account_id = $1"#,
        account,
        seconds(age),
    )
    .fetch_one(conn)
    .await
}

/// Compares an account's files with what its mirrors want: new ones and new revisions become pending, what is not wanted any more
/// goes. Whatever happened to files and folders since, this heals it. None: the account has no mirrors,
/// and nothing is wanted of it. Else how many rows changed.
///
/// Costs a walk over the mirrored folders by `files_parent`, and writes only what differs. A file under several mirrors belongs to
/// the oldest of them.
pub async fn compare(conn: &mut PgConnection, account: AccountId) -> Result<Option<u64>, sqlx::Error> {
    let mirrors = sqlx::query!(
        r#"-- contents::compare (mirrors)
        update drive_mirrors set compared_at = clock() where account_id = $1"#,
        account,
    )
    .execute(&mut *conn)
    .await?;
    if mirrors.rows_affected() == 0 {
        sqlx::query!("-- contents::compare (none)\ndelete from file_contents where account_id = $1", account)
            .execute(conn)
            .await?;
        return Ok(None);
    }
    let changed = sqlx::query_scalar!(
        r#"-- contents::compare
        with recursive covered (mirror_id, file_id, is_folder) as (
            select m.id, f.file_id, f.is_folder
            from drive_mirrors m
            join files f on f.account_id = m.account_id and f.parent_id = m.folder
            where m.account_id = $1
            -- Each folder once for each mirror: a cycle ends.
            union
            select c.mirror_id, f.file_id, f.is_folder
            from covered c
            join files f on f.account_id = $1 and f.parent_id = c.file_id
            where c.is_folder
        ), candidates as (
            select mirror_id, file_id from covered where not is_folder
            union all
            select m.id, f.file_id
            from drive_mirrors m
            join files f on f.account_id = m.account_id
            where m.account_id = $1 and m.folder is null and not f.is_folder
        ), wanted as (
            select distinct on (f.file_id)
                f.file_id,
                coalesce(f.head_revision, f.md5, f.modified_at::text, f.version::text, '') as revision,
                t.native, t.format,
                case when not t.native then f.size end as size, f.md5, f.sha256,
                coalesce(f.can_download, true) as can_download
            from candidates c
            join drive_mirrors m on m.id = c.mirror_id
            join files f on f.account_id = $1 and f.file_id = c.file_id
            cross join lateral (
                select coalesce(f.mime_type, '') like 'application/vnd.google-apps.%' as native,
                    coalesce(m.exports ->> f.mime_type, $2::jsonb ->> f.mime_type) as format
            ) t
            where not f.trashed
                and (m.mime_types is null or exists (
                    select from unnest(m.mime_types) as p (pattern)
                    where f.mime_type like replace(replace(replace(p.pattern, '\', '\\'), '_', '\_'), '*', '%')
                ))
                and (m.max_size is null or t.native or coalesce(f.size <= m.max_size, true))
            order by f.file_id, m.id
        ), state as (
            select *, case
                when native and format is null then 'none'
                when not can_download then 'refused'
                else 'pending'
            end as state
            from wanted
        ), gone as (
            delete from file_contents c
            where c.account_id = $1 and not exists (select from state s where s.file_id = c.file_id)
            returning 1
        ), kept as (
            insert into file_contents as c (
                account_id, file_id, wanted_revision, wanted_format, wanted_size, wanted_md5, wanted_sha256,
                state, why, retry_at
            )
            select $1, file_id, revision, format, size, md5, sha256, state,
                case state when 'none' then 'no content' when 'refused' then 'canDownload is false' end,
                case state when 'pending' then '-infinity'::timestamptz else 'infinity' end
            from state
            order by file_id
            on conflict (account_id, file_id) do update set
                wanted_revision = excluded.wanted_revision, wanted_format = excluded.wanted_format,
                wanted_size = excluded.wanted_size, wanted_md5 = excluded.wanted_md5,
                wanted_sha256 = excluded.wanted_sha256,
                state = excluded.state, why = excluded.why, tries = 0, retry_at = excluded.retry_at,
                upload = null, upload_id = null, parts = '{}', received = 0, sums = null
            where (c.wanted_revision, c.wanted_format, c.wanted_size, c.wanted_md5, c.wanted_sha256)
                    is distinct from (excluded.wanted_revision, excluded.wanted_format, excluded.wanted_size,
                        excluded.wanted_md5, excluded.wanted_sha256)
                or (c.why = 'canDownload is false') <> (excluded.state = 'refused')
                or c.why is null and excluded.state = 'refused'
            returning 1
        )
        select (select count(*) from gone) + (select count(*) from kept) as "changed!""#,
        account,
        formats::usual(),
    )
    .fetch_one(conn)
    .await?;
    Ok(Some(u64::try_from(changed).unwrap_or_default()))
}
