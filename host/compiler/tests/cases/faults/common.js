const fs = require("fs");
const { join } = require("path");
const x = require("a").b;
require("side-effect");
module.exports = { main };
exports.main = main;
function main() { return typeof require !== "undefined" ? require("guarded") : fs; }
