// The page: what is chosen, and what follows from it. The address after # says it all:
// #citrus/7/x/y/zoom for a place of a texture, #great_wave for a style.

import { createEasel } from "./easel.js";
import { createPlane } from "./plane.js";
import { models, modelFile, swatch } from "./source.js";
import { createTileDialog } from "./tile.js";

const $ = (id) => document.getElementById(id);
const LARGEST = Number.MAX_SAFE_INTEGER;
const FAR = 1e9; // pixels

const chosen = { mode: "texture", texture: null, style: null, seed: 0 };
const plane = createPlane($("plane"), report);
const openTile = createTileDialog($("tile"), report);
const sliders = { strength: $("strength"), colors: $("colors") };
const easel = createEasel($("painting"), sliders, busy);

start().catch(report);

async function start() {
  const cards = await models();
  const textures = cards.filter(({ kind }) => kind === "texture");
  const styles = cards.filter(({ kind }) => kind === "style");
  const address = readAddress(cards);
  offer($("textures"), textures, chooseTexture);
  offer($("styles"), styles, chooseStyle);
  chosen.seed = address.seed;
  plane.go(address);
  pick($("textures"), address.model?.kind === "texture" ? address.model : textures[0]);
  pick($("styles"), address.model?.kind === "style" ? address.model : styles[0]);
  chooseMode(address.model?.kind === "style" ? "photo" : "texture");
  plane.map.on("move zoom", showPlace).on("moveend zoomend", writeAddress);
  showPlace();
}

// What can be chosen

function offer(fieldset, cards, choose) {
  for (const card of cards) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), {
      type: "radio",
      name: fieldset.id,
      value: card.name,
    });
    const image = Object.assign(document.createElement("img"), { src: swatch(card.name), alt: "" });
    const name = Object.assign(document.createElement("span"), { textContent: title(card.name) });
    label.append(input, image, name);
    input.addEventListener("change", () => choose(card));
    fieldset.append(label);
  }
  fieldset.cards = cards;
}

function pick(fieldset, card) {
  const input = card && fieldset.querySelector(`input[value="${CSS.escape(card.name)}"]`);
  if (!input) return;
  input.checked = true;
  input.dispatchEvent(new Event("change"));
}

function chooseTexture(card) {
  chosen.texture = card;
  describe($("texture-about"), card);
  ground(card);
  chooseSeed(chosen.seed);
}

function chooseSeed(seed) {
  chosen.seed = Math.min(LARGEST, Math.max(-LARGEST, seed));
  $("seed").value = chosen.seed;
  plane.show({ model: chosen.texture, seed: chosen.seed });
  writeAddress();
}

function chooseStyle(card) {
  chosen.style = card;
  describe($("style-about"), card);
  easel.restyle(card).catch(report);
  writeAddress();
}

function chooseMode(mode) {
  chosen.mode = mode;
  document.body.dataset.mode = mode;
  document.querySelector(`input[name="mode"][value="${mode}"]`).checked = true;
  if (mode === "texture") plane.map.invalidateSize({ pan: false });
  if (mode === "photo" && !easel.hasPhoto()) takeSample().catch(report);
  writeAddress();
}

for (const input of document.querySelectorAll('input[name="mode"]')) {
  input.addEventListener("change", () => chooseMode(input.value));
}

// Texture

$("seed").addEventListener("change", ({ target }) => {
  const seed = Number(target.value.trim() || NaN);
  if (Number.isSafeInteger(seed)) chooseSeed(seed);
  else {
    report(new Error(`A seed is a whole number up to ${LARGEST}.`));
    target.value = chosen.seed;
  }
});
$("seed-less").addEventListener("click", () => chooseSeed(chosen.seed - 1));
$("seed-more").addEventListener("click", () => chooseSeed(chosen.seed + 1));
$("shuffle").addEventListener("click", () => chooseSeed(Math.floor(Math.random() * 1e6)));
$("make-tile").addEventListener("click", () =>
  openTile({ model: chosen.texture, seed: chosen.seed }),
);
$("far").addEventListener("click", () => {
  const somewhere = () => Math.round((2 * Math.random() - 1) * FAR);
  plane.go({ x: somewhere(), y: somewhere(), zoom: plane.place().zoom }, { animate: false });
});
$("zoom-in").addEventListener("click", () => plane.map.zoomIn());
$("zoom-out").addEventListener("click", () => plane.map.zoomOut());

