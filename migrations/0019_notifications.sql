-- The change feed tells of names that follow addresses, and webhooks bring changes to people, too, through ntfy.

-- Nothing here uses the new words: what adds them cannot. A program that is older than they are cannot read a change that has
-- them: its streams and webhooks of that tenant stand still there until it is replaced, and miss nothing. Only a program that keeps
-- names writes such changes.
alter type change_resource add value 'dns_record';
alter type change_resource add value 'dns_address';
alter type change_what add value 'failing';
alter type change_what add value 'recovered';

-- Names belong to a tenant, and to none of its accounts.
alter table changes alter column account_id drop not null;
-- For people, in one line and without secrets: why it fails, what it is now; null: there is nothing to say.
alter table changes add column detail text;

-- The topic of an ntfy server that the messages go to, for people; null: they are the changes themselves, signed. The access token,
-- if the topic needs one, is in `secrets`, owner kind `webhook`.
alter table webhooks add column ntfy_topic text check (ntfy_topic ~ '^[-_A-Za-z0-9]{1,64}$');
-- Only where this became of the row; null: whatever became of it.
alter table webhooks add column whats change_what[];
