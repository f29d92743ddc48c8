// The ride that a link opens: what is drawn of it.

import "./page.js";
import { exactTimes } from "./times.js";
import { openRide } from "./view.js";

exactTimes(document);
openRide(document.getElementById("ride"));
