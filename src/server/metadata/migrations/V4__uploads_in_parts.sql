alter table uploads
    add column declared_bytes bigint, -- of an upload in parts
    add column part_bytes bigint,
    add column storage_id text, -- what object storage calls it
    add column touched_at timestamptz not null default now();

create table upload_parts (
    object_key text not null references uploads on delete cascade,
    part_number int not null,
    size_bytes bigint not null,
    crc64nvme text not null, -- in Base64
    primary key (object_key, part_number)
);
