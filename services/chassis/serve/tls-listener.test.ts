import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect, type SecureVersion, type TLSSocket } from "node:tls";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { Health, HealthCheckResponse_ServingStatus as Status } from "#gen/grpc/health/v1/health_pb.ts";
import { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import { InferenceService } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { createLogger } from "../log.ts";
import { Channel } from "../rpc/channel.ts";
import { createRemoteClient } from "../rpc/remote-client.ts";
import { Secret } from "../secret.ts";
import { implement } from "../service.ts";
import { createAuthority, type IssueOptions, type TestAuthority, writeIdentity } from "../testing/certificates.ts";
import { Certificates } from "../tls/certificates.ts";
import { readIdentityTexts } from "../tls/identity.ts";
import { type RpcServer, serveRpc } from "./rpc-server.ts";

const folder = await mkdtemp(join(tmpdir(), "sluice-tls-"));
const closers: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
after(async () => {
  for (const close of closers.toReversed()) await close();
});

const ours = await createAuthority("ours");
const theirs = await createAuthority("theirs");
const lines: string[] = [];
const log = createLogger("info", (line) => lines.push(line));
const everyMs = 20;
const numbers = { next: 0 };

const implementations = [
  implement(AuthService, {
    describeScope: () => ({}),
    authenticateKeys: () => ({}),
    authenticateToken: () => ({}),
    authenticate: ({ keyHash }) => ({ principal: { keyId: keyHash } }),
  }),
  implement(InferenceService, {
    async *infer({ model }, { signal }) {
      for (let at = 0; at < Number(model); at++) {
        await pause(50, undefined, { signal });
        yield { event: { case: "started", value: {} } };
      }
    },
  }),
];

/** The files of one process, in a folder of their own. */
async function member(authority: TestAuthority, options: IssueOptions = {}, trusted = [authority]) {
  const own = join(folder, String(numbers.next++));
  await mkdir(own);
  const issued = await authority.issue(options);
  const files = await writeIdentity(own, issued, trusted);
  const certificates = await Certificates.open({ files, log, everyMs });
  closers.push(() => certificates.close());
  return {
    certificates,
    issued,
    files,
    async replace(by: TestAuthority, trust: readonly TestAuthority[]) {
      await writeIdentity(own, await by.issue(options), trust);
      // A look between two of the files changes something already.
      const { digest } = await readIdentityTexts(files);
      while (certificates.identity.digest !== digest) await pause(everyMs / 4);
    },
  };
}

async function serve(certificates: Certificates, token?: Secret): Promise<RpcServer> {
  const server = await serveRpc({
    host: "127.0.0.1",
    port: 0,
    implementations,
    token,
    certificates,
    health: () => true,
    log,
  });
  closers.push(() => server.close(0));
  return server;
}

function channelTo(port: number, certificates: Certificates | undefined, host = "localhost", token?: Secret): Channel {
  const resolve = async () => ["127.0.0.1"];
  const channel = new Channel({ addresses: [`https://${host}:${port}`], token, certificates, log, resolve });
  closers.push(() => channel.close());
  return channel;
}

const member1 = await member(ours);
const server = await serve(member1.certificates);

describe("with a certificate of the mesh's authority", async () => {
  const { issued } = await member(ours);
  const baseUrl = `https://localhost:${server.port}`;
  const nodeOptions = { cert: issued.certificate, key: issued.key, ca: ours.certificate };
  const transports = {
    "Connect over HTTP/1.1": createConnectTransport({ baseUrl, httpVersion: "1.1", nodeOptions }),
    "Connect over HTTP/2": createConnectTransport({ baseUrl, httpVersion: "2", nodeOptions }),
    gRPC: createGrpcTransport({ baseUrl, nodeOptions }),
    "gRPC-Web": createGrpcWebTransport({ baseUrl, httpVersion: "1.1", nodeOptions }),
  };
  for (const [name, transport] of Object.entries(transports)) {
    test(`a stock client: ${name}`, async () => {
      const { principal } = await createClient(AuthService, transport).authenticate({ keyHash: "a" });
      assert.equal(principal?.keyId, "a");
      assert.equal((await createClient(Health, transport).check({})).status, Status.SERVING);
    });
  }

  test("the lean client, by name and by address", async () => {
    for (const host of ["localhost", "127.0.0.1"]) {
      const channel = channelTo(server.port, member1.certificates, host);
      const { principal } = await createRemoteClient(AuthService, channel).authenticate({ keyHash: "a" });
      assert.equal(principal?.keyId, "a", host);
      const events = createRemoteClient(InferenceService, channel).infer({ model: "2" });
      let count = 0;
      for await (const _ of events) count++;
      assert.equal(count, 2);
    }
  });

  test("the mesh token is asked for as well where there is one", async () => {
    const token = new Secret("mesh-token");
    const both = await serve(member1.certificates, token);
    const without = createRemoteClient(AuthService, channelTo(both.port, member1.certificates));
    await assert.rejects(without.authenticate({ keyHash: "a" }), code(Code.Unauthenticated));
    const client = createRemoteClient(AuthService, channelTo(both.port, member1.certificates, "localhost", token));
    assert.ok(await client.authenticate({ keyHash: "a" }));
  });
});

describe("refused, with a log line that says why", () => {
  const yesterday = new Date(Date.now() - 86_400_000);
  const cases: [what: string, client: () => Promise<Certificates | undefined>, host: string, line: RegExp][] = [
    [
      "a foreign authority",
      async () => (await member(theirs, {}, [ours])).certificates,
      "localhost",
      /is not accepted/,
    ],
    [
      "an expired certificate",
      async () => (await member(ours, { notAfter: yesterday })).certificates,
      "localhost",
      /CN=localhost is not accepted: CERT_HAS_EXPIRED/,
    ],
    ["the wrong server name", async () => member1.certificates, "router.sluice", /router\.sluice/],
    [
      "a server of a foreign authority",
      async () => (await member(ours, {}, [theirs])).certificates,
      "localhost",
      /self-signed certificate/,
    ],
  ];
  for (const [what, client, host, line] of cases) {
    test(what, async () => {
      const certificates = await client();
      // A log line about refusals comes at most once a second.
      await pause(1_050);
      lines.length = 0;
      const { authenticate } = createRemoteClient(AuthService, channelTo(server.port, certificates, host));
      await assert.rejects(authenticate({ keyHash: "a" }), code(Code.Unavailable));
      for (let tries = 0; tries < 50 && !lines.some((each) => line.test(each)); tries++) await pause(20);
      assert.ok(
        lines.some((each) => line.test(each)),
        lines.join(""),
      );
    });
  }

  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    test(`without a certificate nothing is answered, not even to a resumed session: ${maxVersion}`, async () => {
      await pause(1_050);
      lines.length = 0;
      const first = await handshake({ maxVersion });
      assert.match(lines.join(""), /rpc caller refused.*127\.0\.0\.1.*no certificate was shown/);
      assert.equal(first.answer, "");
      const second = await handshake({ maxVersion, ...(first.session && { session: first.session }) });
      assert.equal(second.answer, "");
      assert.notEqual(second.reused, true);
    });
  }

  test("clear text on the port is no request", async () => {
    await assert.rejects(fetch(`http://127.0.0.1:${server.port}/health/liveliness`));
  });
});

