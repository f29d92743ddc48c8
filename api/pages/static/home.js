// Home: files are dropped, rides have their lines, and form is drawn.

import "./page.js";
import "./drop.js";
import "./fitness.js";
import "./sparks.js";
