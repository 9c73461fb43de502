-- What a run tells of its requests, for whoever watches from outside: how many were refused because there were too
-- many (429), and how many were under way at the last heartbeat.
alter table sync_runs add column refused integer not null default 0;
alter table sync_runs add column in_flight integer not null default 0;
