// Where pictures come from: the model files, run in this browser by workers. The page that
// `tn-run serve` opens has a file of the same name that asks its server; both export the same.

const TILE = 256; // pixels, of textures
const PHOTO_TILE = 512; // pixels: what lies around a tile is computed for each tile anew
const LARGEST_SIDE = 1536; // pixels of a photo; a larger one is reduced
const MEASURED = 256 * 256; // pixels on which a photo's statistics are measured: as in training

export const largestUpload = 200e6; // bytes
export const farthest = 2; // zoom: 1/4; a tile of 1/8 takes a core some seconds

export const swatch = (name) => `swatches/${encodeURIComponent(name)}.webp`;
export const modelFile = (name) => `models/${encodeURIComponent(name)}.onnx`;

export async function models() {
  const response = await fetch("models.json");
  if (!response.ok) throw new Error(`models.json: ${response.status}`);
  return response.json();
}

/** Draw a tile of 256 x 256 pixels at (0, 0): zoom z averages 2^z x 2^z pixels of the plane. */
export async function drawTile(context, { model, seed, zoom, x, y }, signal) {
  const parts = 2 ** zoom;
  const side = TILE / parts;
  const jobs = [];
  for (let row = 0; row < parts; row++) {
    for (let column = 0; column < parts; column++) {
      const origin = [(y * parts + row) * TILE, (x * parts + column) * TILE];
      const request = { name: model.name, seed, origin, size: [TILE, TILE], period: [0, 0] };
      const job = pool.run({ verb: "texture", request, factor: parts }, signal);
      jobs.push(job.then((pixels) => put(context, pixels, column * side, row * side, side)));
    }
  }
  await Promise.all(jobs);
}

/** Return the PNG of a square picture whose opposite edges match, as a Blob. */
export async function tileable({ model, seed, size }, signal) {
  const canvas = new OffscreenCanvas(size, size);
  const context = canvas.getContext("2d");
  const jobs = windows(size, size, TILE).map(async ({ y, x, height, width }) => {
    const period = [size, size];
    const request = { name: model.name, seed, origin: [y, x], size: [height, width], period };
    put(context, await pool.run({ verb: "texture", request, factor: 1 }, signal), x, y, width);
  });
  await Promise.all(jobs);
  return canvas.convertToBlob({ type: "image/png" });
}

/** Return a photo in a style, as an ImageBitmap; `progress` is called with the part done. */
export async function paint(model, { bitmap }, signal, progress) {
  const scale = Math.min(1, LARGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const photo = pixelsOf(bitmap, scale);
  const { width, height } = photo;
  const statistics = model.normalized_channels
    ? await measured(model, bitmap, Math.min(scale, scaleTo(bitmap, MEASURED)), signal)
    : null;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const all = windows(height, width, PHOTO_TILE);
  let done = 0;
  const jobs = all.map(async (window) => {
    const content = cut(photo, window, model.halo);
    const job = { verb: "style", card: model, statistics, content, window };
    const pixels = await pool.run(job, signal);
    put(context, pixels, window.x, window.y, window.width);
    progress(++done / all.length);
  });
  await Promise.all(jobs);
  return canvas.transferToImageBitmap();
}

export async function decode(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    throw new Error("this browser has no decoder for it; save it as JPEG or PNG");
  }
}

async function measured(model, bitmap, scale, signal) {
  const photo = pixelsOf(bitmap, scale);
  const window = { y: 0, x: 0, height: photo.height, width: photo.width };
  const job = { verb: "measure", card: model, content: cut(photo, window, 0), window };
  return pool.run(job, signal);
}

const scaleTo = ({ width, height }, pixels) => Math.min(1, Math.sqrt(pixels / (width * height)));

function pixelsOf(bitmap, scale) {
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/** Return the part of a photo under a window, with as much around it as decides about it. */
function cut({ data, width, height }, window, halo) {
  const top = Math.max(0, window.y - halo);
  const left = Math.max(0, window.x - halo);
  const bottom = Math.min(height, window.y + window.height + halo);
  const right = Math.min(width, window.x + window.width + halo);
  const rgb = new Uint8Array((bottom - top) * (right - left) * 3);
  let to = 0;
  for (let y = top; y < bottom; y++) {
    for (let from = (y * width + left) * 4; from < (y * width + right) * 4; from += 4) {
      rgb[to++] = data[from];
      rgb[to++] = data[from + 1];
      rgb[to++] = data[from + 2];
    }
  }
  return { rgb, y: top, x: left, height: bottom - top, width: right - left };
}

function windows(height, width, tile) {
  const found = [];
  for (let y = 0; y < height; y += tile) {
    for (let x = 0; x < width; x += tile) {
      const [h, w] = [Math.min(tile, height - y), Math.min(tile, width - x)];
      found.push({ y, x, height: h, width: w });
    }
  }
  return found;
}

function put(context, rgba, x, y, width) {
  context.putImageData(new ImageData(rgba, width), x, y);
}

/** Workers, each with a model at a time; jobs wait in order, and leave when they are aborted. */
class Pool {
  constructor(size) {
    this.waiting = [];
    this.idle = Array.from({ length: size }, () => {
      return new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    });
  }

  run(job, signal) {
    return new Promise((resolve, reject) => {
      this.waiting.push({ job, signal, resolve, reject });
      this.next();
    });
  }

  next() {
    while (this.idle.length && this.waiting.length) {
      const { job, signal, resolve, reject } = this.waiting.shift();
      if (signal?.aborted) {
        reject(signal.reason);
        continue;
      }
      const worker = this.idle.pop();
      const finish = (settle, value) => {
        worker.onmessage = worker.onerror = null;
        this.idle.push(worker);
        settle(value);
        this.next();
      };
      worker.onmessage = ({ data }) =>
        data.error ? finish(reject, new Error(data.error)) : finish(resolve, data.result);
      worker.onerror = (event) =>
        finish(reject, new Error(event.message ?? "ONNX Runtime does not load in this browser."));
      worker.postMessage(job);
    }
  }
}

const pool = new Pool(Math.min(3, Math.max(1, (navigator.hardwareConcurrency ?? 2) - 1)));
