// The endless canvas: Leaflet pans and zooms over tiles of a texture's plane.

import { drawTile, farthest } from "./source.js";

const TILE = 256; // pixels of the plane
const NEAREST = 2; // zoom: 4 times

// On a fine screen a tile is drawn smaller, so that its pixels are not blown up.
const SHOWN = devicePixelRatio >= 1.5 ? TILE / 2 : TILE; // CSS pixels at zoom 0
const DENSITY = TILE / SHOWN;

const Tiles = L.GridLayer.extend({
  createTile(coords, done) {
    const canvas = L.DomUtil.create("canvas");
    canvas.width = canvas.height = TILE;
    canvas.dataset.tile = [-coords.z, coords.x, coords.y].join("/");
    canvas.cancel = new AbortController();
    const request = { ...this.options.texture, zoom: -coords.z, x: coords.x, y: coords.y };
    drawTile(canvas.getContext("2d"), request, canvas.cancel.signal).then(
      () => done(null, canvas),
      (error) => done(error, canvas),
    );
    return canvas;
  },
});

/** Return the canvas in an element; `report` is called with what goes wrong. */
export function createPlane(element, report) {
  const moves = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  const map = L.map(element, {
    crs: L.CRS.Simple,
    center: [0, 0],
    zoom: 0,
    minZoom: -farthest,
    maxZoom: NEAREST,
    zoomControl: false,
    attributionControl: false,
    wheelPxPerZoomLevel: 100,
    fadeAnimation: moves,
    zoomAnimation: moves,
    inertia: moves,
  });
  let current = null;

  function show(texture) {
    const layer = new Tiles({
      texture,
      tileSize: SHOWN,
      minNativeZoom: -farthest,
      maxNativeZoom: 0,
      minZoom: -farthest,
      maxZoom: NEAREST,
      keepBuffer: 1,
      updateWhenZooming: false,
      noWrap: true,
    });
    const before = current;
    current = layer;
    layer.on("tileunload", ({ tile }) => tile.cancel.abort());
    layer.on("tileerror", ({ error }) => error.name === "AbortError" || report(error));
    const leave = () => before && retire(map, before);
    layer.once("load", leave); // until then what was shown shines through
    layer.once("remove", leave);
    layer.addTo(map);
  }

  function place() {
    const [x, y] = fromLatLng(map.getCenter());
    return { x, y, zoom: map.getZoom() };
  }

  const go = ({ x, y, zoom }, options) => map.setView(toLatLng(x, y), zoom, options);

  return { map, show, place, go };
}

function retire(map, layer) {
  layer.getContainer()?.classList.add("leaving");
  setTimeout(() => map.removeLayer(layer), 300);
}

const fromLatLng = ({ lat, lng }) => [Math.round(lng * DENSITY), Math.round(-lat * DENSITY)];
const toLatLng = (x, y) => [-y / DENSITY, x / DENSITY];
