/** Files and folders that can be opened, and files that were dragged into the page. */

import { byId, element } from "./dom.js";

const PICTURE = /\.(jpe?g|png|webp|tiff?|bmp|gif|heic|avif|exr)$/i;
const PART = 4 * 2 ** 20; // bytes of a file that are sent at a time

export class Browsing {
  /**
   * @param {import("./socket.js").Socket} socket
   * @param {import("./opening.js").Opening} opening
   * @param {(work: () => any) => void} attempt tells people of errors
   */
  constructor(socket, opening, attempt) {
    this.socket = socket;
    this.opening = opening;
    this.attempt = attempt;
    opening.onOffer = () => this.list(null); // what there is to open, each time that is asked
    this.listen(document.body);
    byId("choose-file").addEventListener("change", () => {
      const { files } = byId("choose-file");
      if (files.length) attempt(() => this.send([{ file: files[0], folder: null }]));
    });
  }

  /**
   * Show what is in a folder; null is where one begins.
   * @param {string|null} path
   */
  async list(path) {
    const { fields } = await this.socket.request("browse", { path });
    const up = path === null ? [] : [{ name: "..", path: fields.parent }];
    const pictures = fields.files.filter((/** @type {any} */ one) => PICTURE.test(one.name));
    const isClip = path !== null && pictures.length > 1;
    byId("folder").textContent = path ?? "";
    byId("entries").replaceChildren(
      ...(isClip ? [this.entry(`All ${pictures.length} pictures, as one clip`, () => this.opening.open(path))] : []),
      ...[...up, ...fields.folders].map(({ name, path }) =>
        this.entry(`${name}/`, () => this.list(path)),
      ),
      ...fields.files.map((/** @type {any} */ { name, path }) =>
        this.entry(name, () => this.opening.open(path)),
      ),
    );
  }

  /**
   * @param {string} name
   * @param {() => any} run
   */
  entry(name, run) {
    const attributes = { type: "button", onclick: () => this.attempt(run) };
    return element("li", {}, element("button", attributes, name));
  }

  /** @param {HTMLElement} target */
  listen(target) {
    target.addEventListener("dragover", (event) => {
      event.preventDefault();
      document.body.classList.add("dropping");
    });
    target.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) document.body.classList.remove("dropping");
    });
    target.addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("dropping");
      const items = [...(event.dataTransfer?.items ?? [])];
      const entry = items.map((item) => item.webkitGetAsEntry()).find((one) => one);
      if (entry) this.attempt(async () => this.send(await filesOf(entry)));
    });
  }

  /**
   * Send files to the server, and open what came of them.
   * @param {{file: File, folder: string|null}[]} files
   */
  async send(files) {
    if (!files.length) throw new Error("There is no video and no picture among these files.");
    const total = files.reduce((sum, { file }) => sum + file.size, 0);
    const bar = byId("upload");
    let sent = 0;
    let path = "";
    bar.hidden = false;
    try {
      for (const { file, folder } of files) {
        for (let offset = 0; offset < file.size || !offset; offset += PART) {
          const part = new Uint8Array(await file.slice(offset, offset + PART).arrayBuffer());
          const fields = { name: file.name, folder, size: file.size, offset };
          const { fields: result } = await this.socket.request("upload", fields, part);
          path = result.path ?? path;
          sent += part.length;
          byId("upload-bar").value = sent / total;
          if (!part.length) break;
        }
      }
      const isFolder = files[0].folder !== null;
      await this.opening.open(isFolder ? path.replace(/[\\/][^\\/]*$/, "") : path);
    } finally {
      bar.hidden = true;
    }
  }
}

/**
 * The files of something that was dropped: itself, or what lies in it.
 * @param {any} entry
 * @returns {Promise<{file: File, folder: string|null}[]>}
 */
async function filesOf(entry) {
  /** @type {(one: any) => Promise<File>} */
  const fileOf = (one) => new Promise((resolve, reject) => one.file(resolve, reject));
  if (entry.isFile) return [{ file: await fileOf(entry), folder: null }];
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    /** @type {any[]} */
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return files;
    for (const one of entries.filter((each) => each.isFile && PICTURE.test(each.name))) {
      files.push({ file: await fileOf(one), folder: entry.name });
    }
  }
}
