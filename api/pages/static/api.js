// Requests to the API as the user who has signed in.

export const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";

const { athlete } = document.documentElement.dataset;

// The address of what is read: of the athlete whose data the page shows, where they are another's.
export const ofWhom = (path) => (athlete ? `${path}${path.includes("?") ? "&" : "?"}athlete=${athlete}` : path);

// What went wrong, as a sentence for people; `problem` is the whole answer.
export class ApiError extends Error {
  constructor(status, problem) {
    super(sentence(problem.detail ?? `The server answered ${status}.`));
    this.status = status;
    this.problem = problem;
  }
}

export const sentence = (text) => text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

// The JSON of an answer. Throws ApiError, also where there is no connection.
export async function call(method, path, body, { signal } = {}) {
  // A request without headers of its own is one that the page may have begun already (preload).
  const headers = method === "GET" ? {} : { "X-CSRF-Token": token };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { detail: "the server cannot be reached; try again" });
  }
  const answered = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ApiError(answer.status, answered);
  return answered;
}

export const get = (path, options) => call("GET", ofWhom(path), undefined, options);
