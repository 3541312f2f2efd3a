-- Accounts of a Google Workspace: a tenant's service account acts for them, by domain-wide delegation. And the one definition of
-- being held by a gate.

-- Whether the tenant's service account acts for the account. If so it has no refresh token of its own.
alter table accounts add column workspace boolean not null default false;

-- Whether a closed gate stands before a job of this kind, lane, tenant and account.
create function is_gated(kind text, lane lane, tenant_id bigint, account_id bigint) returns boolean
    language sql stable parallel safe
    return exists (
        select from gates g
        where (g.until is null or g.until > clock()) and (
            g.scope = 'kind' and g.target = is_gated.kind
            or g.scope = 'lane' and g.target = is_gated.lane::text
            or g.scope = 'tenant' and g.target = is_gated.tenant_id::text
            or g.scope = 'account' and g.target = is_gated.account_id::text
        )
    );
