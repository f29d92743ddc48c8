// A client of the streams' contract, for browsers and for Node alike. It knows nothing of the
// server but the address and, if the server wants one, a key.

/** An answer that is no success: `status`, and the body as it came. */
export class Refused extends Error {
  constructor(status, body) {
    super(`${status}: ${JSON.stringify(body)}`);
    this.status = status;
    this.body = body;
  }
}

export class Client {
  constructor(url, apiKey = null) {
    this.url = url;
    this.apiKey = apiKey;
  }

  /** The JSON of a success; throws Refused for any other answer. */
  async request(method, path, body = undefined) {
    const headers = {};
    if (this.apiKey) headers["X-API-Key"] = this.apiKey;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const answer = await fetch(this.url + path, { method, headers, body: JSON.stringify(body) });
    const said = await answer.json();
    if (!answer.ok) throw new Refused(answer.status, said);
    return said;
  }

  get(path) {
    return this.request("GET", path);
  }

  post(path, body = {}) {
    return this.request("POST", path, body);
  }

  put(path, body) {
    return this.request("PUT", path, body);
  }

  patch(path, body) {
    return this.request("PATCH", path, body);
  }

  delete(path) {
    return this.request("DELETE", path);
  }

  /** The events of `/listen` or `/listenAll`, from now on. */
  listen(path) {
    const key = this.apiKey ? `?apiKey=${encodeURIComponent(this.apiKey)}` : "";
    const address = this.url + path + key;
    return typeof EventSource === "undefined" ? byFetch(address) : byEventSource(address);
  }
}

/** Events in the order in which they came, for whoever waits for one of them. */
class Events {
  constructor(close) {
    this.close = close;
    this.come = [];
    this.isOver = false;
    this.wake = () => {};
  }

  push(text) {
    const event = JSON.parse(text);
    this.come.push(event);
    if (event.type === "stream_deleted") this.end();
    this.wake();
  }

  end() {
    this.isOver = true;
    this.close();
    this.wake();
  }

  /** The first event that is wanted; throws if none has come in time, or the stream has ended. */
  async first(isWanted, seconds = 30) {
    const deadline = Date.now() + 1000 * seconds;
    for (;;) {
      const found = this.come.find(isWanted);
      if (found) return found;
      const left = deadline - Date.now();
      if (this.isOver || left <= 0) throw new Error(`not among ${JSON.stringify(this.come)}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.wake = () => (clearTimeout(timer), resolve());
      });
    }
  }
}

/** As a browser does; it would come again for ever, so the last event closes it. */
function byEventSource(address) {
  const source = new EventSource(address);
  const events = new Events(() => source.close());
  source.onmessage = (message) => events.push(message.data);
  source.onerror = () => source.readyState === EventSource.CLOSED && events.end();
  return events;
}

/** Where there is no EventSource. */
function byFetch(address) {
  const leaving = new AbortController();
  const events = new Events(() => leaving.abort());
  readLines(address, leaving.signal, (line) => {
    if (line.startsWith("data: ")) events.push(line.slice("data: ".length));
  }).then(() => events.end(), () => events.end());
  return events;
}

async function readLines(address, signal, take) {
  const answer = await fetch(address, { signal, headers: { Accept: "text/event-stream" } });
  if (!answer.ok) throw new Refused(answer.status, await answer.text());
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of answer.body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop();
    lines.forEach(take);
  }
}
