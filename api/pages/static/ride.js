// The ride page: what is drawn of the ride, and what its rider may do with it.

import "./page.js";
import { startControls } from "./controls.js";
import { drawCurve } from "./curve.js";
import { startSharing } from "./sharing.js";
import { exactTimes } from "./times.js";
import { openRide } from "./view.js";

const ride = document.getElementById("ride");

exactTimes(document);
startControls(ride);
startSharing(ride);
openRide(ride).then(() => drawCurve(document.getElementById("curve"), ride.dataset)); // the charts first: they are in sight
