// Runs model files with ONNX Runtime's WebAssembly build; one job at a time.

import * as ort from "./ort/ort.wasm.min.mjs";

ort.env.wasm.numThreads = 1; // more need headers that static hosts do not send
ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;

const files = new Map(); // name: promise of bytes
const sessions = new Map(); // name: promise of a session of the file as it is
let painter = { key: "", session: null }; // of the last photo

onmessage = async ({ data: job }) => {
  try {
    const result = await verbs[job.verb](job);
    postMessage({ result }, [result.buffer]);
  } catch (error) {
    postMessage({ error: error.message });
  }
};

const verbs = {
  /** Return RGBA of a window of a texture, each pixel the average of factor x factor. */
  async texture({ request: { name, seed, origin, size, period }, factor }) {
    const session = await sessionOf(name);
    const inputs = { seed: [seed], origin, size, period };
    return averaged(await image(session, integers(inputs)), factor);
  },

  /** Return RGBA of a window of a photo in a style. */
  async style({ card, statistics, content, window }) {
    const session = statistics ? await painterOf(card, statistics) : await sessionOf(card.name);
    return averaged(await image(session, photoInputs(card, content, window)), 1);
  },

  /** Return the statistics of a photo, float32, mean and variance of each normalised channel. */
  async measure({ card, content, window }) {
    const session = await sessionOf(card.name);
    const { measured } = await session.run(photoInputs(card, content, window), ["measured"]);
    return Float32Array.from(measured.data);
  },
};

async function image(session, inputs) {
  return (await session.run(inputs, ["image"])).image;
}

function photoInputs(card, { rgb, y, x, height, width }, window) {
  const inputs = integers({
    window: [window.y - y, window.x - x, window.height, window.width],
    origin: [y, x],
    ...(card.takes_seed ? { seed: [0] } : {}),
  });
  inputs.content = new ort.Tensor("uint8", rgb, [1, height, width, 3]);
  if (card.styles.length > 1) {
    const first = Float32Array.from(card.styles, (_, number) => (number === 0 ? 1 : 0));
    inputs.style = new ort.Tensor("float32", first, [1, first.length]);
  }
  return inputs;
}

function integers(inputs) {
  const tensors = {};
  for (const [name, values] of Object.entries(inputs)) {
    tensors[name] = new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [values.length]);
  }
  return tensors;
}

function sessionOf(name) {
  if (!sessions.has(name)) sessions.set(name, fileOf(name).then(open));
  return sessions.get(name);
}

/** Return a session of the file with these statistics in it: it measures nothing. */
async function painterOf(card, statistics) {
  const key = `${card.name}/${statistics.join()}`;
  if (painter.key !== key) {
    await painter.session?.release();
    const file = (await fileOf(card.name)).slice();
    file[card.given_at] = 1;
    file.set(new Uint8Array(statistics.buffer), card.statistics_at); // little endian, as wasm is
    painter = { key, session: await open(file) };
  }
  return painter.session;
}

function fileOf(name) {
  const url = new URL(`models/${encodeURIComponent(name)}.onnx`, import.meta.url);
  if (!files.has(name)) files.set(name, fetched(url));
  return files.get(name);
}

async function fetched(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.pathname}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

function open(file) {
  return ort.InferenceSession.create(file, { executionProviders: ["wasm"] });
}

/** Return RGBA of uint8 [1, h, w, 3], each pixel the average of factor x factor, half up. */
function averaged({ data, dims: [, height, width] }, factor) {
  const [h, w] = [height / factor, width / factor];
  const rgba = new Uint8ClampedArray(h * w * 4).fill(255);
  const area = factor * factor;
  for (let y = 0, to = 0; y < h; y++) {
    for (let x = 0; x < w; x++, to += 4) {
      for (let c = 0; c < 3; c++) {
        let sum = area >> 1;
        for (let j = 0; j < factor; j++) {
          const row = ((y * factor + j) * width + x * factor) * 3 + c;
          for (let i = 0; i < factor; i++) sum += data[row + 3 * i];
        }
        rgba[to + c] = Math.floor(sum / area);
      }
    }
  }
  return rgba;
}