/** Speaks HTTP without showing a certificate. */
async function handshake(extra: { maxVersion: SecureVersion; session?: Buffer }) {
  const socket: TLSSocket = connect({ port: server.port, host: "127.0.0.1", ca: ours.certificate, ...extra });
  let session: Buffer | undefined;
  let answer = "";
  let reused: boolean | undefined;
  socket.on("secureConnect", () => {
    reused = socket.isSessionReused();
    session = socket.getSession();
  });
  socket.on("error", () => undefined).on("data", (chunk) => (answer += chunk));
  socket.write("GET /health/liveliness HTTP/1.1\r\nhost: localhost\r\n\r\n");
  await new Promise((resolve) => socket.once("close", resolve));
  return { session, answer, reused };
}

describe("certificates are replaced while calls run", () => {
  test("a new certificate, then a new authority: no call fails, and the old authority is out", async () => {
    const next = await createAuthority("next");
    const [one, other] = [await member(ours), await member(ours)];
    const rotating = await serve(one.certificates);
    const channel = channelTo(rotating.port, other.certificates);
    const load = startLoad(createRemoteClient(AuthService, channel));
    const stream = drain(createRemoteClient(InferenceService, channel), "40");
    const everybody = (by: TestAuthority, trust: readonly TestAuthority[]) =>
      Promise.all([one, other].map((each) => each.replace(by, trust)));
    await pause(100);
    await everybody(ours, [ours]);
    await pause(200);
    await everybody(ours, [ours, next]);
    await everybody(next, [ours, next]);
    await everybody(next, [next]);
    await pause(200);
    const { calls, failures } = await load.stop();
    assert.deepEqual(failures, []);
    assert.ok(calls > 50, `${calls} calls`);
    assert.equal(await stream, 40);
    const late = await member(ours, {}, [ours, next]);
    const client = createRemoteClient(AuthService, channelTo(rotating.port, late.certificates));
    await assert.rejects(client.authenticate({ keyHash: "a" }), code(Code.Unavailable));
  });

  test("files that are no good are reported once, and the old ones stay in use", async () => {
    const one = await member(ours);
    const { context } = one.certificates.identity;
    for (const [text, problem] of [
      ["rubbish", "holds none in PEM"],
      [(await ours.issue()).certificate, "the key is not the certificate's"],
    ] as const) {
      lines.length = 0;
      await writeFile(one.files.certificate, text);
      const reports = () => lines.filter((line) => line.includes(problem)).length;
      for (let turns = 0; turns < 1000 && reports() === 0; turns += 1) await pause(everyMs);
      for (let turns = 0; turns < 15; turns += 1) await pause(everyMs);
      assert.equal(reports(), 1, lines.join(""));
    }
    assert.equal(one.certificates.identity.context, context);
    await one.replace(ours, [ours]);
    assert.notEqual(one.certificates.identity.context, context);
  });

  test("files that are no good stop a start", async () => {
    const { files } = await member(ours);
    const cases = [
      [{ ...files, certificate: files.key }, /holds none in PEM/],
      [{ ...files, authorities: files.key }, /authorities holds none in PEM/],
      [{ ...files, key: files.certificate }, /the key cannot be used/],
      [{ ...files, key: join(folder, "nowhere") }, /no such file/],
    ] as const;
    for (const [broken, message] of cases) {
      await assert.rejects(Certificates.open({ files: broken, log }), message);
    }
  });
});

/** Calls on and on, several at a time. */
function startLoad(client: Client<typeof AuthService>) {
  const state = { stopped: false, calls: 0, failures: [] as string[] };
  const caller = async () => {
    while (!state.stopped) {
      await client.authenticate({ keyHash: "a" }).catch((error: Error) => state.failures.push(error.message));
      state.calls++;
      await pause(2);
    }
  };
  const running = Promise.all([caller(), caller(), caller()]);
  return {
    async stop() {
      state.stopped = true;
      await running;
      return state;
    },
  };
}

async function drain(client: Client<typeof InferenceService>, model: string): Promise<number> {
  let count = 0;
  for await (const _ of client.infer({ model })) count++;
  return count;
}

function code(expected: Code): (error: unknown) => boolean {
  return (error) => error instanceof ConnectError && error.code === expected;
}
