import assert from "node:assert/strict";
import { test } from "node:test";
import { ImportReport } from "./report.ts";

test("counts what became of rows and names the first of what was left", () => {
  const report = new ImportReport(false);
  for (let n = 1; n <= 1200; n += 1) {
    report.row("keys", `key-${n}`, "created", [{ field: "permissions", reason: "has no effect" }]);
  }
  report.row("keys", "mine", "changed", []);
  report.leftRow("keys", "session\u001b[2J", "is a session");
  report.leftRows("LiteLLM_SpendLogs", 7, "stays there");
  const text = report.toText();
  assert.match(text, /^ {2}keys +1200 +0 +0 +2$/m);
  assert.match(text, /^ {2}LiteLLM_SpendLogs +0 +0 +0 +7$/m);
  assert.match(text, /keys, permissions: has no effect \(key-1, key-2, key-3 and 1197 more\)/);
  assert.match(text, /keys: it was changed here since the last import \(mine\)/);
  assert.match(text, /is a session \(session\?\[2J\)/);
  const [first] = JSON.parse(JSON.stringify(report)).left;
  assert.deepEqual([first.count, first.objects.length], [1200, 1000]);
});

test("a dry run says that it is one", () => {
  assert.match(new ImportReport(true).toText(), /to take[\s\S]*nothing was written/);
});
