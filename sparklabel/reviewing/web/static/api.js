// Requests to our server. In: a path and a JSON body. Out: the JSON answer, or a Refused or Unreachable error.
// Nothing is tried again here: the outbox and the session decide that.

const PATIENCE = 15_000; // ms; a server that is stopped in a debugger accepts connections, and never answers

export class Refused extends Error {
  constructor(status, content) {
    super(content.message ?? content.detail ?? `The server refused with status ${status}.`);
    this.status = status;
    this.hint = content.hint ?? "";
  }

  // Whether asking again may help: the server is busy, or in trouble.
  get isPassing() {
    return this.status >= 500 || this.status === 429;
  }
}

export class Unreachable extends Error {}

export const getJson = (path) => request(path, {});

// `patience`, in ms, for what takes long.
export const postJson = (path, body, { patience } = {}) =>
  request(path, { method: "POST", body: JSON.stringify(body) }, patience);

async function request(path, options, patience = PATIENCE) {
  const headers = { Accept: "application/json" };
  if (options.body !== undefined) {
    headers["Content-Type"] = "application/json";
    headers["X-Sparklabel"] = "1";
  }
  let response;
  try {
    response = await fetch(path, {
      ...options, headers, credentials: "same-origin", redirect: "error", signal: AbortSignal.timeout(patience),
    });
    const content = await response.json().catch(() => ({}));
    if (response.ok) return content;
    throw new Refused(response.status, content);
  } catch (error) {
    throw error instanceof Refused ? error : new Unreachable(error.message);
  }
}
