// The ride that a link opens: what is drawn of it.

import { drawSharedCurve } from "./curve.js";
import "./page.js";
import { exactTimes } from "./times.js";
import { openRide } from "./view.js";

exactTimes(document);
drawSharedCurve(document.getElementById("curve"));
openRide(document.getElementById("ride"));
