-- The budget of calls that a provider allows, and what of it is drawn. How it is kept is told in `shared/src/google/quota.rs`.

-- One row per project, and one per account that is in use. Each is a bucket of units, which fills by itself.
create table quotas (
    -- The provider's API, e.g. `calendar`.
    api        text        collate "C" not null,
    -- The provider's project, to which our calls count.
    project    text        collate "C" not null,
    -- 0: the project's own row.
    account_id bigint      not null,
    -- The provider's limits, as they were configured at the last draw.
    per_minute bigint      not null,
    per_day    bigint,
    -- What was left at `drawn_at`.
    units      float8      not null,
    drawn_at   timestamptz not null,
    -- Units drawn in the span of 3 s with the number `span` (since the epoch), and in the 20 spans before it, newest first.
    span       bigint      not null,
    drawn      integer[]   not null,
    -- Units drawn on `day`. The provider's day ends at midnight in California.
    day        date        not null,
    today      bigint      not null,
    primary key (api, project, account_id)
) with (fillfactor = 50);
