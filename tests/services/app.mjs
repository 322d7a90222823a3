// A Node application without dependencies: a page, a clock that ticks by SSE, a long poll, an upload, a WebSocket of
// its own. It knows nothing of the gateway but the header that says who asks. Prints `ready PORT`; ends with its
// standard input.
import { createHash } from "node:crypto";
import { createServer } from "node:http";

const PAGE = `<!doctype html><title>app</title><main><p id=who></p><p id=clock></p><ul id=chat></ul></main><script>
const show = (id, text) => { document.getElementById(id).textContent = text };
fetch("/app/whoami").then(it => it.text()).then(text => show("who", text));
new EventSource("/app/clock").addEventListener("tick", it => show("clock", "tick " + it.data));
const line = text => { const it = document.createElement("li"); it.textContent = text; document.getElementById("chat").append(it) };
const socket = new WebSocket(location.origin.replace("http", "ws") + "/chat");
socket.onmessage = it => { line(it.data); if (it.data.startsWith("welcome")) socket.send("good day") };
socket.onclose = it => line("closed " + it.code);
</script>`;

const waiting = [];
const who = (request) => request.headers["x-auth-user"] ?? "nobody";

function clock(response) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  let count = 0;
  const tick = setInterval(() => response.write(`event: tick\nid: ${count}\ndata: ${count++}\n\n`), 50);
  response.on("close", () => clearInterval(tick));
}

function upload(request, response) {
  const hash = createHash("sha256");
  let length = 0;
  request.on("data", (piece) => { hash.update(piece); length += piece.length; });
  request.on("end", () => response.end(`${length} ${hash.digest("hex")}`));
}

const server = createServer((request, response) => {
  const path = request.url.split("?")[0];
  if (path === "/app/clock") clock(response);
  else if (path === "/app/whoami") response.end(who(request));
  else if (path === "/app/upload") upload(request, response);
  else if (path === "/app/wait") waiting.push(response);
  else if (path === "/app/wake") { waiting.splice(0).forEach((it) => it.end(`woken by ${who(request)}`)); response.end("ok"); }
  else { response.writeHead(200, { "Content-Type": "text/html" }); response.end(PAGE); }
});

// Frames of up to 125 bytes, sent back as they came but for the mask.
server.on("upgrade", (request, socket, head) => {
  const key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const accept = createHash("sha1").update(key).digest("base64");
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  let left = head;
  socket.on("error", () => {});
  socket.on("data", (piece) => {
    left = Buffer.concat([left, piece]);
    while (left.length >= 6 && left.length >= 6 + (left[1] & 127)) {
      const length = left[1] & 127;
      const mask = left.subarray(2, 6);
      const text = Buffer.from(left.subarray(6, 6 + length).map((byte, at) => byte ^ mask[at % 4]));
      socket.write(Buffer.concat([Buffer.from([left[0], length]), text]));
      if ((left[0] & 15) === 8) socket.end();
      left = left.subarray(6 + length);
    }
  });
});

server.listen(0, "127.0.0.1", () => console.log("ready", server.address().port));
process.stdin.on("end", () => process.exit()).resume();
