// Exits 1 and prints each diagnostic when the official parser finds an error or a warning.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Parser } from "@asyncapi/parser";

const path = resolve(process.argv[2]);
const { document, diagnostics } = await new Parser().parse(readFileSync(path, "utf8"), {
  source: path,
});
const problems = diagnostics.filter(({ severity }) => severity <= 1);
for (const { path: place, message } of problems) {
  console.error(`${place.join("/")}: ${message}`);
}
if (document === undefined || problems.length > 0) {
  process.exit(1);
}
console.log(
  `asyncapi: ${document.channels().length} channels, ${document.operations().length} operations, ` +
    `${document.messages().length} messages are valid`,
);
