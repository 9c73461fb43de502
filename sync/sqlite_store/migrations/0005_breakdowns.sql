-- Which run ended last: pages look at it to know when what they show is old.
create index sync_runs_ended on sync_runs (source, finished_at);
