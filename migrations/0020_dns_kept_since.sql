-- Since when a record is kept as it is set: a name is late by how long it was to have its address, not by how old the address is.
alter table dns_records add column kept_since timestamptz not null default clock();
