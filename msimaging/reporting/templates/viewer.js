"use strict";
// NiiVue draws the volumes carried in the page; without WebGL 2 the pictures have to do.
(async () => {
  const canvas = document.getElementById("viewer");
  const told = document.getElementById("viewer-place");
  const state = (words) => { document.documentElement.dataset.viewer = words; };
  const without = (words) => { canvas.hidden = true; told.textContent = words; state("none"); };
  if (!window.niivue) return without("The viewer is not at hand; the pictures above show the same maps.");
  if (!document.createElement("canvas").getContext("webgl2")) {
    return without("The viewer needs WebGL 2; the pictures above show the same maps.");
  }
  const volumes = JSON.parse(document.getElementById("volumes").textContent);
  const viewer = new niivue.Niivue({
    show3Dcrosshair: true, isRadiologicalConvention: false, isNearestInterpolation: true, logLevel: "silent",
    backColor: [0, 0, 0, 1], onLocationChange: (where) => { told.textContent = where.string; },
  });
  await viewer.attachToCanvas(canvas);
  const tools = document.getElementById("viewer-tools");
  for (const [number, volume] of volumes.entries()) {
    const { name, data, colormapNegative, ...look } = volume;
    const image = await niivue.NVImage.loadFromBase64({ base64: data, name: `${name}.nii.gz`, ...look,
      ...(colormapNegative ? { colormapNegative } : {}) });
    viewer.addVolume(image);
    const label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: volume.opacity > 0 });
    box.addEventListener("change", () => viewer.setOpacity(number, box.checked ? volume.opacity || 1 : 0));
    label.append(box, ` ${name}`);
    tools.append(label);
  }
  viewer.setSliceType(viewer.sliceTypeMultiplanar);
  viewer.drawScene();
  canvas.niivue = viewer; // for the console
  state(`ready ${viewer.volumes.length}`);
})().catch((error) => {
  document.documentElement.dataset.viewer = "failed";
  document.getElementById("viewer-place").textContent = `The viewer stopped: ${error.message}`;
});
