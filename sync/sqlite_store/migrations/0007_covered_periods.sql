-- What the windows of successful runs cover, joined where they touch: what lies between two rows is a gap. Kept by the
-- triggers below, so that nobody has to read the whole history of runs for it.
create table covered_periods (
    source text not null,
    since text not null,
    until text not null,
    primary key (source, since)
) without rowid;

create trigger run_succeeded after update of state on sync_runs when new.state = 'ok'
begin
    insert or replace into covered_periods
    select new.source, min(new.window_start, coalesce(min(since), new.window_start)),
        max(new.window_end, coalesce(max(until), new.window_end))
    from covered_periods where source = new.source and since <= new.window_end and until >= new.window_start;
    delete from covered_periods where source = new.source and since > new.window_start and since <= new.window_end;
end;
create trigger successful_run_added after insert on sync_runs when new.state = 'ok'
begin
    update sync_runs set state = 'ok' where id = new.id; -- does what the trigger above does
end;

update sync_runs set state = 'ok' where state = 'ok'; -- what is stored is covered, too

-- Pages look for the last backfill, which may be long ago or nowhere.
create index sync_runs_of_kind on sync_runs (kind);
