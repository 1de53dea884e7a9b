// The server of Probot's documentation, with handlers that do nothing and a log that says nothing. Nothing is kept.
// https://probot.github.io/docs/development/#use-server
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, port, secret, keyFile] = process.argv.slice(2);
const found = createRequire(`${folder}/`).resolve("probot");
const { Server, Probot } = await import(pathToFileURL(found));
const server = new Server({
  port: Number(port),
  host: "127.0.0.1",
  webhookPath: "/webhook",
  Probot: Probot.defaults({ appId: 1234567, privateKey: readFileSync(keyFile, "utf8"), secret, logLevel: "fatal" }),
});
await server.load((app) => {
  app.on("pull_request.opened", async () => {});
});
await server.start();
