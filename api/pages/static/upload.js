// Sends one file, tells how far it has come, and waits for what becomes of it.

import { ApiError, get, token } from "./api.js";

const UNFINISHED = ["queued", "processing"];
const WAIT = 25; // seconds that the server may take to answer

// The upload as it ended. `tell` gets the share that was sent, then null while it is read.
// Throws ApiError: of a duplicate its `problem.duplicateOf` is the ride that is there.
export async function upload(file, onDuplicate, tell) {
  const query = new URLSearchParams({ filename: file.name, onDuplicate, wait: WAIT });
  let { upload: sent } = await send(`/api/uploads?${query}`, file, tell);
  while (UNFINISHED.includes(sent.status)) sent = (await get(`/api/uploads/${sent.id}?wait=${WAIT}`)).upload;
  return sent;
}

// By XMLHttpRequest: fetch does not tell how much of a body was sent.
function send(path, file, tell) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.setRequestHeader("X-CSRF-Token", token);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", (event) => tell(event.loaded / event.total));
    request.upload.addEventListener("load", () => tell(null));
    request.addEventListener("error", () => reject(new ApiError(0, { detail: "the server cannot be reached; try again" })));
    request.addEventListener("load", () => {
      const answer = parsed(request.responseText);
      if (request.status < 300) resolve(answer);
      else reject(new ApiError(request.status, answer));
    });
    request.send(file);
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
