/** Which nodes of the model of a cluster are being emptied, and what they make of late requests. */
export class Drains {
  readonly nodes = new Set<string>();
  /** So many times nobody hears that a node is being emptied. */
  unheardBeats = 0;
  readonly #takenBack = new Set<string>();

  start(node: string, order: string): null {
    if (this.unheardBeats > 0) this.unheardBeats -= 1;
    else if (!this.#takenBack.has(order)) this.nodes.add(node);
    return null;
  }

  stop(node: string, order: string): null {
    this.#takenBack.add(order);
    this.nodes.delete(node);
    return null;
  }
}
