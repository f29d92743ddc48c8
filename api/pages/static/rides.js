// The list of rides, each with its line.

import "./page.js";
import "./sparks.js";
