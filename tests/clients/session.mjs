// A whole session of a phone, a viewer and a history page, one step after the other.

import { Client, Refused } from "./client.mjs";

const SECONDS = 60;

/** Throws at the first thing that is not as the contract says; else what was done, and seen. */
export async function runSession(url, apiKey) {
  const session = new Session(new Client(url, apiKey), url);
  const seen = {};
  for (const step of STEPS) {
    try {
      Object.assign(seen, await session[step]());
    } catch (error) {
      throw new Error(`${step}: ${error.message}\n${error.stack}`);
    }
  }
  return { steps: STEPS, seen };
}

const STEPS = [
  "seeHealth",
  "createStream",
  "listStreams",
  "startListening",
  "startWorkout",
  "setFtp",
  "sendSamples",
  "hearThem",
  "readThem",
  "findTheRide",
  "complete",
  "readHistory",
  "readFtpHistory",
  "changeAndDelete",
  "deleteStreams",
  "beRefused",
];

class Session {
  constructor(client, url) {
    this.client = client;
    this.url = url;
    this.name = `ride-${Math.random().toString(36).slice(2)}`;
    this.path = `/api/streams/${this.name}`;
    this.begin = Date.now() - 1000 * SECONDS;
  }

  async seeHealth() {
    const health = await this.client.get("/health");
    equal([health.status, health.redis, health.database], ["ok", "connected", "connected"]);
  }

  async createStream() {
    for (let time = 0; time < 2; time += 1) {
      const made = await this.client.post("/api/streams/create", { streamName: this.name });
      equal([made.success, made.streamName], [true, this.name]);
      check(/^\d+-\d+$/.test(made.messageId), made);
    }
  }

  async listStreams() {
    const { streams } = await this.client.get("/api/streams");
    const ours = streams.find((each) => each.name === this.name);
    equal(ours.length, 2); // each create is an entry
    check(ours.firstMessageId !== ours.lastMessageId, ours);
  }

  async startListening() {
    this.heard = this.client.listen(`${this.path}/listen`);
    this.heardAll = this.client.listen("/api/streams/listenAll");
    const connected = (event) => event.type === "connected";
    equal((await this.heard.first(connected)).streamName, this.name);
    equal((await this.heardAll.first(connected)).streamName, "all");
  }

  async startWorkout() {
    const wanted = { streamName: this.name, title: "From elsewhere", sport: "cycling" };
    const { success, workout } = await this.client.post("/api/workouts", wanted);
    equal([success, workout.streamName, workout.status], [true, this.name, "ACTIVE"]);
    this.id = workout.id;
    equal((await this.client.get(`/api/workouts/by-stream/${this.name}`)).id, this.id);
  }

  async setFtp() {
    equal((await this.client.put("/api/users/me/ftp", { ftp: 250, source: "manual" })).ftp, 250);
  }

  /** A ride of 200 W and 220 W in turns; every third sample is sent as a string. */
  async sendSamples() {
    this.sent = [];
    for (let second = 0; second < SECONDS; second += 1) {
      const sample = {
        timestamp: this.begin + 1000 * second,
        power: 200 + 20 * (second % 2),
        cadence: 90,
        heartrate: 140,
      };
      const message = second % 3 ? sample : JSON.stringify(sample);
      this.sent.push(JSON.stringify(sample));
      const answer = await this.client.post(`${this.path}/messages`, { message, author: " Eva " });
      equal([answer.success, answer.streamName], [true, this.name]);
      this.last = answer.messageId;
    }
    const words = { message: "Grüße vom Gipfel 🏔" };
    this.words = (await this.client.post(`${this.path}/messages`, words)).messageId;
  }

  async hearThem() {
    const last = (event) => event.type === "message" && event.id === this.words;
    equal((await this.heard.first(last)).data.message, "Grüße vom Gipfel 🏔");
    const told = this.heard.come.filter((event) => event.type === "message");
    equal(told.map((event) => event.data.message), [...this.sent, "Grüße vom Gipfel 🏔"]);
    equal(told[0].data.author, "Eva");
    check(!("author" in told[SECONDS].data), told[SECONDS]);
    check(/^\d+$/.test(told[0].data.timestamp), told[0]);
    equal((await this.heardAll.first(last)).stream, this.name);
  }

  async readThem() {
    const all = await this.client.get(`${this.path}/messages?count=1000`);
    equal(all.streamName, this.name);
    equal(all.messages.length, SECONDS + 3);
    equal(all.messages[0].data.type, "stream_created");
    equal(all.messages.slice(2, -1).map((each) => each.data.message), this.sent);
    const after = await this.client.get(`${this.path}/messages?start=(${this.last}&end=%2B`);
    equal(after.messages.map((each) => each.id), [this.words]);
    const first = await this.client.get(`${this.path}/messages?count=1`);
    equal(first.messages.length, 1);
    const unknown = await this.client.get("/api/streams/nobody-has-made-it/messages");
    equal(unknown.messages, []);
  }

