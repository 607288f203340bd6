// A photo and its painting, mixed: the arithmetic of `tn_runtime.stylization`.

const LUMA = [0.299, 0.587, 0.114]; // Rec. 601

/**
 * Mix into `result`, all three RGBA of one size, Uint8ClampedArray, which rounds.
 *
 * strength: from 0, the photo, to 1, the painting.
 * colors: from 0, the painting's colours, to 1, the photo's with the painting's luma.
 */
export function blend(photo, painting, result, strength, colors) {
  const [red, green, blue] = LUMA;
  for (let i = 0; i < result.length; i += 4) {
    const r = painting[i] - photo[i];
    const g = painting[i + 1] - photo[i + 1];
    const b = painting[i + 2] - photo[i + 2];
    const luma = Math.round(red * r + green * g + blue * b);
    for (let c = 0, change = r; c < 3; c++, change = c === 1 ? g : b) {
      const own = photo[i + c];
      const recolored = Math.min(255, Math.max(0, own + luma)) - own;
      result[i + c] = own + strength * (change + colors * (recolored - change));
    }
    result[i + 3] = photo[i + 3];
  }
}
