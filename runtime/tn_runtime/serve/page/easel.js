// A photo in a style: painted once by each style, then mixed with the photo as the sliders say.

import { blend } from "./blend.js";
import { decode, largestUpload, paint } from "./source.js";

/**
 * Return the easel on a canvas.
 *
 * `busy` is called with true, false, or the part that is done, from 0 to 1.
 */
export function createEasel(canvas, sliders, busy) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let photo = null; // { file, name, bitmap }
  let style = null;
  let layers = null; // { photo, painting, mixed }: ImageData of one size
  let painting = new AbortController();
  let frame = 0;
  let taken = 0;

  async function take(file, model) {
    if (file.size > largestUpload) {
      throw new Error(`The photo has more than ${largestUpload / 1e6} MB; choose a smaller file.`);
    }
    const number = ++taken;
    const bitmap = await decode(file, model).catch((error) => {
      throw new Error(`${file.name} cannot be read: ${error.message}`);
    });
    if (number !== taken) return; // another one came
    photo = { file, name: file.name.replace(/\.[^.]*$/, ""), bitmap };
    layers = null;
    show(bitmap);
    await restyle(model);
  }

  async function restyle(model) {
    style = model;
    if (!photo) return;
    painting.abort();
    painting = new AbortController();
    const { signal } = painting;
    busy(true);
    canvas.classList.add("working");
    try {
      const painted = await paint(model, photo, signal, busy);
      if (signal.aborted) return;
      const { width, height } = painted;
      Object.assign(canvas, { width, height });
      const pixels = (picture) => {
        context.drawImage(picture, 0, 0, width, height);
        const data = context.getImageData(0, 0, width, height);
        context.clearRect(0, 0, width, height);
        return data;
      };
      context.imageSmoothingQuality = "high";
      layers = { photo: pixels(photo.bitmap), painting: pixels(painted) };
      layers.mixed = context.createImageData(width, height);
      mix();
      canvas.classList.remove("working");
      busy(false);
    } catch (error) {
      if (signal.aborted) return;
      canvas.classList.remove("working");
      busy(false);
      throw error;
    }
  }

  function show(bitmap) {
    const scale = Math.min(1, 2048 / Math.max(bitmap.width, bitmap.height));
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  }

  function mix() {
    cancelAnimationFrame(frame);
    if (!layers) return;
    const [strength, colors] = [sliders.strength, sliders.colors].map(({ value }) => value / 100);
    blend(layers.photo.data, layers.painting.data, layers.mixed.data, strength, colors);
    context.putImageData(layers.mixed, 0, 0);
  }

  for (const slider of Object.values(sliders)) {
    slider.addEventListener("input", () => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(mix);
    });
  }

  async function save() {
    const file = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = `${photo.name}_${style.name}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  return { take, restyle, save, hasPhoto: () => taken > 0 };
}
