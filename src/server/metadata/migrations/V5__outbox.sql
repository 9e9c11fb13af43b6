-- What is to be told to others. A row is written together with what it tells of, so that
-- neither is ever without the other; those who tell take it from here.

create table webhook_endpoints (
    id text primary key,
    organization_id text not null references organizations,
    url text not null,
    description text,
    event_types text[] not null, -- empty: all
    enabled boolean not null default true,
    secret bytea not null, -- sealed
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index webhook_endpoints_of_organization on webhook_endpoints (organization_id, created_at);

create table webhook_deliveries (
    id text primary key,
    endpoint_id text not null references webhook_endpoints on delete cascade,
    event_id text not null,
    event_type text not null,
    body text not null, -- as it is signed
    state text not null default 'pending' check (state in ('pending', 'delivered', 'failed')),
    attempts int not null default 0,
    next_attempt_at timestamptz not null default now(), -- also the end of the lease of who sends it
    last_status int,
    last_error text,
    delivered_at timestamptz,
    created_at timestamptz not null default now()
);
create index webhook_deliveries_due on webhook_deliveries (next_attempt_at) where state = 'pending';
create index webhook_deliveries_of_endpoint on webhook_deliveries (endpoint_id, created_at desc);
create index webhook_deliveries_old on webhook_deliveries (created_at);

create table integrations (
    project_id text not null references projects,
    provider text not null check (provider in ('vercel', 'netlify', 'dotenv')),
    config jsonb not null,
    credentials bytea, -- sealed
    state text not null default 'pending' check (state in ('pending', 'connected', 'error')),
    wish bigint not null default 1, -- counts the wishes for a push: one that is under way answers only its own
    attempts int not null default 0,
    next_attempt_at timestamptz not null default now(), -- also the end of the lease of who pushes
    external_id text,
    last_error text,
    last_pushed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (project_id, provider)
);
create index integrations_due on integrations (next_attempt_at) where state = 'pending';

-- By this a process knows that it has the key with which the secrets were sealed.
create table seal_check (
    only_one boolean primary key default true check (only_one),
    sealed bytea not null
);
