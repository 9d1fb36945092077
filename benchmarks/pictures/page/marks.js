// How an annotation is drawn: a dashed line and a mark below it; a region is shaded.
const MARK = 5; // pixels

/** A hook of uPlot's. */
export function marking(marks, theme) {
  return (plot) => {
    const { ctx, bbox } = plot;
    ctx.save();
    for (const { time, end, colour } of marks) {
      const [left, right] = [time, end].map((at) => {
        const inside = Math.max(bbox.left, plot.valToPos(at, 'x', true));
        return Math.min(bbox.left + bbox.width, inside);
      });
      ctx.strokeStyle = ctx.fillStyle = theme.visualization.getColorByName(colour);
      ctx.globalAlpha = 0.1;
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
      ctx.globalAlpha = 1;
      ctx.setLineDash([5, 5]);
      for (const x of new Set([left, right])) {
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
      }
      ctx.beginPath();
      ctx.moveTo(left - MARK, bbox.top + bbox.height + MARK);
      ctx.lineTo(left, bbox.top + bbox.height);
      ctx.lineTo(right, bbox.top + bbox.height);
      ctx.lineTo(right + MARK, bbox.top + bbox.height + MARK);
      ctx.fill();
    }
    ctx.restore();
  };
}
