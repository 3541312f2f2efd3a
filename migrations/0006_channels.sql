-- Push channels: through which Google tells of changes, and of what it does not tell.

create type channel_state as enum ('asked', 'live', 'stopping', 'stopped');

create table channels (
    -- Drawn by us, never used twice.
    id            text          primary key check (length(id) between 1 and 64),
    account_id    bigint        not null references accounts on delete cascade,
    -- The job that is wanted by a notification. No foreign key: a channel outlives its job until it is stopped.
    job_id        bigint        not null,
    api           text          not null check (api in ('calendar', 'drive')),
    state         channel_state not null,
    -- Where Google calls.
    address       text          not null,
    -- Google's id of what is watched; null: neither its answer nor a notification has told it yet.
    resource_id   text,
    created_at    timestamptz   not null default clock(),
    -- What was asked for, then what Google has said.
    expires_at    timestamptz   not null,
    -- When another one is to take its place.
    renew_at      timestamptz   not null default 'infinity',
    -- About when a message came over it last, the first one (`sync`) included; null: none has come.
    heard_at      timestamptz,
    -- Passes in a row that found changes of which it had not told.
    missed        integer       not null default 0,
    -- `dirty_since` of the last two passes that a notification made due.
    pushed_at     timestamptz,
    pushed_before timestamptz,
    ended_at      timestamptz,
    -- What went wrong when it was stopped.
    note          text,
    check ((state = 'stopped') = (ended_at is not null)),
    check (state <> 'live' or resource_id is not null)
) with (fillfactor = 80);
create index channels_account on channels (account_id, id);
create index channels_job on channels (job_id);

-- What has no channel for now, and why: it is polled.
create table channel_refusals (
    job_id     bigint      primary key references jobs on delete cascade,
    account_id bigint      not null references accounts on delete cascade,
    -- unsupported: Google does not push it; refused: it refused the watch; operator: somebody stopped it.
    reason     text        not null check (reason in ('unsupported', 'refused', 'operator')),
    note       text        not null,
    refused_at timestamptz not null default clock(),
    -- When a channel is asked for again; infinity: when an operator says so.
    until      timestamptz not null
);
create index channel_refusals_account on channel_refusals (account_id);
