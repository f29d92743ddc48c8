// node node.mjs URL [KEY]: runs the session, and prints what it has seen as JSON.

import { runSession } from "./session.mjs";

const [url, key] = process.argv.slice(2);
console.log(JSON.stringify(await runSession(url, key ?? null)));
process.exit(0); // whatever is still open
