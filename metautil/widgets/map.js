// A picture with an area in which a point can be dragged.
export default {
  render({ model, el }) {
    const picture = document.createElement('img'), area = document.createElement('div');
    const show = () => { picture.src = new TextDecoder().decode(model.get('value')); };
    picture.alt = model.get('alt');
    Object.assign(picture.style, { display: 'block', width: '100%', height: 'auto' });
    const [left, top, width, height] = model.get('area').map(share => `${100 * share}%`);
    area.className = 'metautil-area';
    // A finger in the area drags the point; everywhere else it scrolls the page.
    Object.assign(area.style, { position: 'absolute', left, top, width, height,
                                cursor: 'crosshair', touchAction: 'none', userSelect: 'none' });
    const report = event => {
      const box = picture.getBoundingClientRect();
      const right = (event.clientX - box.left) / box.width, down = (event.clientY - box.top) / box.height;
      model.set('pointer', [right, down, event.timeStamp]);
      model.save_changes();
    };
    area.addEventListener('pointerdown', event => {
      if (event.button === 0 && event.isPrimary) {
        area.setPointerCapture(event.pointerId);  // also past the edge, until it is let go
        report(event);
      }
    });
    area.addEventListener('pointermove', event => area.hasPointerCapture(event.pointerId) && report(event));
    el.style.position = 'relative';
    el.append(picture, area);
    show();
    model.on('change:value', show);
    return () => model.off('change:value', show);
  }
};
