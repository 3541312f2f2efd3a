-- The job engine: jobs, their state, gates, workers, runs.

create type lane as enum ('interactive', 'normal', 'bulk');
create type job_phase as enum ('idle', 'running', 'parked');

-- What should be kept in step: identity, and texts that change seldom. One row for ever per (kind, key).
create table jobs (
    id         bigint generated always as identity primary key,
    kind       text        not null check (kind ~ '^[a-z][a-z0-9_]{0,62}$'),
    key        text        not null check (length(key) between 1 and 255),
    tenant_id  bigint      not null references tenants on delete cascade,
    account_id bigint      references accounts on delete cascade,
    created_at timestamptz not null default now(),
    -- Why the last step that did not go on went wrong, or what it waits for.
    note       text,
    noted_at   timestamptz,
    unique (kind, key)
);
create index jobs_tenant on jobs (tenant_id, id);
create index jobs_account on jobs (account_id, id) where account_id is not null;

-- How a job stands. Small, because it is written at every step.
create table job_state (
    job_id        bigint      primary key references jobs on delete cascade,
    wanted        bigint      not null default 0,
    seen          bigint,
    done          bigint      not null default 0,
    run_at        timestamptz not null,
    -- A provider's minimum interval: nothing runs the job before it.
    floor_at      timestamptz not null default '-infinity',
    -- A backoff: only an operator's retry runs the job before it.
    backoff_until timestamptz not null default '-infinity',
    -- The first want not yet answered by a completed pass.
    dirty_since   timestamptz,
    -- The first want that came during the pass under way.
    dirty_again   timestamptz,
    -- When the pass under way became due.
    due_since     timestamptz,
    tenant_id     bigint      not null,
    account_id    bigint,
    lease         uuid,
    claimed_by    uuid,
    phase         job_phase   not null default 'idle',
    lane          lane        not null,
    attempt       integer     not null default 0,
    -- Crashes of its worker since the last good commit. Above 0 the job is suspect.
    crashes       smallint    not null default 0,
    paused        boolean     not null default false,
    kind          text        collate "C" not null,
    parked        text,
    check (0 <= done and done <= coalesce(seen, wanted) and coalesce(seen, wanted) <= wanted),
    check ((phase = 'running') = (lease is not null)),
    check ((lease is null) = (claimed_by is null)),
    check (phase <> 'running' or seen is not null),
    check ((phase = 'parked') = (parked is not null)),
    check (phase = 'idle' or run_at = 'infinity'),
    check ((wanted > done) = (dirty_since is not null)),
    check (dirty_again is null or seen is not null)
) with (
    fillfactor = 60,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);
create index job_state_due on job_state (lane, run_at, job_id)
    where phase = 'idle' and not paused and run_at < 'infinity';
create index job_state_running on job_state (claimed_by) where phase = 'running';
-- Staleness of what waits: the gauge reads its first entry.
create index job_state_stale on job_state (least(dirty_since, due_since))
    where phase = 'idle' and not paused and least(dirty_since, due_since) is not null;
create index job_state_parked on job_state (parked, job_id) where phase = 'parked';

-- Whom the fleet must not serve for now. Open again when `until` has passed; null: until somebody opens it.
create table gates (
    scope      text        not null check (scope in ('kind', 'lane', 'tenant', 'account')),
    target     text        collate "C" not null,
    reason     text        not null check (reason in ('paused', 'throttled', 'sign_in')),
    until      timestamptz,
    note       text        not null default '',
    created_at timestamptz not null default now(),
    primary key (scope, target, reason)
);

-- What may run now: the one definition that dispatch and claim share. Whoever goes through it in the order of `run_at` adds
-- `run_at < 'infinity'`, which lets the index `job_state_due` be used; whoever looks up by job leaves it out, so that a long
-- backlog cannot tempt the planner away from the primary key.
--
-- A scope without gates costs one look per statement, any other an index look-up per job. `offset 0` keeps the planner from
-- turning the look-ups into joins, whose cost would grow with the number of closed gates.
create view due_jobs as
select s.*
from job_state s
where s.phase = 'idle'
    and not s.paused
    and s.run_at <= clock()
    and (
        (select not exists (select from gates where scope = 'kind'))
        or not exists (
            select from gates g
            where g.scope = 'kind' and g.target = s.kind and (g.until is null or g.until > clock())
            offset 0
        )
    )
    and (
        (select not exists (select from gates where scope = 'lane'))
        or not exists (
            select from gates g
            where g.scope = 'lane' and g.target = s.lane::text and (g.until is null or g.until > clock())
            offset 0
        )
    )
    and (
        (select not exists (select from gates where scope = 'tenant'))
        or not exists (
            select from gates g
            where g.scope = 'tenant' and g.target = s.tenant_id::text and (g.until is null or g.until > clock())
            offset 0
        )
    )
    and (
        (select not exists (select from gates where scope = 'account'))
        or not exists (
            select from gates g
            where g.scope = 'account' and g.target = s.account_id::text and (g.until is null or g.until > clock())
            offset 0
        )
    );

-- One row per worker process, new at each start. `beat_at` is the sign of life of all its leases.
create table workers (
    id         uuid        primary key,
    name       text        not null,
    version    text        not null,
    -- The kinds that it knows.
    kinds      text[]      not null,
    slots      jsonb       not null,
    busy       jsonb       not null default '{}',
    started_at timestamptz not null,
    beat_at    timestamptz not null
);

-- History: one row per run, partitioned by the day that its time-ordered id (UUIDv7) tells.
create table runs (
    id         uuid        not null primary key,
    job_id     bigint      not null,
    worker_id  uuid        not null,
    tenant_id  bigint      not null,
    kind       text        collate "C" not null,
    lane       lane        not null,
    attempt    integer     not null,
    -- complete, continue, wait, retry, throttled, park, handed_back, lost
    outcome    text        not null,
    -- Rows that the step changed in the mirror.
    changed    integer     not null,
    started_at timestamptz not null,
    ended_at   timestamptz not null,
    note       text
) partition by range (id);
create index runs_job on runs (job_id);

-- The lowest UUIDv7 of a moment.
create function uuid_v7_floor(moment timestamptz) returns uuid
    language sql immutable parallel safe
    return (lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;

-- The moment that a UUIDv7 carries.
create function uuid_v7_time(id uuid) returns timestamptz
    language sql immutable parallel safe
    return to_timestamp(('x' || lpad(left(replace(id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint / 1000.0);

-- A run whose worker's clock is far off still has a place.
create table runs_other partition of runs default;

-- Makes the partitions from yesterday to `ahead` days on. Says how many were new.
create function runs_make_partitions(ahead integer) returns integer
    language plpgsql as $$
declare
    day date;
    made integer := 0;
begin
    for day in select (clock() at time zone 'utc')::date + n from generate_series(-1, ahead) n loop
        if to_regclass(format('runs_%s', to_char(day, 'YYYYMMDD'))) is null then
            execute format(
                'create table runs_%s partition of runs for values from (%L) to (%L)',
                to_char(day, 'YYYYMMDD'),
                uuid_v7_floor(day::timestamp at time zone 'utc'),
                uuid_v7_floor((day + 1)::timestamp at time zone 'utc')
            );
            made := made + 1;
        end if;
    end loop;
    return made;
end $$;
select runs_make_partitions(14);
