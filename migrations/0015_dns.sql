-- Names that follow addresses (DynDNS): addresses and where they come from, records that point at them, what was sent to whom, and
-- who may tell an address from outside. The rules of sending are told in `worker/src/jobs/dns_record.rs`.

create type address_family as enum ('ipv4', 'ipv6');

-- An address that moves: a home's, a site's. Where a family of it has a source, a job `dns_address` asks it; its key is the id.
create table dns_addresses (
    id               bigint      generated always as identity primary key,
    tenant_id        bigint      not null references tenants on delete cascade,
    name             text        not null check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    -- How often the sources are asked.
    interval_seconds integer     not null check (interval_seconds between 60 and 86400),
    -- Networks that it may lie in although they are not of the public internet, as `10.0.0.0/8`.
    allowed          text[]      not null default '{}',
    created_at       timestamptz not null default now(),
    unique (tenant_id, name)
);

create table dns_address_families (
    address_id    bigint         not null references dns_addresses on delete cascade,
    family        address_family not null,
    -- `shared::dns::address::Source`; null: only routers tell it.
    source        jsonb,
    -- What it is; null: nobody has told it yet.
    address       inet           check (family(address) = case family when 'ipv4' then 4 else 6 end),
    -- Since when it is so.
    since         timestamptz,
    -- When that was told last, and by whom: `source`, or a login's user name.
    told_at       timestamptz,
    told_by       text,
    -- Since when the source tells nothing, and why; null: it told at its last turn.
    failing_since timestamptz,
    failing_why   text,
    primary key (address_id, family),
    check ((address is null) = (since is null)),
    check ((failing_since is null) = (failing_why is null))
);
create index dns_address_families_failing on dns_address_families (address_id) where failing_since is not null;

-- A name at a provider that points at an address. Its job `dns_record` has its id as key; its secret is in `secrets`, owner kind
-- `dns_record`.
create table dns_records (
    id                      bigint      generated always as identity primary key,
    tenant_id               bigint      not null references tenants on delete cascade,
    address_id              bigint      not null references dns_addresses,
    host                    text        not null,
    -- `shared::dns::Provider`.
    provider                jsonb       not null,
    -- Seconds; null: what is there, or the provider's own.
    ttl                     integer     check (ttl between 1 and 86400),
    -- The least time between two updates, of the provider's rules or longer.
    min_interval_seconds    integer     not null check (min_interval_seconds between 1 and 604800),
    -- What was sent is sent again after this time; null: never.
    forced_interval_seconds integer     check (forced_interval_seconds between 86400 and 31536000),
    -- Whether the zone's servers are asked after an update.
    verify                  boolean     not null default true,
    -- The servers to ask, as `192.0.2.1:53`; null: those that the zone names.
    verify_servers          text[],
    -- Nothing is sent before, and why: the least time between two updates, or the provider's word.
    not_before              timestamptz not null default '-infinity',
    not_before_why          text,
    -- Counts writes: a step that read another count is stale.
    step                    bigint      not null default 0,
    created_at              timestamptz not null default now()
);
create unique index dns_records_host on dns_records (tenant_id, host, (provider ->> 'provider'));
create index dns_records_address on dns_records (address_id, id);

-- The families that a record is kept in, and how each stands.
create table dns_record_families (
    record_id     bigint         not null references dns_records on delete cascade,
    family        address_family not null,
    -- The part of an IPv6 address that is the host's own, as `::1:2:3:4`, or with the length of the network's part `::12:0:0:0:5/56`; null: the address as it is.
    host_id       text           check (family = 'ipv6' or host_id is null),
    -- The intent: what is being sent, from before the call until its outcome is recorded.
    sending       inet,
    sending_since timestamptz,
    -- What the provider accepted last, and when it was sent.
    sent          inet,
    -- It is to be sent again, although the provider has it: a person demands it, or it is at another provider now.
    resend        boolean        not null default false,
    sent_at       timestamptz,
    -- When the zone's servers answered with it, and how long that took; null: not yet, or not asked.
    verified_at   timestamptz,
    verify_ms     bigint,
    -- When it was given up to see it there; it is still looked for now and then.
    unverified_at timestamptz,
    -- How often in a row the provider said that it had it already, and how often it refused for a reason not known to last.
    no_changes    integer        not null default 0,
    refusals      integer        not null default 0,
    -- Nothing is sent until a person acts: a word of `shared::dns::Park` or `refused`, and the provider's own.
    parked        text,
    parked_why    text,
    -- Since when the name does not follow, and why; null: it does.
    failing_since timestamptz,
    failing_why   text,
    primary key (record_id, family),
    check ((sending is null) = (sending_since is null)),
    check ((sent is null) = (sent_at is null)),
    check ((parked is null) = (parked_why is null)),
    check ((failing_since is null) = (failing_why is null))
);
create index dns_record_families_failing on dns_record_families (record_id) where failing_since is not null;

-- What was done for a record, and what came of it.
create table dns_history (
    id        bigint         generated always as identity primary key,
    record_id bigint         not null references dns_records on delete cascade,
    at        timestamptz    not null,
    family    address_family not null,
    address   inet,
    -- good, nochg, wait, parked, retry, refused; observed (an open intent had arrived), verified, unverified
    what      text           not null,
    said      text           not null default '',
    took_ms   bigint
);
create index dns_history_record on dns_history (record_id, id);
create index dns_history_at on dns_history (at);

-- Who may tell addresses from outside, by dyndns2: a router, a client.
create table dns_logins (
    id            bigint      generated always as identity primary key,
    tenant_id     bigint      not null references tenants on delete cascade,
    username      text        not null unique,
    -- Argon2id, as a PHC string.
    password_hash text        not null,
    -- Since when its calls are answered with `abuse`, and why; null: they are served.
    blocked_at    timestamptz,
    blocked_why   text,
    used_at       timestamptz,
    used_from     inet,
    agent         text,
    created_at    timestamptz not null default now(),
    check ((blocked_at is null) = (blocked_why is null))
);
create index dns_logins_tenant on dns_logins (tenant_id, id);

-- The names that routers call, and whose address each tells. They need not be names of records.
create table dns_hosts (
    hostname   text   primary key,
    login_id   bigint not null references dns_logins on delete cascade,
    address_id bigint not null references dns_addresses on delete cascade
);
create index dns_hosts_login on dns_hosts (login_id);
create index dns_hosts_address on dns_hosts (address_id);
