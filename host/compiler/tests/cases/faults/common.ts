import fs = require("fs");
export = { main };
function main() { return fs; }
