// Looking into a dump file before anything of it is sent: format, versions, tables, extensions.
// The layout of archives follows pg_backup_archiver.c of Postgres.

/** As much of a file is read for its table of contents, in bytes. */
const MOST = 16 << 20;
/** Of plain SQL only the beginning is read, in bytes. */
const BEGINNING = 4 << 20;

class Damaged extends Error {}
class CutOff extends Damaged {
  constructor() {
    super("it ends in the middle of its table of contents: the file is cut off");
  }
}

class Reader {
  constructor(buffer) {
    this.bytes = new Uint8Array(buffer);
    this.at = 0;
    this.text = new TextDecoder();
  }
  byte() {
    if (this.at >= this.bytes.length) throw new CutOff();
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
    if (this.at + length > this.bytes.length) throw new CutOff();
    this.at += length;
    return this.text.decode(this.bytes.subarray(this.at - length, this.at));
  }
}

/** What is in a file; `trouble` says why it cannot be imported. */
export async function look(file) {
  const start = new Uint8Array(await file.slice(0, 512).arrayBuffer());
  const begins = (...bytes) => bytes.every((byte, at) => start[at] === byte);
  if (file.size === 0) return { trouble: "The file is empty." };
  if (begins(0x1f, 0x8b)) return packed("gzip", "gunzip");
  if (begins(0x28, 0xb5, 0x2f, 0xfd)) return packed("zstd", "unzstd");
  if (begins(0x50, 0x4b, 3, 4)) return packed("zip", "unzip");
  if (begins(0x42, 0x5a, 0x68)) return packed("bzip2", "bunzip2");
  if (begins(0xfd, 0x37, 0x7a, 0x58)) return packed("xz", "unxz");
  if (begins(0xff, 0xfe) || begins(0xfe, 0xff)) return { trouble: "The file is UTF-16, as PowerShell writes what is redirected.", fix: "Let pg_dump write the file itself: pg_dump -f app.sql" };
  if (begins(0x50, 0x47, 0x44, 0x4d, 0x50)) return archive(await file.slice(0, MOST).arrayBuffer(), file);
  const tar = new TextDecoder().decode(start.subarray(257, 262)) === "ustar";
  if (tar) return { trouble: "This is a tar file, which has no place in an upload.", fix: "Dump again in custom format: pg_dump -Fc" };
  if (start.includes(0)) return { trouble: "This is neither an archive of pg_dump nor SQL.", fix: "Make a dump with: pg_dump -Fc -f app.dump \"$DATABASE_URL\"" };
  return script(await file.slice(0, BEGINNING).text(), file);
}

function packed(format, tool) {
  return { trouble: `The file is compressed as a whole (${format}).`, fix: `Unpack it first (${tool}), or use the command line, which unpacks by itself.` };
}

function archive(buffer, file) {
  const reader = new Reader(buffer);
  try {
    return contents(reader);
  } catch (error) {
    if (!(error instanceof Damaged)) throw error;
    // So long a table of contents is not read to its end here.
    if (error instanceof CutOff && file.size > MOST && reader.known) return { ...reader.known, partly: true };
    return { trouble: `The archive cannot be read: ${error.message}.`, fix: error.fix ?? "Make the dump again, and copy it whole." };
  }
}

function contents(reader) {
  reader.at = 5;
  const [major, minor, , intSize, offsetSize, layout] = Array.from({ length: 6 }, () => reader.byte());
  const trouble = (text, fix) => Object.assign(new Damaged(text), { fix });
  if (major !== 1 || minor < 10 || minor > 16) throw trouble(`its archive version ${major}.${minor} is not known`, "It was made by a pg_dump that is too new or too old: use one of the target's version.");
  if (intSize < 1 || intSize > 6 || offsetSize < 1 || offsetSize > 8) throw new Damaged("its header makes no sense");
  if (layout !== 1) throw trouble("it is one file of a dump in directory or tar format", "Dump again in custom format: pg_dump -Fc");
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
    return { trouble: "This is neither an archive of pg_dump nor SQL.", fix: "Make a dump with: pg_dump -Fc -f app.dump \"$DATABASE_URL\"" };
  }
  const others = [["MySQL", /^-- MySQL dump|^\/\*!40/m], ["MariaDB", /^-- MariaDB dump|^\/\*M?!9/m], ["SQLite", /^PRAGMA foreign_keys/m]];
  const other = others.find(([, mark]) => mark.test(head));
  if (other) return { trouble: `This is a dump of ${other[0]}, not of Postgres.` };
  if (/^-- PostgreSQL database cluster dump/m.test(head)) {
    return { trouble: "This is a dump of a whole server (pg_dumpall).", fix: "Dump the one database: pg_dump -Fc -f app.dump \"$DATABASE_URL\"" };
  }
  return {
    format: "plain SQL", partly: file.size > BEGINNING,
    server: found(/^-- Dumped from database version (.+)$/m), dumper: found(/^-- Dumped by pg_dump version (.+)$/m),
    tables: names(/^CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?([^\s(]+)/gim),
    extensions: names(/^CREATE EXTENSION (?:IF NOT EXISTS )?("[^"]+"|[\w-]+)/gim),
  };
}
