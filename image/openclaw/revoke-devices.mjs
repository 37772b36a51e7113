// Ends every device token with a role over the gateway: what a terminal UI or a
// browser once bought with the shared token, and keeps over its rotation. Nodes
// stay paired: they have no such role.
import { execFileSync } from "node:child_process";

process.on("uncaughtException", (e) => {
  console.error(`revoke-devices: ${e.message.split("\n")[0]}`);
  process.exit(1);
});

const openclaw = (...args) =>
  JSON.parse(execFileSync("openclaw", ["devices", ...args, "--json"], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], timeout: 60_000 }));
const roles = (d) => new Set([d.role, ...(d.roles ?? []), ...(d.tokens ?? []).map((t) => t.role)].filter(Boolean));
const held = () => openclaw("list").paired.filter((d) => [...roles(d)].some((r) => r !== "node"));

const before = held();
for (const d of before) openclaw("remove", d.deviceId);
const left = held();
if (left.length > 0) {
  console.error(`revoke-devices: still paired: ${left.map((d) => d.deviceId).join(" ")}`);
  process.exit(1);
}
console.error(`revoke-devices: ${before.length} removed`);
