// Pairs the agent's tools (OpenClaw's node host, the sandbox user's) with the
// gateway: a one-shot of the operator's after each start of the gateway. It ends
// with 0 when the node is connected, and is run again when it does not get there.
//
// The operator has the gateway's token in its environment; the node gets a code
// that is good for one pairing, as a node, for ten minutes.
import { execFileSync } from "node:child_process";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const file = "/tmp/openclaw-pairing/code";
const name = "sandbox";
const patience = Number(process.env.PAIR_PATIENCE_MS ?? 180_000); // for a node that has a code
const reconnect = 30_000; // ms, for a node that is paired already
// A look starts the vendor's CLI, which takes seconds of CPU from the node.
const pause = 4000; // ms

// HOME of its own: nothing of a former run counts, and nothing stays. In /tmp
// nobody but this user can enter it.
const home = mkdtempSync("/tmp/openclaw-pair-");
process.on("exit", () => rmSync(home, { recursive: true, force: true }));
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => process.exit(1));

function openclaw(...args) {
  const env = { ...process.env, HOME: home, TMPDIR: home };
  const out = execFileSync("openclaw", [...args, "--json"], { env, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], timeout: 60_000 });
  return JSON.parse(out);
}

// node is "connected", "paired" or "unknown".
function node() {
  const nodes = openclaw("nodes", "status").nodes.filter((n) => n.displayName === name && n.paired);
  if (nodes.some((n) => n.connected)) return "connected";
  return nodes.length > 0 ? "paired" : "unknown";
}

async function connected(limit) {
  for (const end = Date.now() + limit; Date.now() < end; ) {
    await sleep(pause);
    if (node() === "connected") return true;
  }
  return false;
}

// hand leaves the code where the node finds it, whole or not at all.
function hand(url) {
  writeFileSync(file + ".new", url + "\n", { mode: 0o644, flag: "wx" });
  renameSync(file + ".new", file);
}

// One line says what went wrong; the vendor's own words stand before it.
process.on("uncaughtException", (e) => {
  rmSync(file, { force: true });
  console.error(`pair: ${e.message.split("\n")[0]}; trying again`);
  process.exit(1);
});
process.umask(0o022);
rmSync(file, { force: true });
rmSync(file + ".new", { force: true });
let state = node();
if (state === "paired" && (await connected(reconnect))) state = "connected";
if (state !== "connected") {
  hand(openclaw("devices", "join-code").joinUrl);
  const ok = await connected(patience);
  rmSync(file, { force: true });
  if (!ok) {
    console.error(`pair: the node ${name} did not connect within ${patience} ms; trying again`);
    process.exit(1);
  }
}
console.error(`pair: the agent's tools are connected as node ${name}`);