function showPlace() {
  const { x, y, zoom } = plane.place();
  const scale = zoom < 0 ? `1:${2 ** -zoom}` : `${2 ** zoom}:1`;
  $("place").textContent = `${x.toLocaleString("en")}, ${y.toLocaleString("en")}  ·  ${scale}`;
  $("zoom-in").disabled = zoom >= plane.map.getMaxZoom();
  $("zoom-out").disabled = zoom <= plane.map.getMinZoom();
}

/** Colour the ground that shows before tiles come like the texture itself. */
function ground(card) {
  const image = $("textures").querySelector(`input[value="${CSS.escape(card.name)}"] + img`);
  image.decode().then(() => {
    const dot = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
    const context = dot.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, 1, 1);
    const [r, g, b] = context.getImageData(0, 0, 1, 1).data;
    if (chosen.texture === card) $("plane").style.backgroundColor = `rgb(${r} ${g} ${b})`;
  }, () => {});
}

// Photo

async function takeSample() {
  const response = await fetch("photo.jpg");
  take(new File([await response.blob()], "raccoon.jpg", { type: "image/jpeg" }));
}

function take(file) {
  if (!chosen.style) return report(new Error("There is no style to paint with."));
  return easel.take(file, chosen.style).catch(report);
}

$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", ({ target }) => {
  if (target.files.length) take(target.files[0]);
  target.value = "";
});
$("save").addEventListener("click", () => easel.save().catch(report));

addEventListener("dragover", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  document.body.classList.add("dragging");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
addEventListener("drop", (event) => receive(event, event.dataTransfer));
addEventListener("paste", (event) => receive(event, event.clipboardData));

function receive(event, data) {
  document.body.classList.remove("dragging");
  const file = [...(data?.files ?? [])][0];
  if (!file) return;
  event.preventDefault();
  take(file);
  chooseMode("photo");
}

for (const slider of Object.values(sliders)) {
  const output = document.querySelector(`output[for="${slider.id}"]`);
  const show = () => {
    output.textContent = `${slider.value} %`;
    slider.style.setProperty("--part", `${slider.value}%`);
  };
  slider.addEventListener("input", show);
  show();
}

// Words

const title = (name) => name.replaceAll("_", " ");

function describe(paragraph, card) {
  const by = card.credit ? ` by ${card.credit}` : "";
  const license = card.license ? `, ${card.license}` : "";
  const facts = `Learned from one picture${by}${license}.`;
  const link = Object.assign(document.createElement("a"), {
    href: modelFile(card.name),
    download: `${card.name}.onnx`,
    textContent: `Model file, ${Math.round(card.bytes / 1000)} kB`,
  });
  paragraph.replaceChildren(facts, " ", link);
}

function busy(state) {
  const bar = $("busy");
  bar.hidden = state === false;
  $("save").disabled = state !== false;
  if (typeof state === "number") bar.value = state;
  else bar.removeAttribute("value");
}

let fading = 0;
function report(error) {
  const message = $("message");
  message.textContent = error.message;
  message.classList.add("shown");
  clearTimeout(fading);
  fading = setTimeout(() => message.classList.remove("shown"), 6000);
}

// The address

function readAddress(cards) {
  const [name, ...numbers] = decodeURIComponent(location.hash.slice(1)).split("/");
  const finite = (text) => (Number.isFinite(Number(text)) ? Number(text) : 0);
  const [seed = 0, x = 0, y = 0, zoom = 0] = numbers.map(finite);
  return { model: cards.find((card) => card.name === name), seed: Math.trunc(seed), x, y, zoom };
}

function writeAddress() {
  if (!chosen.texture && chosen.mode === "texture") return;
  const { x, y, zoom } = plane.place();
  const parts = [chosen.texture?.name, chosen.seed, x, y, zoom];
  const hash = chosen.mode === "photo" ? chosen.style?.name : parts.join("/");
  history.replaceState(null, "", `#${hash ?? ""}`);
}
