// A new account begins in the browser's time zone: told by the form, or by the way to a provider.

import { browserZone } from "./times.js";

const field = document.querySelector('input[name="zone"]');
if (field) field.value = browserZone;

// Some browsers do not know theirs.
if (browserZone !== "Etc/Unknown") {
  for (const link of document.querySelectorAll("a[data-takes-zone]")) link.search += `&timeZone=${encodeURIComponent(browserZone)}`;
}
