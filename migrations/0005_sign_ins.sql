-- Signing in on a page. How it is kept safe is told in `shared/src/admin/account/sign_in.rs`.

-- An operator's leave to sign in: for a tenant, perhaps for one account of it.
create table sign_in_links (
    id          bigint      generated always as identity primary key,
    -- SHA-256 of the link's secret, which is kept nowhere.
    secret_hash bytea       not null unique check (length(secret_hash) = 32),
    tenant_id   bigint      not null references tenants on delete cascade,
    -- Who is to sign in; null: anybody, as a new account or one that the tenant has.
    account_id  bigint      references accounts on delete cascade,
    created_at  timestamptz not null,
    expires_at  timestamptz not null,
    -- When somebody signed in by it. It is good for once.
    used_at     timestamptz
);
create index sign_in_links_tenant on sign_in_links (tenant_id);
create index sign_in_links_account on sign_in_links (account_id) where account_id is not null;
create index sign_in_links_expires on sign_in_links (expires_at);

-- A sign-in under way: a browser is at Google, and is expected back.
create table sign_ins (
    -- SHA-256 of the `state` that goes to Google and comes back.
    state_hash   bytea       primary key check (length(state_hash) = 32),
    -- SHA-256 of the cookie of the browser that began.
    browser_hash bytea       not null check (length(browser_hash) = 32),
    link_id      bigint      not null references sign_in_links on delete cascade,
    expires_at   timestamptz not null
);
create index sign_ins_link on sign_ins (link_id);
create index sign_ins_expires on sign_ins (expires_at);
