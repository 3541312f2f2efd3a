-- Lists whose pages lead in a circle, and the projects to which calls count.

-- The project of Google Cloud to which an account's calls count, by its id; null: the OAuth client's.
alter table accounts add column project text;

-- How many pages the pass under way has had, and the token of one of them: of the last page whose number was a power of two. A
-- page that names it as the next one leads in a circle, however long that is (Brent's algorithm).
alter table calendar_lists add column pages integer not null default 0, add column page_mark text;
alter table calendars add column pages integer not null default 0, add column page_mark text;
alter table drive_lists add column pages integer not null default 0, add column page_mark text;
-- A drive has its sweep, and its log beside it.
alter table drives
    add column pages integer not null default 0, add column page_mark text,
    add column log_pages integer not null default 0, add column log_mark text;

-- Whether the page of this number is to be remembered.
create function marks_page(pages integer) returns boolean
    language sql immutable parallel safe
    return pages & (pages - 1) = 0;

-- Counts a page when the token moves on, and forgets all at the end of a pass.
create function count_page() returns trigger
    language plpgsql as $$
begin
    if new.page_token is null then
        new.pages := 0;
        new.page_mark := null;
    else
        new.pages := old.pages + 1;
        if marks_page(new.pages) then
            new.page_mark := new.page_token;
        end if;
    end if;
    return new;
end $$;

create trigger count_page before update of page_token on calendar_lists
    for each row when (old.page_token is distinct from new.page_token) execute function count_page();
create trigger count_page before update of page_token on calendars
    for each row when (old.page_token is distinct from new.page_token) execute function count_page();
create trigger count_page before update of page_token on drive_lists
    for each row when (old.page_token is distinct from new.page_token) execute function count_page();
create trigger count_page before update of page_token on drives
    for each row when (old.page_token is distinct from new.page_token) execute function count_page();

-- The same for a log, which has been read to its end when `read_at` moves.
create function count_log_page() returns trigger
    language plpgsql as $$
begin
    if new.log_token is null or old.read_at is distinct from new.read_at then
        new.log_pages := 0;
        new.log_mark := null;
    else
        new.log_pages := old.log_pages + 1;
        if marks_page(new.log_pages) then
            new.log_mark := new.log_token;
        end if;
    end if;
    return new;
end $$;

create trigger count_log_page before update of log_token on drives
    for each row when (old.log_token is distinct from new.log_token or old.read_at is distinct from new.read_at)
    execute function count_log_page();
