// Pairs the agent's tools (OpenClaw's node host, the sandbox user's) with the
// gateway: a one-shot of the operator's after each start of the gateway. It ends
// with 0 when the node is connected, and is run again when it does not get there.
//
// The operator has the gateway's token in its environment; the node gets a code
// that is good for one pairing, as a node, for ten minutes.
//
// It is killed, with what it has started, whenever the gateway ends. So all that
// it makes is in one directory, which it empties first, and its life is bounded.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const dir = "/tmp/openclaw-pairing"; // PID 1 made it: only this user writes there
const file = join(dir, "code");
const home = join(dir, "home"); // of the vendor's program, for this run alone
const state = "/var/lib/openclaw";
const name = "sandbox";
const patience = Number(process.env.PAIR_PATIENCE_MS ?? 180_000); // for a node that has a code
const reconnect = 30_000; // ms, for a node that is paired already
const end = Date.now() + Number(process.env.PAIR_LIFE_MS ?? 300_000);
// A look starts the vendor's CLI, which takes seconds of CPU from the node.
const pause = 4000; // ms

const remove = (path) => rmSync(path, { recursive: true, force: true });
const clear = () => readdirSync(dir).forEach((entry) => remove(join(dir, entry)));

function openclaw(...args) {
  const left = end - Date.now();
  if (left <= 0) throw new Error("its time is over");
  const env = { ...process.env, HOME: home, TMPDIR: home };
  const limits = { timeout: Math.min(left, 60_000), killSignal: "SIGKILL", maxBuffer: 64 << 20 };
  return JSON.parse(execFileSync("openclaw", [...args, "--json"], { env, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], ...limits }));
}

// node is "connected", "paired" or "unknown".
function node() {
  const nodes = openclaw("nodes", "status").nodes.filter((n) => n.displayName === name && n.paired);
  if (nodes.some((n) => n.connected)) return "connected";
  return nodes.length > 0 ? "paired" : "unknown";
}

async function connected(limit) {
  for (const stop = Date.now() + limit; Date.now() < stop; ) {
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

// workspaces are the directories that sessions of this configuration work in.
function workspaces() {
  const all = [];
  try {
    const { agents } = JSON.parse(readFileSync("/etc/openclaw/openclaw.json", "utf8"));
    for (const agent of [agents?.defaults, ...(agents?.list ?? [])]) if (agent?.workspace) all.push(resolve(state, agent.workspace));
  } catch {
    // Without them a session is named that need not be.
  }
  return all;
}

// isForeign reports whether a directory is in no workspace. The vendor's own are
// workspace and workspace-AGENT, in the state.
function isForeign(path, known) {
  const clean = resolve(state, "workspace", path);
  return !/^\/var\/lib\/openclaw\/workspace(-[^/]+)?(\/|$)/.test(clean) && !known.some((w) => clean === w || clean.startsWith(w + "/"));
}

// printable is what the agent may have chosen, made safe for the log.
const printable = (text) => String(text).replace(/[^A-Za-z0-9:._/-]/g, "?").slice(0, 160);

// reportSessions names each session that works outside its workspace: a former
// profile let the agent make them, and the gateway reads files for them there.
function reportSessions() {
  const known = workspaces();
  for (let offset = 0; offset !== null; ) {
    const asked = { limit: 500, offset, archived: "all", includeGlobal: true, includeUnknown: true };
    const page = openclaw("gateway", "call", "sessions.list", "--params", JSON.stringify(asked));
    for (const s of page.sessions) {
      const path = [s.spawnedCwd, s.spawnedWorkspaceDir, s.sessionRoot].find((p) => p && isForeign(p, known));
      if (path) console.error(`pair: session ${printable(s.key)} works in ${printable(path)}, outside the workspace: delete it (docs/openclaw.md)`);
    }
    offset = page.hasMore && page.nextOffset > offset ? page.nextOffset : null;
  }
}

process.on("exit", clear);
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => process.exit(1));
// One line says what went wrong; the vendor's own words stand before it.
process.on("uncaughtException", (e) => {
  console.error(`pair: ${e.message.split("\n")[0]}; trying again`);
  process.exit(1);
});
process.umask(0o022);
clear();
mkdirSync(home, { mode: 0o700 });

let now = node();
if (now === "unknown") hand(openclaw("devices", "join-code").joinUrl);
try {
  reportSessions();
} catch (e) {
  console.error(`pair: cannot list the sessions: ${e.message.split("\n")[0]}`);
}
if (now === "paired") {
  now = (await connected(reconnect)) ? "connected" : "unknown";
  if (now === "unknown") hand(openclaw("devices", "join-code").joinUrl);
}
if (now === "unknown" && !(await connected(patience))) {
  console.error(`pair: the node ${name} did not connect within ${patience} ms; trying again`);
  process.exit(1);
}
console.error(`pair: the agent's tools are connected as node ${name}`);
