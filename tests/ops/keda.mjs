// Validates objects of KEDA, given as a JSON array on standard input, by the schemas of its resources.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(new URL("../clients/package.json", import.meta.url));

for (const object of JSON.parse(readFileSync(0, "utf8"))) {
  const models = require(`@kubernetes-models/keda/${object.apiVersion}/${object.kind}`);
  new models[object.kind](object).validate();
  console.log(object.kind, object.metadata.name);
}
