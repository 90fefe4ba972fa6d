// Orders loads by how near they are: few at a time, the current frame's at once, unwanted ones aborted.

/**
 * @param {number} limit most loads in flight that are not urgent (priority above 0)
 */
export function createScheduler(limit) {
  /** @type {Map<string, {key: string, priority: number, run: Function, abort: AbortController, running: boolean,
   *   kept: boolean, promise: Promise<any>, settle: any}>} */
  const jobs = new Map();

  function start(job) {
    job.running = true;
    job.run(job.abort.signal).then(job.settle.resolve, job.settle.reject);
  }

  function pump() {
    let running = 0;
    const waiting = [];
    for (const job of jobs.values()) {
      if (job.running) running += 1;
      else if (job.priority === 0) start(job);
      else waiting.push(job);
    }
    waiting.sort((a, b) => a.priority - b.priority);
    for (const job of waiting.slice(0, Math.max(0, limit - running))) start(job);
  }

  function finish(job) {
    if (jobs.get(job.key) === job) jobs.delete(job.key);
    pump();
  }

  return {
    /**
     * @param {string} key one load per key; a second wish for it only raises its priority
     * @param {number} priority 0 urgent, larger later
     * @param {(signal: AbortSignal) => Promise<any>} run
     * @param {boolean} [kept] not to be aborted by retain
     * @returns {Promise<any>} rejects with AbortError where the load was dropped
     */
    load(key, priority, run, kept = false) {
      let job = jobs.get(key);
      if (!job) {
        const settle = {};
        const promise = new Promise((resolve, reject) => Object.assign(settle, { resolve, reject }));
        job = { key, priority, run, abort: new AbortController(), running: false, kept, promise, settle };
        jobs.set(key, job);
        promise.then(() => finish(job), () => finish(job));
      }
      job.priority = Math.min(job.priority, priority);
      job.kept ||= kept;
      pump();
      return job.promise;
    },

    /** Abort every load whose key is not in keep. @param {Set<string>} keep */
    retain(keep) {
      for (const job of [...jobs.values()]) {
        if (keep.has(job.key) || job.kept) continue;
        jobs.delete(job.key);
        job.abort.abort();
        job.settle.reject(new DOMException("no longer wanted", "AbortError"));
      }
    },
  };
}
