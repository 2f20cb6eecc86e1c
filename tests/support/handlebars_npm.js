// What npm's Handlebars makes of templates, with escaping off as in SES, or on (`escaped`).
// node handlebars_npm.js FOLDER [escaped] < '[["template", data], …]' > '[{"out": "…"} | {"error": "…"}, …]'
// FOLDER holds node_modules/handlebars.
const path = require("path");
const folder = path.join(process.argv[2], "node_modules", "handlebars");
const handlebars = require(folder);
// noEscape would add numbers up ({{a}}{{b}} of 1 and 2 is 3 then), so what escapes is replaced instead.
const utils = require(path.join(folder, "dist", "cjs", "handlebars", "utils"));
const escape = utils.escapeExpression;
utils.escapeExpression =
  process.argv[3] === "escaped"
    ? (value) => String(escape(value)).replaceAll("&#x3D;", "=").replaceAll("&#x60;", "`")
    : (value) => (value == null ? "" : "" + value);
// {{log}} would write into the answer.
console.log = console.info = console.warn = () => {};
const answer = ([template, data]) => {
  try {
    return { out: handlebars.compile(template)(data) };
  } catch (error) {
    return { error: String(error.message).split("\n")[0] };
  }
};
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(cases.map(answer)));
