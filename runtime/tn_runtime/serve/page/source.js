// Where pictures come from: this page's server. The static site has a file of the same name that
// makes them in the browser; both export the same.

export const largestUpload = 40e6; // bytes
export const farthest = 3; // zoom: 1/8

export const swatch = (name) => `swatches/${encodeURIComponent(name)}.webp`;
export const modelFile = (name) => `models/${encodeURIComponent(name)}.onnx`;

export async function models() {
  return (await answer(fetch("models"))).json();
}

/** Draw a tile of 256 x 256 pixels at (0, 0): zoom z averages 2^z x 2^z pixels of the plane. */
export async function drawTile(context, { model, seed, zoom, x, y }, signal) {
  const url = `tiles/${encodeURIComponent(model.name)}/${seed}/${zoom}/${x}/${y}.png`;
  context.drawImage(await picture(fetch(url, { signal })), 0, 0);
}

/** Return the PNG of a square picture whose opposite edges match, as a Blob. */
export async function tileable({ model, seed, size }, signal) {
  const url = `tileable/${encodeURIComponent(model.name)}/${seed}.png?size=${size}`;
  return (await answer(fetch(url, { signal }))).blob();
}

/** Return a photo in a style, as an ImageBitmap. */
export function paint(model, { file }, signal) {
  const url = `photos/${encodeURIComponent(model.name)}`;
  return picture(fetch(url, { method: "POST", body: file, signal }));
}

/** Return a photo, as an ImageBitmap; the server reads more formats than browsers do. */
export async function decode(file, model) {
  try {
    return await createImageBitmap(file);
  } catch {
    const url = `photos/${encodeURIComponent(model.name)}?strength=0`;
    return picture(fetch(url, { method: "POST", body: file }));
  }
}

async function picture(response) {
  return createImageBitmap(await (await answer(response)).blob());
}

async function answer(response) {
  const got = await response;
  if (got.ok) return got;
  const { detail } = await got.json().catch(() => ({}));
  throw new Error(typeof detail === "string" ? detail : `The server answers ${got.status}.`);
}
