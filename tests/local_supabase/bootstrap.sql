-- What a hosted project has before the first migration runs. Run by the superuser, once per database; may be repeated.
-- Nobody has rights on new tables and functions by default, as in projects made since 30 October 2026.

do $$
begin
    if to_regrole('anon') is null then
        create role anon nologin noinherit;
        create role authenticated nologin noinherit;
        create role service_role nologin noinherit bypassrls;
        create role authenticator login noinherit;
        create role supabase_auth_admin noinherit createrole;
        -- Migrations run as this role, which is no superuser on hosted projects either.
        create role postgres login createdb createrole replication bypassrls;
    end if;
end $$;
grant anon, authenticated, service_role to authenticator;
grant anon, authenticated, service_role to postgres with admin option;
grant pg_monitor, pg_signal_backend to postgres;

alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';

alter database postgres owner to postgres; -- and with it of the schema public

create schema if not exists extensions;
create schema if not exists auth;
grant all on schema extensions to postgres;
grant usage on schema public, extensions, auth to postgres, anon, authenticated, service_role;

-- Where people sign in. It belongs to a role of its own, as on hosted projects.
grant usage, create on schema auth to supabase_auth_admin;
alter schema auth owner to supabase_auth_admin;
create table if not exists auth.users (id uuid primary key, email text unique, created_at timestamptz default now());
alter table auth.users owner to supabase_auth_admin;
alter table auth.users enable row level security;

create or replace function auth.jwt() returns jsonb
language sql stable
as $$
    select nullif(current_setting('request.jwt.claims', true), '')::jsonb
$$;

create or replace function auth.uid() returns uuid
language sql stable
as $$
    select (auth.jwt() ->> 'sub')::uuid
$$;

create or replace function auth.role() returns text
language sql stable
as $$
    select auth.jwt() ->> 'role'
$$;
