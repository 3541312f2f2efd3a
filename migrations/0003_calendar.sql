-- Google calendars: who refreshes whose access token, an account's list of calendars, the calendars, their events.

-- One caller at a time refreshes an account's access token. A lease, not a lock: nobody holds a connection meanwhile.
create table oauth_refreshes (
    account_id bigint      primary key references accounts on delete cascade,
    holder     uuid        not null,
    until      timestamptz not null,
    -- `secrets.updated_at` of the refresh token that was refused last, and when that was.
    refused    timestamptz,
    refused_at timestamptz
);

-- How far an account's list of calendars is mirrored.
create table calendar_lists (
    account_id bigint      primary key references accounts on delete cascade,
    -- What the last completed pass ended with; null: a full pass is needed.
    sync_token text,
    -- The next page of the pass under way.
    page_token text,
    -- The pass under way; null: none.
    pass       text        check (pass in ('full', 'incremental')),
    -- Counts full passes; rows of an earlier one are swept when a full pass ends.
    generation bigint      not null default 0,
    -- Counts writes of this cursor: a step that read another count is stale.
    step       bigint      not null default 0,
    -- How often in a row the sync token was refused.
    resyncs    integer     not null default 0,
    -- No pass begins before.
    resync_at  timestamptz not null default '-infinity',
    -- When the last full pass ended.
    full_at    timestamptz not null default '-infinity',
    check (page_token is null or pass is not null)
);

-- A calendar as one account sees it, and how far its events are mirrored. Its row stays when the calendar goes from the
-- account's list, so that its id is the same if it comes back.
create table calendars (
    id              bigint      generated always as identity primary key,
    account_id      bigint      not null references accounts on delete cascade,
    google_id       text        not null,
    summary         text,
    access_role     text,
    is_primary      boolean     not null default false,
    time_zone       text,
    hidden          boolean     not null default false,
    selected        boolean     not null default false,
    -- Not in the list any more.
    deleted         boolean     not null default false,
    -- The provider did not know the calendar, or did not let the account read it, when its events were asked for.
    lost_at         timestamptz,
    etag            text,
    raw             jsonb       not null,
    list_generation bigint      not null,
    -- Whether its events are mirrored. Roles that are not known yet are taken for readable.
    readable        boolean     not null generated always as (
        not deleted and lost_at is null and coalesce(access_role, 'none') not in ('none', 'freeBusyReader')
    ) stored,
    -- The cursor of its events, as in `calendar_lists`.
    sync_token      text,
    page_token      text,
    pass            text        check (pass in ('full', 'incremental')),
    generation      bigint      not null default 0,
    step            bigint      not null default 0,
    resyncs         integer     not null default 0,
    resync_at       timestamptz not null default '-infinity',
    full_at         timestamptz not null default '-infinity',
    check (page_token is null or pass is not null),
    unique (account_id, google_id),
    -- What events refer to.
    unique (account_id, id)
);

-- Events as Google gives them, series not expanded: masters, exceptions, single events. A cancelled exception stays for as
-- long as its master does. Columns for what is asked for often; `raw` has all of it. docs/data-model.md tells how to query.
create table events (
    account_id         bigint      not null,
    calendar_id        bigint      not null,
    event_id           text        not null,
    -- confirmed, tentative, cancelled
    status             text        not null,
    -- default, outOfOffice, focusTime, workingLocation, birthday, fromGmail, or what Google invents.
    event_type         text        not null default 'default',
    -- opaque: it makes busy; transparent: it does not.
    transparency       text        not null default 'opaque',
    -- default (the calendar's), public, private, confidential
    visibility         text        not null default 'default',
    summary            text,
    location           text,
    -- A timed event has moments, an all-day event has days (the end is exclusive in both), never both. There is an end
    -- wherever there is a start.
    start_at           timestamptz,
    end_at             timestamptz,
    start_date         date,
    end_date           date,
    -- The end is there for form's sake only.
    end_unspecified    boolean     not null default false,
    -- The zones as given; null: the calendar's.
    start_zone         text,
    end_zone           text,
    organizer          text,
    creator            text,
    attendees          jsonb,
    -- Where its video call is joined.
    conference_url     text,
    -- RRULE, RDATE, EXDATE and EXRULE lines of a master.
    recurrence         text[],
    -- A moment by which a master's series has ended; infinity: endless, or ended by its count. Null: no master.
    series_end         timestamptz,
    -- The master of an exception, and which of its occurrences the exception stands for.
    recurring_event_id text,
    original_start_at  timestamptz,
    original_date      date,
    -- The same in all calendars that the event is in.
    ical_uid           text,
    updated            timestamptz,
    etag               text,
    sequence           integer,
    html_link          text,
    raw                jsonb       not null,
    -- The calendar's generation when the row was seen last.
    generation         bigint      not null,
    primary key (account_id, calendar_id, event_id),
    foreign key (account_id, calendar_id) references calendars (account_id, id) on delete cascade
);
-- "Events of this account between two moments": what ends after the first moment, as far as it starts before the second.
create index events_timed on events (account_id, end_at, start_at)
    where end_at is not null and recurrence is null and status <> 'cancelled';
create index events_all_day on events (account_id, end_date, start_date)
    where end_date is not null and recurrence is null and status <> 'cancelled';
-- And the series that may have occurrences then.
create index events_series on events (account_id, series_end) where recurrence is not null;
-- The exceptions of a master.
create index events_exceptions on events (account_id, calendar_id, recurring_event_id)
    where recurring_event_id is not null;
-- Cancelled exceptions: looked through for those without a master.
create index events_cancelled on events (account_id, calendar_id) where status = 'cancelled';
