create table organizations (
    id text primary key,
    name text not null,
    slug text not null unique,
    created_at timestamptz not null default now()
);

create table api_keys (
    id text primary key,
    organization_id text not null references organizations,
    project_id text,
    key_sha256 bytea not null unique,
    scopes text[] not null,
    created_at timestamptz not null default now()
);

create table projects (
    id text primary key,
    organization_id text not null references organizations,
    name text not null,
    slug text not null,
    environment text not null,
    region text not null,
    plan text not null,
    state text not null check (state in ('creating', 'ready', 'failed')),
    database_name text not null unique,
    role_name text not null unique,
    role_password bytea not null, -- sealed
    storage_limit_bytes bigint not null check (storage_limit_bytes > 0),
    last_error text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (organization_id, slug)
);

create table jobs (
    id text primary key,
    type text not null,
    state text not null check (state in ('pending', 'running', 'completed', 'failed')),
    attempts int not null default 0,
    max_attempts int not null,
    organization_id text not null references organizations,
    project_id text references projects,
    request jsonb not null, -- without secrets
    secret bytea, -- sealed; erased when the job ends
    transaction_id text, -- of an import in one transaction: tells after a crash whether it committed
    made jsonb, -- outside of that transaction, to be taken back unless it committed
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    claimed_at timestamptz,
    claimed_by text,
    lease_until timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    error text,
    last_exit_code int,
    last_stdout text,
    last_stderr text,
    retry_classification text,
    result jsonb,
    check (state not in ('completed', 'failed') or secret is null)
);
create index jobs_open on jobs (created_at) where state in ('pending', 'running');
create index jobs_of_project on jobs (project_id, created_at desc);
create unique index one_import_at_a_time on jobs (project_id)
    where type = 'project.import' and state in ('pending', 'running');

create table uploads (
    object_key text primary key,
    project_id text not null references projects,
    size_bytes bigint, -- null until the object is there
    created_at timestamptz not null default now()
);
