/** `npm run bench -- NAME…`: runs bench/NAME.ts; without a name, lists what there is. */
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import path from "node:path";

const names = globSync("*.ts", { cwd: import.meta.dirname })
  .map((file) => path.basename(file, ".ts"))
  .filter((name) => name !== "main" && !name.startsWith("_"))
  .sort();
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !names.includes(name));
if (wanted.length === 0 || unknown.length > 0) {
  console.error(`usage: npm run bench -- NAME…; there are: ${names.join(", ")}`);
  process.exit(2);
}
for (const name of wanted) {
  console.log(`# ${name}`);
  const { status } = spawnSync(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", path.join(import.meta.dirname, `${name}.ts`)],
    { stdio: "inherit" },
  );
  if (status !== 0) process.exit(status ?? 1);
}
