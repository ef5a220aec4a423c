"""A picture on which a point can be dragged: the widget that shows it and says where the pointer is.

The browser's part is a few lines of script, kept here as text: nothing is fetched. `metautil.widgets.sliders` turns places on
the picture into the values of two sliders.
"""

from __future__ import annotations

from typing import NamedTuple

import anywidget
from matplotlib.axes import Axes
from traitlets import Bytes, List, Unicode


class Handle(NamedTuple):
    """Two sliders that are the coordinates of a point on a figure, which can be dragged there.

    Attributes
    ----------
    axes : Axes
        In whose coordinates the point lies.
    x, y : str
        Names of the sliders that are its coordinates.
    """

    axes: Axes
    x: str
    y: str


class Map(anywidget.AnyWidget):
    """A picture with an area in which pressing and dragging, by mouse, pen or finger, are reported.

    The front end sends one report at a time and the latest of those that wait (it does so for every widget), so that
    a picture that is slow to draw is not left behind by the pointer.

    Attributes
    ----------
    value : bytes
        The picture's address.
    alt : str
        What it shows. Not a tooltip, which would cover the place that the pointer aims at.
    area : list of float
        Left, top, width and height of the area, as shares of the picture's width and height.
    pointer : list of float
        Where the pointer is, as shares of the picture's width (from the left) and height (from the top), and the time
        of the report in ms, which tells a second press at one place from the first.
    """

    value = Bytes().tag(sync=True)
    alt = Unicode().tag(sync=True)
    area = List().tag(sync=True)
    pointer = List().tag(sync=True, echo_update=False)

    _esm = """
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
    """
