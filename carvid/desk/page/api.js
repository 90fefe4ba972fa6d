// Talks to the server: token, JSON, pictures, line streams, and errors that carry the server's own sentence.

const TOKEN_KEY = "carvid.desk.token";
const NO_TOKEN = "This page has no valid token. Open the address that `carvid serve` printed.";
const NO_ANSWER = "The server does not answer. Look whether `carvid serve` still runs.";

/** A request that failed. status is the HTTP status, 0 where no answer came. */
export class ApiError extends Error {
  constructor(status, message, body = null) {
    super(message);
    this.status = status;
    this.body = body;
  }

  /** Whether the same request may succeed later by itself. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** @param {any} error @returns {boolean} whether the page itself took the request back */
export const isAbort = (error) => error?.name === "AbortError";

/**
 * Take the token out of the address bar and keep it for this tab.
 * @returns {{video: number|null, frame: number|null}} the place a deep link asks for
 */
export function takeAddress() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const token = fragment.get("token");
  if (token) sessionStorage.setItem(TOKEN_KEY, token);
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  const number = (name) => (/^\d+$/.test(fragment.get(name) ?? "") ? Number(fragment.get(name)) : null);
  return { video: number("video"), frame: number("frame") };
}

async function send(path, { method = "GET", body, signal } = {}) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(TOKEN_KEY) ?? ""}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body, signal, credentials: "omit", referrerPolicy: "no-referrer" });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError(0, NO_ANSWER);
  }
  if (answer.ok) return answer;
  let told = null;
  try {
    told = await answer.json();
  } catch (error) {
    if (isAbort(error)) throw error; // An answer that is not JSON has no sentence of its own.
  }
  const message = answer.status === 401 ? NO_TOKEN : told?.error ?? `The server answered ${answer.status}.`;
  throw new ApiError(answer.status, message, told);
}

async function read(answer, how) {
  try {
    return await answer[how]();
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError(0, NO_ANSWER);
  }
}

/** @param {string} path @param {AbortSignal} [signal] @returns {Promise<any>} */
export const getJson = async (path, signal) => read(await send(path, { signal }), "json");

/** @param {string} path @param {AbortSignal} [signal] @returns {Promise<Blob>} */
export const getBlob = async (path, signal) => read(await send(path, { signal }), "blob");

/** @param {string} path @param {any} body @param {AbortSignal} [signal] @returns {Promise<any>} */
export const postJson = async (path, body, signal) =>
  read(await send(path, { method: "POST", body: JSON.stringify(body), signal }), "json");

/**
 * POST and give the answer's lines as they come.
 * @param {string} path @param {any} body @param {AbortSignal} signal
 * @returns {AsyncGenerator<any>} one parsed JSON value per line
 */
export async function* postLines(path, body, signal) {
  const answer = await send(path, { method: "POST", body: JSON.stringify(body), signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    let piece;
    try {
      piece = await reader.read();
    } catch (error) {
      if (isAbort(error) || signal.aborted) throw new DOMException("taken back", "AbortError");
      throw new ApiError(0, NO_ANSWER);
    }
    if (piece.done) break;
    const lines = (rest + piece.value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.trim()) yield told(JSON.parse(line));
  }
  if (rest.trim()) yield told(JSON.parse(rest));
}

function told(line) {
  if (line.error) throw new ApiError(500, line.error, line); // The stream had begun, so the status could not say it.
  return line;
}