  async findTheRide() {
    const page = await this.client.get("/api/workouts?page=1&limit=1000&status=ACTIVE");
    check(page.workouts.some((each) => each.id === this.id), page.pagination);
    equal(page.pagination.page, 1);
    this.before = await this.client.get("/api/users/me/stats");
  }

  async complete() {
    const path = `/api/workouts/${this.id}/complete`;
    const done = await this.client.post(path, { archiveTelemetry: true });
    equal([done.success, done.workout.status, done.workout.streamName], [true, "COMPLETED", null]);
    check(done.archivedMessages >= SECONDS, done);
    const gone = (event) => event.type === "stream_deleted";
    equal((await this.heard.first(gone)).streamName, this.name);
    const again = await refusal(this.client.post(path));
    equal([again.status, again.body.error], [400, "Workout is not active"]);
    check(!this.heardAll.come.some(gone), "listenAll was told of a deleted stream");
    this.heardAll.close();
    return { workout: done.workout };
  }

  async readHistory() {
    const ride = await this.client.get(`/api/workouts/${this.id}?includeTelemetry=true`);
    equal([ride.id, ride.title, ride.summary.avgPower], [this.id, "From elsewhere", 210]);
    check(ride.summary.powerCurve.some(({ duration, watts }) => duration && watts), ride.summary);
    check(ride.summary.trainingLoad > 0, ride.summary);
    const stats = await this.client.get("/api/users/me/stats");
    equal(stats.totalWorkouts, this.before.totalWorkouts + 1);
    check(stats.totalDuration > this.before.totalDuration, stats);
  }

  async readFtpHistory() {
    await this.client.put("/api/users/me/ftp", { ftp: 260 });
    const user = await this.client.get("/api/users/me");
    equal(user.settings.ftp, 260);
    equal((await this.client.get(`/api/users/${user.id}`)).id, user.id);
    const history = await this.client.get("/api/users/me/ftp-history");
    equal(history.slice(0, 2).map((each) => each.ftp), [260, 250]);
    equal([history[0].userId, history[1].source], [user.id, "manual"]);
    check(Date.parse(history[0].createdAt) > 0, history[0]);
  }

  async changeAndDelete() {
    const path = `/api/workouts/${this.id}`;
    const changed = await this.client.patch(path, { title: "Renamed" });
    equal([changed.success, changed.workout.title], [true, "Renamed"]);
    const deleted = await this.client.delete(path);
    check(deleted.success && deleted.message, deleted);
    equal((await refusal(this.client.get(path))).status, 404);
  }

  async deleteStreams() {
    const name = `${this.name}-2`;
    await this.client.post(`/api/streams/${name}/messages`, { message: { power: 1 } });
    const heard = this.client.listen(`/api/streams/${name}/listen`);
    await heard.first((event) => event.type === "connected");
    const deleted = await this.client.delete(`/api/streams/${name}`);
    check(deleted.success && deleted.message, deleted);
    await heard.first((event) => event.type === "stream_deleted");
    equal((await refusal(this.client.delete(`/api/streams/${name}`))).status, 404);
    const unknown = this.client.listen(`/api/streams/${name}/listen`);
    await unknown.first((event) => event.type === "stream_deleted");
    equal(unknown.come.map((event) => event.type), ["connected", "stream_deleted"]);
    const cleaned = await this.client.delete("/api/streams/cleanup?retention=86400000");
    equal([cleaned.success, typeof cleaned.deletedCount], [true, "number"]);
  }

  async beRefused() {
    const bad = await refusal(this.client.post("/api/streams/create", { streamName: "no spaces" }));
    equal(bad.status, 400);
    check(bad.body.error.includes("alphanumeric"), bad.body);
    const elsewhere = new Client(this.url);
    const told = await refusal(elsewhere.get("/api/streams?apiKey=nobody"));
    equal(told.status, 401);
    if (this.client.apiKey) {
      const { status, body } = await refusal(elsewhere.get("/api/streams"));
      equal([status, typeof body.error, typeof body.hint], [401, "string", "string"]);
    }
  }
}

async function refusal(request) {
  try {
    await request;
  } catch (error) {
    if (error instanceof Refused) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

function check(holds, said) {
  if (!holds) throw new Error(JSON.stringify(said));
}

function equal(found, wanted) {
  const [is, should] = [found, wanted].map((each) => JSON.stringify(each));
  if (is !== should) throw new Error(`${is}, not ${should}`);
}
