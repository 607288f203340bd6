// The dialog with a tileable picture, shown 3 by 3.

import { tileable } from "./source.js";

const SIZES = [256, 512, 1024, 2048]; // pixels
const FIRST = 512;

/** Return what opens the dialog for a texture; `report` is called with what goes wrong. */
export function createTileDialog(dialog, report) {
  const repeat = dialog.querySelector("#repeat");
  const link = dialog.querySelector("#save-tile");
  const sizes = dialog.querySelector("#sizes");
  let texture = null;
  let making = new AbortController();

  for (const size of SIZES) {
    const label = document.createElement("label");
    label.innerHTML = `<input type="radio" name="size" value="${size}"><span>${size}</span>`;
    label.firstChild.checked = size === FIRST;
    sizes.append(label);
  }

  async function make() {
    clear();
    making = new AbortController();
    const { signal } = making;
    const size = Number(sizes.querySelector(":checked").value);
    try {
      const file = await tileable({ ...texture, size }, signal);
      if (signal.aborted) return;
      link.href = URL.createObjectURL(file);
      link.download = `${texture.model.name}_${texture.seed}_${size}.png`;
      link.removeAttribute("aria-disabled");
      repeat.style.backgroundImage = `url(${link.href})`;
      repeat.classList.add("made");
    } catch (error) {
      if (error.name === "AbortError") return;
      dialog.close();
      report(error);
    }
  }

  function clear() {
    making.abort();
    if (link.href) URL.revokeObjectURL(link.href);
    link.removeAttribute("href");
    link.setAttribute("aria-disabled", "true");
    repeat.style.backgroundImage = "";
    repeat.classList.remove("made");
  }

  sizes.addEventListener("change", make);
  dialog.addEventListener("close", clear);
  dialog.addEventListener("click", ({ target }) => {
    if (target === dialog || target.closest("[data-close]")) dialog.close();
  });

  return (chosen) => {
    texture = chosen;
    dialog.showModal();
    make();
  };
}
