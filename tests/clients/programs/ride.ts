// A ride by the client that @hey-api/openapi-ts makes, checked against the types of both generators.
import { client } from "./client/client.gen";
import {
  completeWorkout,
  createWorkout,
  getTelemetry,
  getWorkout,
  listWorkouts,
  uploadTelemetry,
} from "./client";
import type { components, paths } from "./types";

declare const process: { env: Record<string, string | undefined> };

type Schemas = components["schemas"];
// Every member may be left out, though one has a default.
const wanted: Schemas["CreateWorkout"] = { title: "Evening ride" };
const query: paths["/api/workouts"]["get"]["parameters"]["query"] = {
  sort: "startTime",
  order: "desc",
  limit: 1,
};
const START = 1700000000000;
const SECONDS = 120;
const WATTS = 200;

function samples(): Schemas["Sample"][] {
  return Array.from({ length: SECONDS }, (_, second) => ({
    timestamp: START + second * 1000,
    power: WATTS,
    heartrate: 140,
  }));
}

function normalizedPower(ride: Schemas["Workout"]): number | null {
  return ride.summary === null ? null : ride.summary.normalizedPower;
}

async function main(): Promise<void> {
  const headers = { Authorization: `Bearer ${process.env.API_KEY}` };
  client.setConfig({ baseUrl: process.env.URL, headers });
  const strict = { throwOnError: true } as const;

  const created = await createWorkout({ body: wanted, ...strict });
  const path = { id: created.data.workout.id };
  const sent = await uploadTelemetry({ path, body: { samples: samples() }, ...strict });
  await completeWorkout({ path, query: { wait: 30 }, ...strict });
  const read = await getWorkout({ path, ...strict });
  const rows = await getTelemetry({ path, ...strict });
  const columns = await getTelemetry({ path, query: { format: "columns" }, ...strict });
  const listed = await listWorkouts({ query, ...strict });

  if (typeof rows.data === "string" || typeof columns.data === "string") throw new Error("not JSON");
  const first: Schemas["RecordedSample"] | undefined = rows.data.samples?.[0];
  const watts: (number | null)[] = columns.data.columns?.power ?? [];
  console.log(
    JSON.stringify({
      accepted: sent.data.accepted,
      status: read.data.workout.status,
      normalizedPower: normalizedPower(read.data.workout),
      firstPower: first?.power,
      columnOfPower: watts.length,
      listed: listed.data.workouts.map((each) => each.id === path.id),
    }),
  );
}

void main();
