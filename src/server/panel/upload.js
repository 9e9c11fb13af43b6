// Uploads a dump directly to storage, in parts if the control plane supports them. An interrupted
// upload resumes with the missing parts.

import { ApiError, call } from "./api.js";

/** Concurrent parts. */
const CONCURRENCY = 3;
/** Attempts per part. */
const ATTEMPTS = 6;
/** Timeout of a request without progress, in milliseconds. */
const STALL = 60_000;

export class Upload {
  constructor(project, file) {
    this.file = file;
    this.path = `/v1/projects/${project}/imports/uploads`;
    this.stored = new Map(); // part number → entity tag
    this.inFlight = new Map(); // part number → bytes sent
    this.stop = new AbortController();
    this.slot = null;
    this.key = null; // the object's key, once complete
  }

  /** Bytes stored or sent so far. */
  get sent() {
    const done = [...this.stored.keys()].map((part) => this.range(part)).reduce((sum, [from, to]) => sum + to - from, 0);
    return done + [...this.inFlight.values()].reduce((sum, loaded) => sum + loaded, 0);
  }

  /** Start and end of a part, in bytes. */
  range(part) {
    const length = this.slot?.part_size_bytes ?? this.file.size;
    return [(part - 1) * length, Math.min(part * length, this.file.size)];
  }

  /** Uploads the missing parts and returns the object's key. Calls `progress` with the bytes sent. */
  async run(progress, pausing) {
    this.progress = () => progress(this.sent);
    this.pausing = pausing; // called with seconds and error before a retry
    this.stop = new AbortController();
    this.cancelled = false;
    if (this.key) return this.key; // the upload is complete; a later step failed
    try {
      this.key = await this.send();
    } catch (error) {
      if (error.status !== 404 || error.storage || this.cancelled) throw error;
      // The upload expired: start a new one.
      this.stop = new AbortController();
      this.slot = null;
      this.stored.clear();
      this.key = await this.send();
    }
    this.check();
    return this.key;
  }

  async send() {
    if (!this.slot?.id) {
      const { upload } = await call("POST", this.path, { size_bytes: this.file.size, parts: true });
      this.slot = upload;
    }
    if (this.stop.signal.aborted) await this.cancel();
    this.check();
    if (!this.slot.id) return this.wholeFile();
    const parts = Math.ceil(this.file.size / this.slot.part_size_bytes);
    const open = Array.from({ length: parts }, (_, at) => at + 1).filter((part) => !this.stored.has(part));
    let problem = null;
    const worker = async () => {
      while (open.length > 0 && !this.stop.signal.aborted) await this.part(open.shift());
    };
    const safeWorker = () => worker().catch((error) => {
      problem ??= error;
      this.stop.abort(); // stops the other workers
    });
    // All workers must end before this run does: the next run starts its own.
    await Promise.all(Array.from({ length: CONCURRENCY }, safeWorker));
    if (problem) throw problem;
    this.check();
    const named = [...this.stored].map(([part_number, etag]) => (etag ? { part_number, etag } : { part_number }));
    await this.withRetries(() => call("POST", `${this.path}/${this.slot.id}/complete`, { parts: named }, { timeout: 300 }));
    return this.slot.object_key;
  }

  /** Uploads the file in one PUT; a retry starts over with a new URL. */
  async wholeFile() {
    this.stored.clear();
    await this.withRetries(async (attempt) => {
      if (attempt > 1) this.slot = (await call("POST", this.path, { size_bytes: this.file.size, parts: true })).upload;
      await this.put(this.slot.upload_url, 1);
    });
    return this.slot.object_key;
  }

  async part(part) {
    await this.withRetries(async () => {
      const { parts } = await call("POST", `${this.path}/${this.slot.id}/parts`, { part_numbers: [part] });
      await this.put(parts[0].upload_url, part);
    });
  }

  /** Retries `work` unless the error is permanent. */
  async withRetries(work) {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work(attempt);
      } catch (error) {
        const isPermanent = error instanceof ApiError && error.status >= 400 && error.status < 500 && ![403, 408, 429].includes(error.status);
        if (isPermanent || attempt === ATTEMPTS || this.stop.signal.aborted) throw error;
        await this.pause(error.retryAfter ?? 0.5 * 2 ** attempt, error);
        this.check();
      }
    }
  }

  /** Waits for `seconds`, or until the upload is stopped. */
  pause(seconds, error) {
    const { signal } = this.stop;
    this.pausing(seconds, error);
    return new Promise((done) => {
      const timer = setTimeout(over, seconds * 1000);
      function over() {
        clearTimeout(timer);
        signal.removeEventListener("abort", over);
        done();
      }
      signal.addEventListener("abort", over);
    });
  }

  check() {
    if (this.stop.signal.aborted) throw new DOMException("stopped", "AbortError");
  }

  /** Uploads one part and keeps its entity tag. `fetch` reports no upload progress, hence XMLHttpRequest. */
  put(url, part) {
    return new Promise((done, failed) => {
      if (this.stop.signal.aborted) return failed(new DOMException("stopped", "AbortError"));
      const request = new XMLHttpRequest();
      let watch;
      const alive = (timeout = STALL) => {
        clearTimeout(watch);
        watch = setTimeout(() => request.abort(), timeout);
      };
      const over = (end) => () => {
        clearTimeout(watch);
        this.inFlight.delete(part);
        this.stop.signal.removeEventListener("abort", stopped);
        end();
        this.progress();
      };
      const stopped = () => request.abort();
      request.open("PUT", url);
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.upload.onprogress = (event) => {
        alive();
        this.inFlight.set(part, event.loaded);
        this.progress();
      };
      request.upload.onload = () => alive(5 * STALL); // storage needs time to write
      request.onload = over(() => {
        if (request.status >= 200 && request.status < 300) {
          this.stored.set(part, request.getResponseHeader("ETag")); // before the next progress update
          return done();
        }
        const message = request.responseXML?.querySelector("Message")?.textContent;
        failed(Object.assign(new ApiError(message ?? `Storage returned HTTP ${request.status}.`, request.status), { storage: true }));
      });
      request.onerror = over(async () => {
        const changed = await this.file.slice(0, 1).arrayBuffer().then(() => false, () => true);
        if (changed) return failed(Object.assign(new ApiError("The file changed after it was chosen. Choose it again.", 400), { permanent: true }));
        const isCrossOrigin = new URL(url, location.href).origin !== location.origin;
        const why = isCrossOrigin ? `The connection to storage was lost, or its CORS rules do not allow ${location.origin}.` : "The connection to storage was lost.";
        failed(new ApiError(why, 0));
      });
      request.onabort = over(() => failed(this.stop.signal.aborted ? new DOMException("stopped", "AbortError") : new ApiError("Storage accepted no data for a minute.", 0)));
      this.stop.signal.addEventListener("abort", stopped);
      alive();
      request.send(this.file.slice(...this.range(part)));
    });
  }

  /** Stops the upload and deletes its parts in storage. */
  async cancel() {
    this.cancelled = true;
    this.stop.abort();
    if (this.slot?.id) await call("DELETE", `${this.path}/${this.slot.id}`).catch(() => {}); // on failure it expires
  }
}
