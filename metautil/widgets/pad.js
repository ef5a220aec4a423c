// Cells to draw in.
const SIZE = 112, PEN = SIZE * 0.07;

function put(model, cell, strokes) {
  model.set('drawings', model.get('drawings').map((old, at) => at === cell ? strokes : old));
  model.save_changes();
}

function addCell(model, cell, row) {
  const name = model.get('names')[cell], last = cell === model.get('names').length - 1;
  const box = document.createElement('div'), title = document.createElement('div');
  const canvas = document.createElement('canvas'), clear = document.createElement('button');
  const sharp = window.devicePixelRatio || 1, brush = canvas.getContext('2d');
  let stroke = null;
  box.className = 'metautil-cell';
  Object.assign(box.style, { textAlign: 'center', marginLeft: last ? '20px' : '0' });
  title.textContent = model.get('titles')[cell];
  canvas.width = canvas.height = Math.round(SIZE * sharp);
  canvas.setAttribute('role', 'img');
  // A finger on the paper draws; everywhere else it scrolls the page.
  Object.assign(canvas.style, { width: `${SIZE}px`, height: `${SIZE}px`, display: 'block', background: 'white',
                                border: `2px solid ${last ? '#0072B2' : '#777777'}`, boxSizing: 'content-box',
                                cursor: 'crosshair', touchAction: 'none', userSelect: 'none' });
  clear.type = 'button';
  clear.textContent = 'Clear';
  clear.setAttribute('aria-label', `Clear ${name}`);
  clear.onclick = () => put(model, cell, []);
  const paint = () => {
    const strokes = model.get('drawings')[cell];
    canvas.setAttribute('aria-label', `${name}, strokes: ${strokes.length}`);
    brush.setTransform(sharp * SIZE, 0, 0, sharp * SIZE, 0, 0);
    brush.clearRect(0, 0, 1, 1);
    Object.assign(brush, { lineWidth: PEN / SIZE, lineCap: 'round', lineJoin: 'round' });
    for (const points of stroke ? [...strokes, stroke] : strokes) {
      brush.beginPath();
      points.forEach(([x, y]) => brush.lineTo(x, y));
      if (points.length === 1) brush.lineTo(...points[0]);
      brush.stroke();
    }
  };
  const add = event => {
    const paper = canvas.getBoundingClientRect(), edge = canvas.clientLeft;
    const share = at => Math.min(1, Math.max(0, Math.round(1000 * at / SIZE) / 1000));
    const x = share(event.clientX - paper.left - edge), y = share(event.clientY - paper.top - edge);
    const before = stroke.at(-1);
    if (before && Math.hypot(x - before[0], y - before[1]) < 0.015) return;  // a slow hand makes no more points
    stroke.push([x, y]);
    paint();
  };
  canvas.addEventListener('pointerdown', event => {
    if (event.button !== 0 || !event.isPrimary) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);  // also past the edge, until it is let go
    stroke = [];
    add(event);
  });
  canvas.addEventListener('pointermove', event => stroke && canvas.hasPointerCapture(event.pointerId) && add(event));
  canvas.addEventListener('lostpointercapture', () => {  // let go, or taken away by the system
    const done = stroke;
    stroke = null;
    if (done) put(model, cell, [...model.get('drawings')[cell], done]);
  });
  box.append(title, canvas, clear);
  row.append(box);
  return paint;
}

export default {
  render({ model, el }) {
    const row = document.createElement('div');  // not el, whose display is the layout's
    Object.assign(row.style, { display: 'flex', flexWrap: 'wrap', gap: '6px' });
    el.append(row);
    const paints = model.get('names').map((_, cell) => addCell(model, cell, row));
    const paint = () => paints.forEach(each => each());
    paint();
    model.on('change:drawings', paint);
    return () => model.off('change:drawings', paint);
  }
};
