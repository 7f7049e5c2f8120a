/** The worker's messages over a WebSocket; docs/app.md says how they look. */

/** @typedef {{fields: Record<string, any>, blob: Uint8Array}} Message */

const NO_BYTES = new Uint8Array();
const RETRY_MILLISECONDS = [300, 1000, 2000];

/** An error that the worker answered with, or the loss of the worker (code `connection`). */
export class Refusal extends Error {
  /**
   * @param {string} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/**
 * A message as a WebSocket carries it.
 * @param {Record<string, any>} fields
 * @param {Uint8Array} blob
 * @returns {string|ArrayBuffer}
 */
export function pack(fields, blob = NO_BYTES) {
  const text = JSON.stringify(fields);
  if (!blob.length) return text;
  const json = new TextEncoder().encode(text);
  const bytes = new Uint8Array(8 + json.length + blob.length);
  const head = new DataView(bytes.buffer);
  head.setUint32(0, json.length, true);
  head.setUint32(4, blob.length, true);
  bytes.set(json, 8);
  bytes.set(blob, 8 + json.length);
  return bytes.buffer;
}

/**
 * What `pack` made, or the worker.
 * @param {string|ArrayBuffer} data
 * @returns {Message}
 */
export function unpack(data) {
  if (typeof data === "string") return { fields: JSON.parse(data), blob: NO_BYTES };
  const length = new DataView(data).getUint32(0, true);
  const fields = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 8, length)));
  return { fields, blob: new Uint8Array(data, 8 + length) };
}

/**
 * The connection to the worker. Dispatches `open`, `close`, and `event` for what the worker tells by
 * itself; connects again when it was lost.
 */
export class Socket extends EventTarget {
  /** @param {string} address of the WebSocket */
  constructor(address) {
    super();
    this.address = address;
    /** @type {WebSocket|null} */
    this.socket = null;
    /** @type {Map<number, {resolve: (message: Message) => void, reject: (reason: Refusal) => void}>} */
    this.waiting = new Map();
    this.count = 0;
    this.failures = 0;
  }

  connect() {
    const socket = new WebSocket(this.address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.socket = socket;
      this.failures = 0;
      this.dispatchEvent(new Event("open"));
    };
    socket.onmessage = (event) => this.receive(unpack(event.data));
    socket.onclose = () => {
      const wait = RETRY_MILLISECONDS[Math.min(this.failures, RETRY_MILLISECONDS.length - 1)];
      this.failures += 1;
      this.lose();
      setTimeout(() => this.connect(), wait);
    };
  }

  get isOpen() {
    return this.socket !== null;
  }

  /**
   * Ask the worker.
   * @param {string} method
   * @param {Record<string, any>} fields
   * @param {Uint8Array} blob
   * @returns {Promise<Message>} the result as `fields`, and its blob; rejects with a Refusal
   */
  request(method, fields = {}, blob = NO_BYTES) {
    const id = ++this.count;
    return new Promise((resolve, reject) => {
      if (!this.socket) return reject(lost());
      this.waiting.set(id, { resolve, reject });
      this.socket.send(pack({ id, method, ...fields }, blob));
    });
  }

  /**
   * Tell the worker; nothing is answered.
   * @param {string} method
   * @param {Record<string, any>} fields
   */
  notify(method, fields) {
    this.socket?.send(pack({ method, ...fields }));
  }

  /** @param {Message} message */
  receive({ fields, blob }) {
    if (fields.event) {
      this.dispatchEvent(new CustomEvent("event", { detail: { fields, blob } }));
      return;
    }
    const caller = this.waiting.get(fields.id);
    this.waiting.delete(fields.id);
    if (fields.error) caller?.reject(new Refusal(fields.error.code, fields.error.message));
    else caller?.resolve({ fields: fields.result, blob });
  }

  lose() {
    const wasOpen = this.isOpen;
    this.socket = null;
    for (const { reject } of this.waiting.values()) reject(lost());
    this.waiting.clear();
    if (wasOpen || this.failures === 1) this.dispatchEvent(new Event("close"));
  }
}

function lost() {
  return new Refusal("connection", "The connection to sam2-mlx is lost.");
}
