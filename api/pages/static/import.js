// The import page: files are dropped.

import "./page.js";
import "./drop.js";
