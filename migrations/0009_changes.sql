-- The change feed: what changed in the mirror, who may read it, and to whom it is sent. How it is read without missing a row is
-- told in `shared/src/store/changes.rs`.

create type change_resource as enum ('calendar', 'event');
create type change_what as enum ('created', 'updated', 'deleted');

-- Where this database lives: the server's identifier and its timeline. Both are others after a restore elsewhere, a restore to
-- an earlier moment, and a failover; numbers of transactions may then begin anew. A server that does not tell them has one place.
create function feed_place() returns text
    language plpgsql volatile as $$
begin
    return (select system_identifier from pg_control_system())
        || '/' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8);
exception when insufficient_privilege or feature_not_supported or undefined_function then
    return 'unknown';
end $$;

-- The epoch counts places. One row. Its numbers are minutes since 1970, so that none comes twice, whatever a restore takes back.
create table feed_epoch (
    only_row boolean primary key default true check (only_row),
    epoch    integer not null,
    place    text    not null
);
insert into feed_epoch (epoch, place) values (extract(epoch from now()) / 60, feed_place());

-- The epoch of what is written now.
create function feed_epoch_to_write() returns integer
    language plpgsql volatile as $$
declare
    here text := feed_place();
    found_epoch integer;
begin
    select epoch into found_epoch from feed_epoch where place = here;
    if found_epoch is null then
        -- Whoever comes second waits here, finds the place as it is, and reads the first one's epoch.
        update feed_epoch set epoch = greatest(epoch + 1, (extract(epoch from now()) / 60)::integer), place = here
        where place <> here;
        select epoch into found_epoch from feed_epoch;
    end if;
    return found_epoch;
end $$;

-- The same for readers: before anything is written in a new place, all that is there is of earlier epochs.
create function feed_epoch_to_read() returns integer
    language sql volatile
    return (select case when place = feed_place() then epoch else epoch + 1 end from feed_epoch);

create sequence changes_id cache 32;

-- One row per change of a row in the mirror, written in the transaction that changes it. Narrow, and without foreign keys: a
-- first sync writes hundreds of thousands. Partitioned by day.
create table changes (
    -- The writing transaction. It tells readers what is settled; (epoch, xid, id) is the feed's order.
    xid        bigint          not null,
    id         bigint          not null default nextval('changes_id'),
    at         timestamptz     not null,
    tenant_id  bigint          not null,
    account_id bigint          not null,
    -- The row that it stands in: an event's calendar; null: the account itself.
    parent     bigint,
    epoch      integer         not null,
    resource   change_resource not null,
    what       change_what     not null,
    -- The row's own identity in there: an event's id as Google gives it, a calendar's number.
    key        text            collate "C" not null
) partition by range (at);
create index changes_feed on changes (tenant_id, epoch, xid, id);

-- A change whose clock was far off still has a place.
create table changes_other partition of changes default;

-- Makes the partitions from yesterday to `ahead` days on. Says how many were new.
create function changes_make_partitions(ahead integer) returns integer
    language plpgsql as $$
declare
    day date;
    made integer := 0;
begin
    for day in select (clock() at time zone 'utc')::date + n from generate_series(-1, ahead) n loop
        if to_regclass(format('changes_%s', to_char(day, 'YYYYMMDD'))) is null then
            execute format(
                'create table changes_%s partition of changes for values from (%L) to (%L)',
                to_char(day, 'YYYYMMDD'),
                day::timestamp at time zone 'utc',
                (day + 1)::timestamp at time zone 'utc'
            );
            made := made + 1;
        end if;
    end loop;
    return made;
end $$;
select changes_make_partitions(7);

-- The last change of a tenant that was dropped: whoever has read less has missed something.
create table feed_dropped (
    tenant_id bigint  primary key references tenants on delete cascade,
    epoch     integer not null,
    xid       bigint  not null,
    id        bigint  not null
);

-- Who may read a tenant's feed.
create table feed_tokens (
    id         bigint      generated always as identity primary key,
    tenant_id  bigint      not null references tenants on delete cascade,
    name       text        not null check (length(name) between 1 and 100),
    -- Its fingerprint; the token itself is nowhere.
    hash       bytea       not null,
    created_at timestamptz not null default now(),
    -- By the hour.
    used_at    timestamptz,
    unique (tenant_id, name)
);

-- Where a tenant's changes are sent. The signing secret is in `secrets`, owner kind `webhook`.
create table webhooks (
    id            bigint            generated always as identity primary key,
    tenant_id     bigint            not null references tenants on delete cascade,
    url           text              not null,
    -- Of this account only; null: of all. No foreign key: the removal of the account is news, too.
    account_id    bigint,
    -- Of these resources only; null: of all.
    resources     change_resource[],
    -- The cursor: what was sent.
    epoch         integer           not null,
    xid           bigint            not null,
    change_id     bigint            not null,
    -- The end of the batch under way, from before its first sending to its acknowledgement; null: there is none.
    batch_epoch   integer,
    batch_xid     bigint,
    batch_id      bigint,
    -- Changes were dropped before they could be sent: the next batch says so.
    lost          boolean           not null default false,
    -- Counts writes of the cursor: a step that read another count is stale.
    step          bigint            not null default 0,
    paused        boolean           not null default false,
    -- Since when nothing is sent because of what the endpoint answered, and what that was; null: it is sent.
    disabled_at   timestamptz,
    disabled_why  text,
    -- Since when nothing was acknowledged although it was tried; null: the last sending was.
    failing_since timestamptz,
    delivered_at  timestamptz,
    created_at    timestamptz       not null default now(),
    check ((batch_epoch is null) = (batch_xid is null) and (batch_xid is null) = (batch_id is null)),
    check ((disabled_at is null) = (disabled_why is null))
);
create index webhooks_tenant on webhooks (tenant_id, id);
