// Reads a dump file in the browser before the upload: format, versions, tables, extensions.
// The archive layout follows pg_backup_archiver.c of Postgres.

/** Bytes read for an archive's table of contents. */
const MAX_CONTENTS = 16 << 20;
/** Bytes read of a plain SQL dump. */
const MAX_SCRIPT_HEAD = 4 << 20;

class DamagedError extends Error {}
class TruncatedError extends DamagedError {
  constructor() {
    super("the file is truncated inside its table of contents");
  }
}

class Reader {
  constructor(buffer) {
    this.bytes = new Uint8Array(buffer);
    this.at = 0;
    this.text = new TextDecoder();
  }
  byte() {
    if (this.at >= this.bytes.length) throw new TruncatedError();
    return this.bytes[this.at++];
  }
  int() {
    const sign = this.byte();
    let value = 0;
    for (let place = 0; place < this.intSize; place++) value += this.byte() * 2 ** (8 * place);
    return sign ? -value : value;
  }
  string() {
    const length = this.int();
    if (length < 0) return null;
    if (this.at + length > this.bytes.length) throw new TruncatedError();
    this.at += length;
    return this.text.decode(this.bytes.subarray(this.at - length, this.at));
  }
}

/** The contents of a file; `problem` is the reason why it cannot be imported. */
export async function readDump(file) {
  const start = new Uint8Array(await file.slice(0, 512).arrayBuffer());
  const begins = (...bytes) => bytes.every((byte, at) => start[at] === byte);
  if (file.size === 0) return { problem: "The file is empty." };
  if (begins(0x1f, 0x8b)) return compressed("gzip", "gunzip");
  if (begins(0x28, 0xb5, 0x2f, 0xfd)) return compressed("zstd", "unzstd");
  if (begins(0x50, 0x4b, 3, 4)) return compressed("zip", "unzip");
  if (begins(0x42, 0x5a, 0x68)) return compressed("bzip2", "bunzip2");
  if (begins(0xfd, 0x37, 0x7a, 0x58)) return compressed("xz", "unxz");
  if (begins(0xff, 0xfe) || begins(0xfe, 0xff)) return { problem: "The file is UTF-16, as written by a redirect in PowerShell.", fix: "Let pg_dump write the file: pg_dump -f app.sql" };
  if (begins(0x50, 0x47, 0x44, 0x4d, 0x50)) return archive(await file.slice(0, MAX_CONTENTS).arrayBuffer(), file);
  const tar = new TextDecoder().decode(start.subarray(257, 262)) === "ustar";
  if (tar) return { problem: "The file is a tar archive, which cannot be uploaded.", fix: "Dump again in custom format: pg_dump -Fc" };
  if (start.includes(0)) return { problem: "The file is neither a pg_dump archive nor SQL.", fix: "Create a dump: pg_dump -Fc -f app.dump \"$DATABASE_URL\"" };
  return script(await file.slice(0, MAX_SCRIPT_HEAD).text(), file);
}

function compressed(format, tool) {
  return { problem: `The file is compressed with ${format}.`, fix: `Decompress the file (${tool}), or import it with the CLI, which decompresses automatically.` };
}

function archive(buffer, file) {
  const reader = new Reader(buffer);
  try {
    return contents(reader);
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
    // The table of contents is longer than the part that was read.
    if (error instanceof TruncatedError && file.size > MAX_CONTENTS && reader.known) return { ...reader.known, partly: true };
    return { problem: `Cannot read the archive: ${error.message}.`, fix: error.fix ?? "Create the dump again and copy the complete file." };
  }
}

function contents(reader) {
  reader.at = 5;
  const [major, minor, , intSize, offsetSize, layout] = Array.from({ length: 6 }, () => reader.byte());
  const problem = (text, fix) => Object.assign(new DamagedError(text), { fix });
  if (major !== 1 || minor < 10 || minor > 16) throw problem(`archive version ${major}.${minor} is not supported`, "Dump with pg_dump of the target's version.");
  if (intSize < 1 || intSize > 6 || offsetSize < 1 || offsetSize > 8) throw new DamagedError("the header is invalid");
  if (layout !== 1) throw problem("the file is one part of a directory or tar dump", "Dump again in custom format: pg_dump -Fc");
  reader.intSize = intSize;
  if (minor >= 15) reader.byte();
  else reader.int();
  for (let field = 0; field < 7; field++) reader.int();
  const [database, server, dumper] = [reader.string(), reader.string(), reader.string()];
  const [tables, extensions, left] = [[], [], reader.int()];
  reader.known = { format: "custom", database, server, dumper, tables, extensions };
  for (let entry = 0; entry < left; entry++) {
    reader.int();
    reader.int();
    reader.string();
    reader.string();
    const [tag, kind] = [reader.string(), reader.string()];
    if (minor >= 11) reader.int();
    reader.string();
    reader.string();
    reader.string();
    const schema = reader.string();
    reader.string();
    if (minor >= 14) reader.string();
    if (minor >= 16) reader.int();
    reader.string();
    reader.string();
    while (reader.string() !== null);
    reader.at += 1 + offsetSize;
    if (kind === "TABLE") tables.push(`${schema}.${tag}`);
    if (kind === "EXTENSION") extensions.push(tag);
  }
  return reader.known;
}

function script(text, file) {
  const found = (pattern) => text.match(pattern)?.[1]?.trim() ?? null;
  const names = (pattern) => [...new Set(Array.from(text.matchAll(pattern), (match) => match[1].replaceAll('"', "")))];
  const statement = /^[ \t]*(--|\/\*|\\(restrict|connect)\b|(SET|CREATE|INSERT|COPY|SELECT|BEGIN|ALTER|DROP|DO|COMMENT|GRANT|REVOKE|START|TRUNCATE|UPDATE|DELETE|WITH)[ \t;])/im;
  const head = text.slice(0, 4096);
  if (!statement.test(text)) {
    return { problem: "The file is neither a pg_dump archive nor SQL.", fix: "Create a dump: pg_dump -Fc -f app.dump \"$DATABASE_URL\"" };
  }
  const others = [["MySQL", /^-- MySQL dump|^\/\*!40/m], ["MariaDB", /^-- MariaDB dump|^\/\*M?!9/m], ["SQLite", /^PRAGMA foreign_keys/m]];
  const other = others.find(([, mark]) => mark.test(head));
  if (other) return { problem: `The file is a ${other[0]} dump, not a Postgres dump.` };
  if (/^-- PostgreSQL database cluster dump/m.test(head)) {
    return { problem: "The file is a dump of a whole server (pg_dumpall).", fix: "Dump one database: pg_dump -Fc -f app.dump \"$DATABASE_URL\"" };
  }
  return {
    format: "plain SQL", partly: file.size > MAX_SCRIPT_HEAD,
    server: found(/^-- Dumped from database version (.+)$/m), dumper: found(/^-- Dumped by pg_dump version (.+)$/m),
    tables: names(/^CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?([^\s(]+)/gim),
    extensions: names(/^CREATE EXTENSION (?:IF NOT EXISTS )?("[^"]+"|[\w-]+)/gim),
  };
}
