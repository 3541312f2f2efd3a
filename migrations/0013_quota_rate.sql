-- The budget of calls: a share of it is kept for push-driven work, and the rate in use gives way when the provider refuses.

-- The share of the bucket and of the day that only the lane interactive may use, as it was configured at the last draw.
alter table quotas add column kept float8 not null default 0;

-- The share of the configured rate that was in use at `slowed_at`, when the provider refused calls for their rate. It has grown
-- since: see `rate_in_use`.
alter table quotas add column rate float8 not null default 1;
alter table quotas add column slowed_at timestamptz;
create index quotas_slowed on quotas (slowed_at) where slowed_at is not null;

-- The share of the configured rate that is in use now: it grows by a twentieth of the limit each minute, up to all of it.
-- `greatest` passes over a null: what was never slowed uses all.
create function rate_in_use(rate float8, slowed_at timestamptz) returns float8
    language sql stable parallel safe
    return least(1, rate + greatest(0, extract(epoch from clock() - slowed_at)::float8) / 1200);

-- A gate with the reason `share` is that of work which nobody waits for: the lane interactive passes it.
alter table gates drop constraint gates_reason_check;
alter table gates add constraint gates_reason_check
    check (reason in ('paused', 'throttled', 'budget', 'share', 'sign_in'));

-- As before, but for the reason `share`.
create or replace view due_jobs as
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
                and (g.reason <> 'share' or s.lane <> 'interactive')
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
                and (g.reason <> 'share' or s.lane <> 'interactive')
            offset 0
        )
    );

-- Whether what is parked has to stay so. Nothing is parked behind a share: a push must find its job idle.
create or replace function is_gated(kind text, lane lane, tenant_id bigint, account_id bigint) returns boolean
    language sql stable parallel safe
    return exists (
        select from gates g
        where (g.until is null or g.until > clock()) and g.reason <> 'share' and (
            g.scope = 'kind' and g.target = is_gated.kind
            or g.scope = 'lane' and g.target = is_gated.lane::text
            or g.scope = 'tenant' and g.target = is_gated.tenant_id::text
            or g.scope = 'account' and g.target = is_gated.account_id::text
        )
    );
