-- Time, tenants, accounts, secrets, audit.

-- The only clock of due times. Tests and simulations shift it with the setting `syncfleet.clock_shift` (an interval).
create function clock() returns timestamptz
    language sql stable parallel safe
    return now() + coalesce(nullif(current_setting('syncfleet.clock_shift', true), ''), '0')::interval;

create table tenants (
    id         bigint generated always as identity primary key,
    name       text        not null unique check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    created_at timestamptz not null default now()
);

-- A person's or a machine's standing with a provider: whose data is mirrored.
create table accounts (
    id         bigint generated always as identity primary key,
    tenant_id  bigint      not null references tenants on delete cascade,
    provider   text        not null check (provider in ('google')),
    -- The provider's own lasting id of the account (OpenID `sub`); null until it was seen.
    subject    text,
    email      text        not null,
    -- What its owner has granted, as the provider told last; null: it has not said yet.
    scopes     text[],
    created_at timestamptz not null default now(),
    unique (tenant_id, provider, email),
    unique (tenant_id, provider, subject)
);

-- Every sealed value: AES-256-GCM under the key `key_id`, with owner and name as associated data.
create table secrets (
    owner_kind text        not null,
    owner_id   bigint      not null,
    name       text        not null,
    key_id     text        not null,
    sealed     bytea       not null,
    -- When the value stops being of use (an access token); null: never.
    expires_at timestamptz,
    updated_at timestamptz not null default now(),
    primary key (owner_kind, owner_id, name)
);

-- Who changed what by hand (CLI, API).
create table audit (
    id     bigint generated always as identity primary key,
    at     timestamptz not null default now(),
    actor  text        not null,
    action text        not null,
    target text        not null,
    detail jsonb       not null default '{}'
);
create index audit_at on audit (at);
