-- The contents of Drive's files: which are wanted, what is stored, and where.

-- What stands in the object store, once for equal content. `key` is that of the upload that brought it, and used once, ever.
create table objects (
    id     bigint      generated always as identity primary key,
    sha256 bytea       not null unique check (octet_length(sha256) = 32),
    size   bigint      not null,
    key    uuid        not null unique,
    -- When somebody stored this content last; who does waits for the removal of this row, or keeps it from being removed.
    put_at timestamptz not null default clock()
);

-- What is to be taken out of the object store: objects that nothing refers to, uploads that nobody goes on with.
create table object_removals (
    key       uuid        primary key,
    -- The service's own name of an upload of parts.
    upload_id text,
    -- Who reads or writes at this moment has until then.
    due_at    timestamptz not null default clock() + interval '1 hour'
);
create index object_removals_due on object_removals (due_at);

-- Which files of an account have their contents stored: everything in a folder, or all that the account sees.
create table drive_mirrors (
    id            bigint      generated always as identity primary key,
    account_id    bigint      not null references accounts on delete cascade,
    -- Google's id of a folder or a shared drive; null: all of the account.
    folder        text,
    -- Types, e.g. `application/pdf` or `image/*`; null: all.
    mime_types    text[],
    -- Bytes; larger files are left out. Null: none is too large.
    max_size      bigint      check (max_size >= 0),
    -- What Google's own documents are exported as, where it is not the usual: {"application/vnd.google-apps.document": "application/pdf"}.
    exports       jsonb       not null default '{}',
    -- When the files were last compared with what is wanted.
    compared_at   timestamptz not null default '-infinity',
    created_at    timestamptz not null default clock(),
    unique nulls not distinct (account_id, folder)
);

-- A file whose content is wanted. What is stored is served until another revision takes its place, in one statement.
create table file_contents (
    account_id      bigint      not null references accounts on delete cascade,
    file_id         text        not null,
    -- What is wanted: another revision is other content. Of Google's own documents it is when they changed.
    wanted_revision text        not null,
    -- What it is exported as; null: it is as it is.
    wanted_format   text,
    -- What Google says of it; null: it does not. Checksums in hexadecimal.
    wanted_size     bigint,
    wanted_md5      text,
    wanted_sha256   text,
    -- pending: to be fetched. stored: what is wanted is stored. refused: Google does not give it. none: there is no content.
    state           text        not null check (state in ('pending', 'stored', 'refused', 'none')),
    -- Why it was refused, or what went wrong last.
    why             text,
    -- Failures in a row.
    tries           integer     not null default 0,
    -- When it is worth another try; infinity: only if something changes.
    retry_at        timestamptz not null default '-infinity',
    -- What is stored.
    object_id       bigint      references objects,
    revision        text,
    format          text,
    stored_at       timestamptz,
    -- The upload under way: its key, the service's own name, the parts' tags, bytes so far, and the state of their checksums.
    upload          uuid,
    upload_id       text,
    parts           text[]      not null default '{}',
    received        bigint      not null default 0,
    sums            bytea,
    primary key (account_id, file_id),
    check ((object_id is null) = (revision is null)),
    check (state <> 'stored' or object_id is not null),
    check (upload is not null or received = 0 and upload_id is null)
) with (fillfactor = 80);
-- What is to be fetched: small files first, so that a large one keeps nobody waiting. Refused ones that may be given later too.
create index file_contents_due on file_contents (account_id, wanted_size nulls first, file_id)
    where retry_at < 'infinity' and state in ('pending', 'refused');
create index file_contents_object on file_contents (object_id) where object_id is not null;

-- An upload that a row lets go of, and that has not become an object, is to be removed: whatever the reason.
create function file_contents_let_go() returns trigger language plpgsql as $$
begin
    insert into object_removals (key, upload_id)
    select old.upload, old.upload_id
    where not exists (select from objects o where o.key = old.upload)
    on conflict (key) do nothing;
    return null;
end
$$;
create trigger file_contents_update after update of upload on file_contents
    for each row when (old.upload is not null and old.upload is distinct from new.upload)
    execute function file_contents_let_go();
create trigger file_contents_delete after delete on file_contents
    for each row when (old.upload is not null)
    execute function file_contents_let_go();
