-- Google Drive: an account's drives, and how far each is mirrored; the files in them.

-- How far an account's list of drives is mirrored. It is always read in full: Google has no other way.
create table drive_lists (
    account_id bigint      primary key references accounts on delete cascade,
    -- The next page of the pass under way; null: none is.
    page_token text,
    -- Counts passes; drives of an earlier one are gone when a pass ends.
    generation bigint      not null default 0,
    -- Counts writes of this cursor: a step that read another count is stale.
    step       bigint      not null default 0,
    -- When the last pass ended.
    full_at    timestamptz not null default '-infinity'
);

-- A drive as one account sees it: its own My Drive, or a shared drive of which it is a member; and how far its files are
-- mirrored. Its row stays when the account leaves the drive, so that its id is the same if it comes back.
create table drives (
    id              bigint      generated always as identity primary key,
    account_id      bigint      not null references accounts on delete cascade,
    -- That of the folder at its top, too.
    google_id       text        not null,
    is_mine         boolean     not null,
    name            text,
    hidden          boolean     not null default false,
    -- The account is no member any more.
    deleted         boolean     not null default false,
    raw             jsonb       not null,
    list_generation bigint      not null,
    -- Where the next step reads the log of changes; null: a sweep comes first.
    log_token       text,
    -- Where the log stood before the sweep under way began; null: none is under way.
    start_token     text,
    -- The next page of the sweep.
    page_token      text,
    -- Google said of a page of the sweep that it has not looked everywhere: then nothing is swept.
    incomplete      boolean     not null default false,
    -- Counts sweeps; files of an earlier one are gone when a sweep ends.
    generation      bigint      not null default 0,
    -- Counts writes of the cursor: a step that read another count is stale.
    step            bigint      not null default 0,
    -- When the next sweep is due, if the log is good until then.
    sweep_at        timestamptz not null default '-infinity',
    -- How often in a row the log's token was refused, and until when no sweep begins for that.
    resyncs         integer     not null default 0,
    resync_at       timestamptz not null default '-infinity',
    -- When the log was last read to its end with news, or its place was taken.
    read_at         timestamptz not null default '-infinity',
    -- When the last whole sweep ended.
    full_at         timestamptz not null default '-infinity',
    check (page_token is null or start_token is not null),
    unique (account_id, google_id),
    -- What files refer to.
    unique (account_id, id)
);
create unique index drives_mine on drives (account_id) where is_mine and not deleted;

-- Files, folders and shortcuts as Google gives them. Columns for what is asked for often; `raw` has all of it.
-- docs/data-model.md tells how to query. A file that an account sees in several ways is one row: that of the drive that it is
-- in, and what is in none of the account's shared drives counts to My Drive.
create table files (
    account_id         bigint      not null,
    file_id            text        not null,
    drive_id           bigint      not null,
    name               text        not null,
    mime_type          text,
    is_folder          boolean     not null generated always as (
        coalesce(mime_type, '') = 'application/vnd.google-apps.folder'
    ) stored,
    -- The folder that it is in: a file's id, or the drive's `google_id`. Null: none that the account sees.
    parent_id          text,
    size               bigint,
    md5                text,
    sha256             text,
    -- Another revision is other content.
    head_revision      text,
    -- Grows with each change, also with those that nobody sees; not with what happens to the folders above.
    version            bigint,
    created_at         timestamptz,
    -- When its name or content changed.
    modified_at        timestamptz,
    -- In the trash, itself or by a folder.
    trashed            boolean     not null,
    explicitly_trashed boolean     not null,
    owned_by_me        boolean     not null,
    -- An address; null in shared drives.
    owner              text,
    shared             boolean     not null,
    starred            boolean     not null,
    can_download       boolean,
    shortcut_target    text,
    shortcut_mime_type text,
    resource_key       text,
    web_link           text,
    -- Who may do what, e.g. `reader anyone`, `writer user:anna@example.com`; null: the account is not told.
    permissions        text[],
    permission_ids     text[],
    raw                jsonb       not null,
    -- The drive's generation when the row was seen last.
    generation         bigint      not null,
    primary key (account_id, file_id),
    foreign key (account_id, drive_id) references drives (account_id, id) on delete cascade
) with (fillfactor = 85);
-- What is in a folder.
create index files_parent on files (account_id, parent_id);
-- By how a name begins, whatever its case. Cut off, as an entry of an index has a limit and a name has none.
create index files_name on files (account_id, left(lower(name), 64) text_pattern_ops);
-- What a sweep has not seen.
create index files_drive on files (drive_id, account_id);

-- The names from the top of a drive down to a file, the file's own last. `rooted`: the first of them is at the top of a drive;
-- else the account does not see what is above it, or it is in a cycle.
create function file_path(account bigint, file text, out names text[], out rooted boolean)
    language sql stable parallel safe as $$
    with recursive up as (
        select f.parent_id, array[f.name] as names, array[f.file_id] as seen
        from files f
        where f.account_id = account and f.file_id = file
        union all
        select p.parent_id, p.name || up.names, up.seen || p.file_id
        from up
        join files p on p.account_id = account and p.file_id = up.parent_id
        where p.file_id <> all (up.seen)
    )
    select up.names,
        exists (select from drives d where d.account_id = account and d.google_id = up.parent_id and not d.deleted)
    from up
    order by cardinality(up.seen) desc
    limit 1
$$;

-- Everything in a folder (or at the top of a drive, by its `google_id`), at any depth, each with its names below that folder.
create function file_tree(account bigint, folder text)
    returns table (file_id text, names text[], depth integer)
    language sql stable parallel safe as $$
    with recursive down as (
        select f.file_id, f.is_folder, array[f.name] as names, array[folder, f.file_id] as seen
        from files f
        where f.account_id = account and f.parent_id = folder and f.file_id <> folder
        union all
        select f.file_id, f.is_folder, down.names || f.name, down.seen || f.file_id
        from down
        join files f on f.account_id = account and f.parent_id = down.file_id
        where down.is_folder and f.file_id <> all (down.seen)
    )
    select down.file_id, down.names, cardinality(down.names) from down
$$;

-- Each file with its path. Read it for some files; for a whole drive, `file_tree` is faster.
create view file_paths as
select f.account_id, f.drive_id, f.file_id, f.parent_id, f.name, f.mime_type, f.trashed,
    p.names, '/' || array_to_string(p.names, '/') as path, p.rooted
from files f
cross join lateral file_path(f.account_id, f.file_id) p;
